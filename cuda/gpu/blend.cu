// Blends tiles front to back: a block a tile, a warp a column of sub-tiles, a lane a pixel of each.
// 32 splats at a time are tested against the warp's sub-tiles, then blended where they reach.

#include "blending.h"

#ifndef SK_BLEND_PIXELS
#define SK_BLEND_PIXELS 1
#endif
#ifndef SK_MEDIAN
#define SK_MEDIAN 0
#endif
#ifndef SK_WEIGHTS
#define SK_WEIGHTS 0
#endif
#ifndef SK_TOP_K
#define SK_TOP_K 0
#endif
#ifndef SK_GRADIENT
#define SK_GRADIENT 0
#endif

namespace splatkit {
inline namespace SK_ISA {

constexpr int PIXELS = SK_BLEND_PIXELS;
constexpr int THREADS = TILE_PIXELS / PIXELS;
constexpr int BATCH = THREADS < 256 ? THREADS : 256;
static_assert(TILE_PIXELS % (PIXELS * WARP) == 0 && THREADS <= 1024);
// Blocks a processor shall hold where a thread keeps more than colours. Left to itself the compiler
// makes room for more, and spills.
constexpr int WANTED_REGISTERS = SK_TOP_K > 4 ? 255 : VALUES == 16 ? 128 : 80;
constexpr int FITTING = 65536 / (THREADS * WANTED_REGISTERS);
[[maybe_unused]] constexpr int BLOCKS = FITTING ? FITTING : 1;

// Statistics of what the warp has just blended of one Gaussian.
SK_DEVICE void add_weights(const BlendParams &p, int gaussian, float sum, float peak, int count) {
  if (!__any_sync(FULL_WARP, count > 0)) return;
  sum = warp_sum(sum);
  count = warp_sum(count);
  for (int step = 16; step > 0; step >>= 1)
    peak = max(peak, __shfl_xor_sync(FULL_WARP, peak, step));
  if (lane_id() == 0) {
    atomicAdd(p.weight_sum + gaussian, (unsigned long long)(sum * 4294967296.0f));
    // Floats that are not negative sort like their bits.
    atomicMax((int *)p.weight_max + gaussian, __float_as_int(peak));
    atomicAdd(p.weight_count + gaussian, count);
  }
}

// The k largest weights of a pixel, equal ones in order of arrival.
struct Top {
  float weights[SK_TOP_K + 1];
  int ids[SK_TOP_K + 1];

  SK_DEVICE void clear() {
#pragma unroll
    for (int i = 0; i < SK_TOP_K; ++i) {
      weights[i] = 0.0f;
      ids[i] = -1;
    }
  }
  SK_DEVICE void insert(float weight, int id) {
    [[maybe_unused]] bool larger = false;
#pragma unroll
    for (int i = 0; i < SK_TOP_K; ++i) {
      // Once it has found its place, the ones behind move down.
      larger = larger || weight > weights[i];
      const float old_weight = weights[i];
      const int old_id = ids[i];
      weights[i] = larger ? weight : old_weight;
      ids[i] = larger ? id : old_id;
      weight = larger ? old_weight : weight;
      id = larger ? old_id : id;
    }
  }
};

// What a pixel has gathered.
struct PixelState {
  float cut;  // exponent below which a splat is skipped; never() where the pixel has ended
  float transmittance;
  float sums[VALUES];
  float median;
  Top top;
#if SK_GRADIENT
  // With respect to the pixel's place: of the transmittance and of the colours' sums.
  ScreenGradient<float> through;
  float sums_dx[COLORS], sums_dy[COLORS];
#endif
};

SK_DEVICE void write_checkpoint(const BlendParams &p, unsigned checkpoint, int sub, int lane,
                                const PixelState &state) {
  float *place = p.checkpoints + checkpoint_place(checkpoint) + sub * WARP + lane;
  place[0] = state.cut == never() ? -1.0f : state.transmittance;
#pragma unroll
  for (int d = 0; d < VALUES; ++d) place[(d + 1) * TILE_PIXELS] = state.sums[d];
}

SK_DEVICE void write_pixel(const BlendParams &p, const TilePlace &t, const Pixel &pixel,
                           const PixelState &state) {
  if (!pixel.inside) return;
  if (COLORS) {
    const float *background = p.background + 3 * t.camera;
    for (int c = 0; c < COLORS; ++c)
      p.rgb[3 * pixel.index + c] = fma(state.transmittance, __ldg(background + c), state.sums[c]);
    p.alpha[pixel.index] = 1.0f - state.transmittance;
  }
#pragma unroll
  for (int c = 0; c < CHANNELS; ++c)
    if (c < p.channel_count)
      p.channel_image[p.num_channels * pixel.index + p.channel_begin + c] = state.sums[COLORS + c];
  if (SK_MEDIAN) p.depth_median[pixel.index] = state.median;
#if SK_GRADIENT
  const float *behind = p.background + 3 * t.camera;
  for (int c = 0; c < COLORS; ++c) {
    p.rgb_dx[3 * pixel.index + c] = fma(state.through.x, __ldg(behind + c), state.sums_dx[c]);
    p.rgb_dy[3 * pixel.index + c] = fma(state.through.y, __ldg(behind + c), state.sums_dy[c]);
  }
#endif
#pragma unroll
  for (int i = 0; i < SK_TOP_K; ++i) {
    p.top_weights[SK_TOP_K * pixel.index + i] = state.top.weights[i];
    p.top_ids[SK_TOP_K * pixel.index + i] = state.top.ids[i];
  }
}

}  // namespace SK_ISA

#if SK_VALUES == 3 && !SK_MEDIAN && !SK_WEIGHTS && !SK_TOP_K && !SK_GRADIENT
SK_GLOBAL(THREADS) blend(const BlendParams p) {
#else
SK_GLOBAL(THREADS, BLOCKS) blend(const BlendParams p) {
#endif
  __shared__ StagedSplats<BATCH> staged;
#if SK_MEDIAN
  __shared__ float depths[BATCH];
#endif
#if SK_WEIGHTS || SK_TOP_K
  __shared__ int gaussians[BATCH];
#endif
  __shared__ int tile_end;
  const int thread = threadIdx.x, lane = lane_id(), first_sub = warp_id() * PIXELS;
  const int tile = blockIdx.x;
  const TilePlace t = tile_place(p, tile);
  if (thread == 0) tile_end = 0;

  PixelState states[PIXELS];
  bool open = false;  // whether any pixel of the warp is
#pragma unroll
  for (int k = 0; k < PIXELS; ++k) {
    const Pixel pixel(p, t, first_sub + k, lane);
    PixelState &state = states[k];
    state.cut = pixel.inside ? (float)LOG2_ALPHA_MIN : never();
    state.transmittance = 1.0f;
    for (int d = 0; d < VALUES; ++d) state.sums[d] = 0.0f;
    state.median = 0.0f;
    state.top.clear();
#if SK_GRADIENT
    state.through = {0.0f, 0.0f};
    for (int c = 0; c < COLORS; ++c) state.sums_dx[c] = state.sums_dy[c] = 0.0f;
#endif
    open = open || pixel.inside;
  }
  open = __any_sync(FULL_WARP, open);

  int looked_at = 0;  // entries
  for (unsigned batch = t.begin; batch < t.end; batch += BATCH) {
    if (!__syncthreads_or(open)) break;
    if (thread < BATCH && batch + thread < t.end) {
      const unsigned entry = p.entries[batch + thread];
      const unsigned row = SK_DETERMINISTIC ? p.instance_rows[entry] : entry;
      const LoadedRecord r(p.records, row);
      float values[4 * VALUE_QUADS];
      load_values(p, row, r.color, values);
      staged.put(thread, r.splat, values);
#if SK_MEDIAN
      depths[thread] = r.depth;
#endif
#if SK_WEIGHTS || SK_TOP_K
      gaussians[thread] = p.gaussian_ids[row];
#endif
    }
    __syncthreads();
    const int here = (int)min(t.end - batch, (unsigned)BATCH);
    for (int group = 0; group < here; group += WARP) {
#if SK_BUCKET
      const unsigned done = batch - t.begin + group;
      if (done > 0 && done % BUCKET == 0)
        for (int k = 0; k < PIXELS; ++k)
          write_checkpoint(p, t.begin / BUCKET + done / BUCKET, first_sub + k, lane, states[k]);
#endif
      if (!open) continue;
      unsigned hits[PIXELS], pending = 0;
      const bool some = group + lane < here;
      const Splat own = staged.splat(some ? group + lane : group);
#pragma unroll
      for (int k = 0; k < PIXELS; ++k) {
        hits[k] = __ballot_sync(FULL_WARP, some && reaches_sub_tile(own, t, first_sub + k));
        pending |= hits[k];
      }
      for (; pending; pending &= pending - 1) {
        const int j = __ffs((int)pending) - 1, i = group + j;
        const Splat s = staged.splat(i);
        [[maybe_unused]] float weight_sum = 0.0f, weight_peak = 0.0f;
        [[maybe_unused]] int weight_count = 0;
#pragma unroll
        for (int k = 0; k < PIXELS; ++k) {
          if (!(hits[k] >> j & 1)) continue;
          PixelState &state = states[k];
          const Pixel pixel(p, t, first_sub + k, lane);
          const float dx = pixel.center_x - s.x, dy = pixel.center_y - s.y;
          const float e = exponent(s, dx, dy);
          if (!(e >= state.cut)) continue;
          const float raw = exp2_fast(e), alpha = min(raw, (float)ALPHA_MAX);
          const float before = state.transmittance, after = before * (1.0f - alpha);
          if (after <= (float)TRANSMITTANCE_MIN) {
            state.cut = never();
            continue;
          }
          const float weight = alpha * before;
          state.transmittance = after;
          float values[4 * VALUE_QUADS];
          staged.get_values(i, values);
#pragma unroll
          for (int d = 0; d < VALUES; ++d) state.sums[d] = fma(weight, values[d], state.sums[d]);
#if SK_GRADIENT
          const float varying = raw < (float)ALPHA_MAX ? raw : 0.0f;
          const ScreenGradient<float> of_weight = weight_gradient(
              alpha, alpha_gradient(s.conic, dx, dy, varying), before, state.through);
#pragma unroll
          for (int c = 0; c < COLORS; ++c) {
            state.sums_dx[c] = fma(of_weight.x, values[c], state.sums_dx[c]);
            state.sums_dy[c] = fma(of_weight.y, values[c], state.sums_dy[c]);
          }
#endif
#if SK_MEDIAN
          if (before > 0.5f) state.median = depths[i];
#endif
#if SK_TOP_K
          state.top.insert(weight, gaussians[i]);
#endif
          weight_sum += weight;
          weight_peak = max(weight_peak, weight);
          ++weight_count;
        }
#if SK_WEIGHTS
        add_weights(p, gaussians[i], weight_sum, weight_peak, weight_count);
#endif
      }
      looked_at = (int)(batch - t.begin) + min(group + WARP, here);
      bool some_open = false;
#pragma unroll
      for (int k = 0; k < PIXELS; ++k) some_open = some_open || states[k].cut != never();
      open = __any_sync(FULL_WARP, some_open);
    }
  }

#pragma unroll
  for (int k = 0; k < PIXELS; ++k) write_pixel(p, t, Pixel(p, t, first_sub + k, lane), states[k]);
  if (p.tile_ends) {
    __syncthreads();
    if (lane == 0) atomicMax(&tile_end, looked_at);
    __syncthreads();
    if (thread == 0) p.tile_ends[tile] = tile_end;
  }
#if SK_BUCKET
  for (unsigned k = 1 + thread; k * BUCKET < t.end - t.begin; k += THREADS)
    p.checkpoint_tiles[t.begin / BUCKET + k] = tile;
#endif
}

}  // namespace splatkit
