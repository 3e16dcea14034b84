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
  TilePixels pixels(t);
  Batch<FEW_SPLATS, FEW_ITEMS> batch;
  alignas(64) float rest[BLOCKS * L], v_values[D * BLOCKS * L];
  [[maybe_unused]] alignas(64) float scores[scored ? BLOCKS * L : 1];
  for (int i = 0; i < BLOCKS * L; i += L) {
    store(rest + i, vfloat(0.0f));
    if constexpr (scored) store(scores + i, vfloat(0.0f));
  }
  for (int i = 0; i < D * BLOCKS * L; i += L) store(v_values + i, vfloat(0.0f));
  const int colors = pass.first ? 3 : 0;
  if (pass.first) {
    each_pixel(bins, t, [&](int place, int64_t pixel) {
      float *v = v_values + (unsigned)place / L * D * L + (unsigned)place % L;
      const float *v_rgb = g.v_rgb + 3 * pixel, *rgb = a.rgb + 3 * pixel;
      for (int c = 0; c < 3; ++c) v[c * L] = v_rgb[c];
      rest[place] = v_rgb[0] * rgb[0] + v_rgb[1] * rgb[1] + v_rgb[2] * rgb[2];
    });
    // alpha is 1 - final transmittance, and that belongs to the rest.
    if (g.v_alpha)
      each_pixel(bins, t, [&](int place, int64_t pixel) {
        rest[place] -= g.v_alpha[pixel] * (1.0f - a.alpha[pixel]);
      });
    if constexpr (scored)
      each_pixel(bins, t, [&](int place, int64_t pixel) { scores[place] = g.scores[pixel]; });
  }
  if (pass.channel_count > 0)
    each_pixel(bins, t, [&](int place, int64_t pixel) {
      float *v = v_values + (unsigned)place / L * D * L + (unsigned)place % L;
      for (int c = 0; c < pass.channel_count; ++c) {
        const int64_t channel = a.num_channels * pixel + pass.channel_begin + c;
        v[(colors + c) * L] = g.v_channel_image[channel];
        rest[place] += g.v_channel_image[channel] * a.channel_image[channel];
      }
    });

  int64_t done = t.begin;
  for (; done < t.end && pixels.open > 0; done += batch.count) {
    batch.fill(bins, t, done);
    batch.evaluate(pixels);
    int item = 0;
    for (int k = 0; k < batch.count; ++k) {
      const PackedSplat &p = *batch.splat[k];
      const float *values = pass.values ? pass.values + (int64_t)batch.id[k] * D : p.color;
      // The slot, not yet summed over lanes.
      vfloat sums[SLOT];
      for (vfloat &sum : sums) sum = vfloat(0.0f);
      vfloat *moments = sums + SLOT_MOMENTS, *value_sums = sums + SLOT_VALUES;
      for (; batch.list[item] >> 8 == k; ++item) {
        const unsigned block = batch.list[item] & 0xff;
        const vfloat raw = load(batch.raw + item * L);
        vfloat alpha = min(raw, vfloat((float)ALPHA_MAX));
        vfloat through = pixels.through(block);
        const vfloat before = pixels.pass(block, through, alpha);
        pixels.keep(block, through);
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
        const vfloat odds = alpha * reciprocal(vfloat(1.0f) - alpha);
        const vfloat v_log = select(raw <= vfloat((float)ALPHA_MAX),
                                    fnma(behind, odds, weight * v_weight), vfloat(0.0f));
        const vfloat dx = pixels.dx(p, block), dy = pixels.dy(p, block);
        const vfloat x = v_log * dx, y = v_log * dy;
        moments[0] += v_log;
        moments[1] += x;
        moments[2] += y;
        moments[3] = fma(x, dx, moments[3]);
        moments[4] = fma(x, dy, moments[4]);
        moments[5] = fma(y, dy, moments[5]);
        if constexpr (scored) {
          sums[SLOT_SCORE] = fma(weight, load(scores + block * L), sums[SLOT_SCORE]);
          sums[SLOT_WEIGHT] += weight;
        }
      }
      float *slot = pass.slots + (done + k) * SLOT;
      for (int c = 0; c < SLOT; c += 16) hsum16(sums + c, slot + c);
    }
  }
  for (; done < t.end; ++done) {
    float *slot = pass.slots + done * SLOT;
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

// Turns 16 consecutive floats of each of L rows into 16 columns.
SK_INLINE void columns16(const float *const rows[L], vfloat columns[16]) {
  for (int c = 0; c < 16; c += L) {
    for (int l = 0; l < L; ++l) columns[c + l] = load(rows[l] + c);
    transpose(columns + c);
  }
}

// Sums of the first 16 floats of each splat's slots, as columns.
SK_INLINE void sum_slots(const BlendPass &pass, int slot, int64_t first, int n,
                         vfloat columns[16]) {
  const Bins &bins = *pass.bins;
  for (int c = 0; c < 16; c += L) {
    for (int l = 0; l < L; ++l) {
      columns[c + l] = vfloat(0.0f);
      if (l >= n) continue;
      const int64_t end = bins.instance_end(first + l);
      for (int64_t k = bins.packed[first + l].first_instance; k < end; ++k)
        columns[c + l] += load(pass.slots + (int64_t)bins.places[k] * slot + c);
    }
    transpose(columns + c);
  }
}

// The gradients of `n` records, at most L, from the moments and colours of their slots.
SK_INLINE void gather_records(const BlendPass &pass, int slot, int64_t first, int n) {
  const BlendGradients<float> &g = *pass.gradients;
  const PackedSplat *packed = &pass.bins->packed[first];
  vfloat sums[16], splat[16];
  sum_slots(pass, slot, first, n, sums);
  const float *rows[L];
  for (int l = 0; l < L; ++l) rows[l] = &packed[l < n ? l : 0].x;
  columns16(rows, splat);
  const vfloat opacity = exp2(splat[2]);
  const vfloat conic[3] = {splat[3] * vfloat((float)(-2.0 / LOG2_E)),
                           splat[4] * vfloat((float)(-1.0 / LOG2_E)),
                           splat[5] * vfloat((float)(-2.0 / LOG2_E))};
  vfloat v_record[16];
  for (vfloat &v : v_record) v = vfloat(0.0f);
  const AlphaMoments<vfloat> moments = {sums[0], sums[1], sums[2], sums[3], sums[4], sums[5]};
  alpha_moments_adj(conic, opacity, moments, v_record + RECORD_MEAN, v_record + RECORD_CONIC,
                    v_record[RECORD_OPACITY]);
  if (pass.first)
    for (int c = 0; c < 3; ++c) v_record[RECORD_COLOR + c] = sums[SLOT_VALUES + c];
  for (int c = 0; c < RECORD_SIZE; c += L) {
    const vmask lanes = first_lanes(RECORD_SIZE - c < L ? RECORD_SIZE - c : L);
    transpose(v_record + c);
    for (int l = 0; l < n; ++l) {
      // A splat of no tile was never blended; its conic may be anything.
      const bool blended = pass.bins->instance_end(first + l) > packed[l].first_instance;
      float *place = g.v_records + (int64_t)RECORD_SIZE * packed[l].row + c;
      const vfloat before = pass.first ? vfloat(0.0f) : load(place, lanes);
      store(place, blended ? before + v_record[c + l] : before, lanes);
    }
  }
  if (pass.first && g.score_sums) {
    alignas(64) float lanes[2][L];
    store(lanes[0], sums[SLOT_SCORE]);
    store(lanes[1], sums[SLOT_WEIGHT]);
    for (int l = 0; l < n; ++l)
      for (int c = 0; c < 2; ++c) g.score_sums[2 * (int64_t)packed[l].row + c] = lanes[c][l];
  }
}

void gather_channels(const BlendPass &pass, int slot, int64_t first, int n) {
  const Bins &bins = *pass.bins;
  const int offset = SLOT_VALUES + (pass.first ? 3 : 0);
  for (int64_t i = first; i < first + n; ++i) {
    float *out = pass.gradients->v_channels +
                 (int64_t)pass.arguments->num_channels * bins.packed[i].row + pass.channel_begin;
    for (int c = 0; c < pass.channel_count; ++c) out[c] = 0.0f;
    for (int64_t k = bins.packed[i].first_instance; k < bins.instance_end(i); ++k)
      for (int c = 0; c < pass.channel_count; ++c)
        out[c] += pass.slots[(int64_t)bins.places[k] * slot + offset + c];
  }
}

}  // namespace

void blend_adj_tile(const BlendPass &pass, int tile) {
  if (pass.count == 3)
    blend_adj_tile_values<3>(pass, tile);
  else if (pass.count == 4)
    blend_adj_tile_values<4>(pass, tile);
  else if (pass.count == 8)
    blend_adj_tile_values<8>(pass, tile);
  else
    blend_adj_tile_values<16>(pass, tile);
}

void gather_gradients(const BlendPass &pass, int64_t begin, int64_t end) {
  const int slot = slot_size(pass.count);
  for (int64_t i = begin; i < end; i += L) {
    const int n = (int)(end - i < L ? end - i : L);
    gather_records(pass, slot, i, n);
    if (pass.gradients->v_channels) gather_channels(pass, slot, i, n);
  }
}

}  // namespace SK_ISA
}  // namespace splatkit
