// The gradient of a tile, front to back: each pixel keeps the dot product of the loss gradient
// with what is still to be blended, so nothing has to be stored in the forward pass or divided out.

#include "blend_tile.h"
#include "splatkit/screen.h"

namespace splatkit {
inline namespace SK_ISA {
namespace {

template <int D, bool scored>
void blend_adj_tile_of(const BlendPass &pass, int tile) {
  constexpr int SLOT = slot_size(D);
  const BlendArguments<float> &a = *pass.arguments;
  const BlendGradients<float> &g = *pass.gradients;
  const Bins &bins = *pass.bins;
  const TilePlace t = tile_place(bins, tile);
  Cuts cuts;
  Touched touched;
  alignas(64) float transmittance[BLOCKS * L], rest[BLOCKS * L], v_values[D * BLOCKS * L];
  [[maybe_unused]] alignas(64) float scores[scored ? BLOCKS * L : 1];
  for (int i = 0; i < BLOCKS * L; i += L) {
    store(transmittance + i, vfloat(1.0f));
    store(rest + i, vfloat(0.0f));
    if constexpr (scored) store(scores + i, vfloat(0.0f));
  }
  for (int i = 0; i < D * BLOCKS * L; i += L) store(v_values + i, vfloat(0.0f));
  const int colors = pass.first ? 3 : 0;
  each_pixel(bins, t, [&](int place, int64_t pixel) {
    float *v = v_values + place / L * D * L + place % L, sum = 0.0f;
    if (pass.first) {
      for (int c = 0; c < 3; ++c) {
        v[c * L] = g.v_rgb[3 * pixel + c];
        sum += v[c * L] * a.rgb[3 * pixel + c];
      }
      // alpha is 1 - final transmittance, and that belongs to the rest.
      if (g.v_alpha) sum -= g.v_alpha[pixel] * (1.0f - a.alpha[pixel]);
      if constexpr (scored) scores[place] = g.scores[pixel];
    }
    for (int c = 0; c < pass.channel_count; ++c) {
      const int64_t channel = a.num_channels * pixel + pass.channel_begin + c;
      v[(colors + c) * L] = g.v_channel_image[channel];
      sum += g.v_channel_image[channel] * a.channel_image[channel];
    }
    rest[place] = sum;
  });

  int open = cuts.open(t);
  int64_t i = t.begin;
  for (; i < t.end && open > 0; ++i) {
    if (i + PREFETCH < t.end) prefetch(&bins.packed[bins.entries[i + PREFETCH].splat]);
    const TileEntry entry = bins.entries[i];
    const PackedSplat &p = bins.packed[entry.splat];
    const float *values = pass.values ? pass.values + (int64_t)entry.splat * D : p.color;
    find_touched(p, t, cuts, touched);
    vfloat one(0.0f), mx(0.0f), my(0.0f), mxx(0.0f), mxy(0.0f), myy(0.0f), value_sums[D];
    [[maybe_unused]] vfloat score_sum(0.0f), weight_sum(0.0f);
    for (vfloat &sum : value_sums) sum = vfloat(0.0f);
    for (int k = 0; k < touched.count; ++k) {
      const int block = touched.block[k];
      const vfloat e = load(touched.exponent + k * L);
      const vfloat raw = exp2_small(e);
      vfloat alpha = select(e >= load(cuts.value + block * L), min(raw, vfloat((float)ALPHA_MAX)),
                            vfloat(0.0f));
      const vfloat before = load(transmittance + block * L);
      vfloat after = before * (vfloat(1.0f) - alpha);
      const vmask ends = after <= vfloat((float)TRANSMITTANCE_MIN);
      if (any(ends)) {
        open -= popcount(bits(ends));
        cuts.close(block, ends);
        alpha = select(ends, vfloat(0.0f), alpha);
        after = select(ends, before, after);
      }
      store(transmittance + block * L, after);
      const vfloat weight = alpha * before;
      const float *v = v_values + block * D * L;
      vfloat v_weight = load(v) * vfloat(values[0]);
      value_sums[0] = fma(weight, load(v), value_sums[0]);
      for (int d = 1; d < D; ++d) {
        const vfloat v_value = load(v + d * L);
        v_weight = fma(v_value, vfloat(values[d]), v_weight);
        value_sums[d] = fma(weight, v_value, value_sums[d]);
      }
      const vfloat behind = fnma(weight, v_weight, load(rest + block * L));
      store(rest + block * L, behind);
      // alpha times alpha_adj; 0 where alpha is 0.
      const vfloat v_log =
          select(raw <= vfloat((float)ALPHA_MAX),
                 fnma(behind, alpha / (vfloat(1.0f) - alpha), weight * v_weight), vfloat(0.0f));
      const vfloat dx = load(touched.dx + block % COLUMNS * L);
      const vfloat dy = load(touched.dy + block / COLUMNS * L);
      const vfloat x = v_log * dx, y = v_log * dy;
      one += v_log;
      mx += x;
      my += y;
      mxx = fma(x, dx, mxx);
      mxy = fma(x, dy, mxy);
      myy = fma(y, dy, myy);
      if constexpr (scored) {
        weight_sum += weight;
        score_sum = fma(weight, load(scores + block * L), score_sum);
      }
    }
    float *slot = pass.slots + (int64_t)entry.instance * SLOT;
    slot[0] = hsum(one);
    slot[1] = hsum(mx);
    slot[2] = hsum(my);
    slot[3] = hsum(mxx);
    slot[4] = hsum(mxy);
    slot[5] = hsum(myy);
    if constexpr (scored) {
      slot[SLOT_SCORE] = hsum(score_sum);
      slot[SLOT_WEIGHT] = hsum(weight_sum);
    } else {
      slot[SLOT_SCORE] = slot[SLOT_WEIGHT] = 0.0f;
    }
    for (int d = 0; d < D; ++d) slot[SLOT_VALUES + d] = hsum(value_sums[d]);
  }
  for (; i < t.end; ++i) {
    float *slot = pass.slots + (int64_t)bins.entries[i].instance * SLOT;
    for (int k = 0; k < SLOT; ++k) slot[k] = 0.0f;
  }
}

template <int D>
void blend_adj_tile_values(const BlendPass &pass, int tile) {
  if (pass.first && pass.gradients->scores)
    blend_adj_tile_of<D, true>(pass, tile);
  else
    blend_adj_tile_of<D, false>(pass, tile);
}

template <int D>
void gather(const BlendPass &pass, int64_t begin, int64_t end) {
  constexpr int SLOT = slot_size(D);
  const BlendGradients<float> &g = *pass.gradients;
  const Bins &bins = *pass.bins;
  for (int64_t i = begin; i < end; ++i) {
    const PackedSplat &p = bins.packed[i];
    const int64_t last = i + 1 < bins.splats ? bins.packed[i + 1].first_instance : bins.instances;
    float sum[SLOT] = {};
    for (int64_t k = p.first_instance; k < last; ++k)
      for (int c = 0; c < SLOT; ++c) sum[c] += pass.slots[k * SLOT + c];
    const float *record = pass.arguments->records + (int64_t)RECORD_SIZE * p.row;
    float *v_record = g.v_records + (int64_t)RECORD_SIZE * p.row;
    if (pass.first)
      for (int c = 0; c < RECORD_SIZE; ++c) v_record[c] = 0.0f;
    const AlphaMoments<float> moments = {sum[0], sum[1], sum[2], sum[3], sum[4], sum[5]};
    if (last > p.first_instance)
      alpha_moments_adj(record + RECORD_CONIC, record[RECORD_OPACITY], moments,
                        v_record + RECORD_MEAN, v_record + RECORD_CONIC, v_record[RECORD_OPACITY]);
    const int colors = pass.first ? 3 : 0;
    for (int c = 0; c < colors; ++c) v_record[RECORD_COLOR + c] = sum[SLOT_VALUES + c];
    if (g.v_channels)
      for (int c = 0; c < pass.channel_count; ++c)
        g.v_channels[(int64_t)pass.arguments->num_channels * p.row + pass.channel_begin + c] =
            sum[SLOT_VALUES + colors + c];
    if (pass.first && g.score_sums) {
      g.score_sums[2 * (int64_t)p.row] = sum[SLOT_SCORE];
      g.score_sums[2 * (int64_t)p.row + 1] = sum[SLOT_WEIGHT];
    }
  }
}

}  // namespace

void blend_adj_tile(const BlendPass &pass, int tile) {
  if (pass.count == 3)
    blend_adj_tile_values<3>(pass, tile);
  else if (pass.count == 8)
    blend_adj_tile_values<8>(pass, tile);
  else
    blend_adj_tile_values<16>(pass, tile);
}

void gather_gradients(const BlendPass &pass, int64_t begin, int64_t end) {
  if (pass.count == 3)
    gather<3>(pass, begin, end);
  else if (pass.count == 8)
    gather<8>(pass, begin, end);
  else
    gather<16>(pass, begin, end);
}

}  // namespace SK_ISA
}  // namespace splatkit
