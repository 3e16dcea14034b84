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

// Those of one block, while splats are blended on it.
struct BlockGradients {
  ScreenGradient<vfloat> transmittance;
  vfloat colors[6];

  SK_INLINE void fetch(const Gradients &g, unsigned block) {
    const float *through = g.transmittance + 2 * block * L, *sum = g.colors + 6 * block * L;
    transmittance = {load(through), load(through + L)};
    for (int c = 0; c < 6; ++c) colors[c] = load(sum + c * L);
  }
  SK_INLINE void put_back(Gradients &g, unsigned block) const {
    float *through = g.transmittance + 2 * block * L, *sum = g.colors + 6 * block * L;
    store(through, transmittance.x);
    store(through + L, transmittance.y);
    for (int c = 0; c < 6; ++c) store(sum + c * L, colors[c]);
  }
  // Adds a splat that is blended with `alpha` and would be with `raw` but for the clamp.
  SK_INLINE void add(const PackedSplat &p, const float *color, vfloat dx, vfloat dy, vfloat raw,
                     vfloat alpha, vfloat before) {
    const FoldedConic<vfloat> conic = {p.log2_opacity, p.xx, p.xy, p.yy};
    const vfloat varying = select(raw < vfloat((float)ALPHA_MAX), alpha, vfloat(0.0f));
    const ScreenGradient<vfloat> weight =
        weight_gradient(alpha, alpha_gradient(conic, dx, dy, varying), before, transmittance);
    for (int c = 0; c < 3; ++c) {
      colors[c] = fma(weight.x, vfloat(color[c]), colors[c]);
      colors[3 + c] = fma(weight.y, vfloat(color[c]), colors[3 + c]);
    }
  }
};

// Pairs of a batch block by block, those of one block in the order of splats: what its pixels sum
// up then stays in registers.
template <class Pairs>
SK_INLINE void by_blocks(const Pairs &batch, uint16_t *order) {
  uint16_t begin[BLOCKS + 1] = {};
  for (int i = 0; i < batch.items; ++i) ++begin[(batch.list[i] & 0xff) + 1];
  for (int b = 1; b < BLOCKS; ++b) begin[b + 1] += begin[b];
  for (int i = 0; i < batch.items; ++i) order[begin[batch.list[i] & 0xff]++] = (uint16_t)i;
}

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
  // With gradients a block's sums are many: they are fetched once for all its pairs of a large
  // batch. Without them pairs wait less for one another in the order of splats.
  constexpr bool sorted = beside == Beside::gradient;
  constexpr int SPLATS = sorted ? 256 : FEW_SPLATS, ENOUGH_ITEMS = sorted ? 1024 : FEW_ITEMS;
  Batch<SPLATS, ENOUGH_ITEMS> batch;
  [[maybe_unused]] uint16_t order[sorted ? batch.MAX_ITEMS : 1];
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

  const auto values_of = [&](unsigned k) {
    return pass.values ? pass.values + (int64_t)batch.id[k] * D : batch.splat[k]->color;
  };
  int64_t done = t.begin;
  for (; done < t.end && pixels.open > 0; done += batch.count) {
    batch.fill(bins, t, done);
    batch.evaluate(pixels);
    [[maybe_unused]] InstanceStatistics statistics[extended ? SPLATS : 1] = {};
    if constexpr (sorted) by_blocks(batch, order);
    const auto pair = [&](int at) {
      if constexpr (sorted) return (int)order[at];
      return at;
    };
    for (int at = 0; at < batch.items;) {
      const unsigned block = (unsigned)batch.list[pair(at)] & 0xff;
      float *home = sums + block * D * L;
      vfloat sum[D];
      for (int d = 0; d < D; ++d) sum[d] = load(home + d * L);
      vfloat through = pixels.through(block);
      BlockGradients slopes;
      if (differentiable && gradients) slopes.fetch(*gradients, block);
      for (; at < batch.items; ++at) {
        const unsigned item = (unsigned)batch.list[pair(at)], k = item >> 8;
        if ((item & 0xff) != block) break;
        const PackedSplat &p = *batch.splat[k];
        const float *values = values_of(k);
        const vfloat raw = load(batch.raw + pair(at) * L);
        vfloat alpha = min(raw, vfloat((float)ALPHA_MAX));
        const vfloat before = pixels.pass(block, through, alpha);
        const vfloat weight = alpha * before;
        for (int d = 0; d < D; ++d) sum[d] = fma(weight, vfloat(values[d]), sum[d]);
        if (differentiable && gradients)
          slopes.add(p, values, pixels.dx(p, block), pixels.dy(p, block), raw, alpha, before);
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
      pixels.keep(block, through);
      for (int d = 0; d < D; ++d) store(home + d * L, sum[d]);
      if (differentiable && gradients) slopes.put_back(*gradients, block);
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
