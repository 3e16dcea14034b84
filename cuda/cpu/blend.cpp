// Blends a tile front to back.

#include <cmath>

#include "blend_tile.h"

namespace splatkit {
inline namespace SK_ISA {
namespace {

constexpr int MAX_TOP = 32;

// What beside blended values a kernel is compiled for; `all` tells by null pointers what is wanted.
enum class Beside { nothing, gradient, all };

// Per-pixel images beside the blended values, only where a caller wants them.
struct Extras {
  alignas(64) float median[BLOCKS * L];
  alignas(64) float top_weights[MAX_TOP * BLOCKS * L];
  alignas(64) int32_t top_ids[MAX_TOP * BLOCKS * L];
};

// Gradients of transmittance and colours, of each pixel with respect to its place.
struct Gradients {
  alignas(64) float transmittance[2 * BLOCKS * L];
  alignas(64) float colors[6 * BLOCKS * L];

  SK_INLINE void clear() {
    for (int i = 0; i < 2 * BLOCKS * L; i += L) store(transmittance + i, vfloat(0.0f));
    for (int i = 0; i < 6 * BLOCKS * L; i += L) store(colors + i, vfloat(0.0f));
  }
  // Adds a splat that is blended with `alpha` and would be with `raw` but for the clamp.
  SK_INLINE void add(const TilePixels &pixels, const PackedSplat &p, const float *color,
                     unsigned block, vfloat raw, vfloat alpha, vfloat before) {
    const FoldedConic<vfloat> conic = {p.log2_opacity, p.xx, p.xy, p.yy};
    const vfloat varying = select(raw < vfloat((float)ALPHA_MAX), alpha, vfloat(0.0f));
    float *x = transmittance + 2 * block * L, *y = x + L;
    ScreenGradient<vfloat> through = {load(x), load(y)};
    const ScreenGradient<vfloat> weight = weight_gradient(
        alpha, alpha_gradient(conic, pixels.dx(p, block), pixels.dy(p, block), varying), before,
        through);
    store(x, through.x);
    store(y, through.y);
    for (int c = 0; c < 3; ++c) {
      float *sum = colors + (6 * block + c) * L;
      store(sum, fma(weight.x, vfloat(color[c]), load(sum)));
      store(sum + 3 * L, fma(weight.y, vfloat(color[c]), load(sum + 3 * L)));
    }
  }
  SK_INLINE void write(const BlendArguments<float> &a, int place, int64_t pixel,
                       const float *background) const {
    const int block = place / L, lane = place % L;
    const float *through = transmittance + 2 * block * L + lane;
    const float *sum = colors + 6 * block * L + lane;
    for (int c = 0; c < 3; ++c) {
      a.rgb_dx[3 * pixel + c] = sum[c * L] + through[0] * background[c];
      a.rgb_dy[3 * pixel + c] = sum[(3 + c) * L] + through[L] * background[c];
    }
  }
};

// Keeps the k largest weights of each pixel, equal ones in order of arrival.
SK_INLINE void insert_top(Extras &extras, int top_k, int block, vfloat weight, int32_t gaussian) {
  vint id(gaussian);
  vmask shift = lane_ids() < vint(0);
  for (int k = 0; k < top_k; ++k) {
    float *weights = extras.top_weights + (k * BLOCKS + block) * L;
    int32_t *ids = extras.top_ids + (k * BLOCKS + block) * L;
    const vfloat old_weight = load(weights);
    const vint old_id = load(ids);
    shift = shift | (weight > old_weight);
    store(weights, select(shift, weight, old_weight));
    store(ids, select(shift, id, old_id));
    weight = select(shift, old_weight, weight);
    id = select(shift, old_id, id);
  }
}

template <int D, Beside beside>
void blend_tile_of(const BlendPass &pass, int tile) {
  constexpr bool extended = beside == Beside::all, differentiable = beside != Beside::nothing;
  const BlendArguments<float> &a = *pass.arguments;
  const Bins &bins = *pass.bins;
  const TilePlace t = tile_place(bins, tile);
  TilePixels pixels(t);
  Batch batch;
  alignas(64) float sums[D * BLOCKS * L];
  for (int i = 0; i < D * BLOCKS * L; i += L) store(sums + i, vfloat(0.0f));
  Extras *extras = nullptr;
  alignas(64) char extras_memory[extended ? sizeof(Extras) : 1];
  if constexpr (extended) {
    extras = reinterpret_cast<Extras *>(extras_memory);
    for (int i = 0; i < BLOCKS * L; i += L) store(extras->median + i, vfloat(0.0f));
    for (int i = 0; i < a.top_k * BLOCKS * L; i += L) {
      store(extras->top_weights + i, vfloat(0.0f));
      store(extras->top_ids + i, vint(-1));
    }
  }
  Gradients *gradients = nullptr;
  alignas(64) char gradients_memory[differentiable ? sizeof(Gradients) : 1];
  if (differentiable && a.rgb_dx) {
    gradients = reinterpret_cast<Gradients *>(gradients_memory);
    gradients->clear();
  }

  int64_t done = t.begin;
  for (; done < t.end && pixels.open > 0; done += batch.count) {
    batch.fill(bins, t, done);
    batch.evaluate(pixels);
    [[maybe_unused]] InstanceStatistics statistics[extended ? BATCH : 1] = {};
    for (int i = 0; i < batch.items; ++i) {
      const unsigned item = (unsigned)batch.list[i], k = item >> 8, block = item & 0xff;
      const PackedSplat &p = *batch.splat[k];
      const float *values = pass.values ? pass.values + (int64_t)batch.id[k] * D : p.color;
      const vfloat raw = load(batch.raw + i * L);
      vfloat alpha = min(raw, vfloat((float)ALPHA_MAX));
      const vfloat before = pixels.pass(block, alpha);
      const vfloat weight = alpha * before;
      for (int d = 0; d < D; ++d) {
        float *sum = sums + (block * D + d) * L;
        store(sum, fma(weight, vfloat(values[d]), load(sum)));
      }
      if constexpr (differentiable)
        if (!extended || gradients) gradients->add(pixels, p, values, block, raw, alpha, before);
      if constexpr (extended) {
        const vmask blended = weight > vfloat(0.0f);
        const float most = hmax(weight);
        statistics[k].weight_sum += hsum(weight);
        if (most > statistics[k].weight_max) statistics[k].weight_max = most;
        statistics[k].count += popcount(bits(blended));
        if (a.depth_median) {
          float *median = extras->median + block * L;
          store(median, select(blended & (before > vfloat(0.5f)), vfloat(p.depth), load(median)));
        }
        if (a.top_k) insert_top(*extras, a.top_k, block, weight, p.gaussian);
      }
    }
    if constexpr (extended)
      if (pass.statistics)
        for (int k = 0; k < batch.count; ++k) pass.statistics[done + k] = statistics[k];
  }
  if constexpr (extended)
    if (pass.statistics)
      for (; done < t.end; ++done) pass.statistics[done] = {0.0f, 0.0f, 0};

  const int colors = pass.first ? 3 : 0;
  const float *background = a.background + 3 * t.camera;
  if (pass.first)
    each_pixel(bins, t, [&](int place, int64_t pixel) {
      const float *sum = sums + (unsigned)place / L * D * L + (unsigned)place % L;
      // Negative where the pixel has ended.
      const float transmittance = std::fabs(pixels.transmittance[place]);
      for (int c = 0; c < 3; ++c) a.rgb[3 * pixel + c] = sum[c * L] + transmittance * background[c];
      a.alpha[pixel] = 1.0f - transmittance;
      if (differentiable && gradients) gradients->write(a, place, pixel, background);
    });
  if (!extended && pass.channel_count == 0) return;
  each_pixel(bins, t, [&](int place, int64_t pixel) {
    const float *sum = sums + (unsigned)place / L * D * L + (unsigned)place % L;
    for (int c = 0; c < pass.channel_count; ++c)
      a.channel_image[a.num_channels * pixel + pass.channel_begin + c] = sum[(colors + c) * L];
    if constexpr (extended) {
      if (a.depth_median) a.depth_median[pixel] = extras->median[place];
      for (int k = 0; k < a.top_k; ++k) {
        a.top_weights[a.top_k * pixel + k] = extras->top_weights[k * BLOCKS * L + place];
        a.top_ids[a.top_k * pixel + k] = extras->top_ids[k * BLOCKS * L + place];
      }
    }
  });
}

template <int D>
void blend_tile_values(const BlendPass &pass, int tile) {
  const BlendArguments<float> &a = *pass.arguments;
  if (pass.first && (pass.statistics || a.depth_median || a.top_k))
    blend_tile_of<D, Beside::all>(pass, tile);
  else if (pass.first && a.rgb_dx)
    blend_tile_of<D, Beside::gradient>(pass, tile);
  else
    blend_tile_of<D, Beside::nothing>(pass, tile);
}

}  // namespace

void blend_tile(const BlendPass &pass, int tile) {
  if (pass.count == 3)
    blend_tile_values<3>(pass, tile);
  else if (pass.count == 4)
    blend_tile_values<4>(pass, tile);
  else if (pass.count == 8)
    blend_tile_values<8>(pass, tile);
  else
    blend_tile_values<16>(pass, tile);
}

}  // namespace SK_ISA
}  // namespace splatkit
