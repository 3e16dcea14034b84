// Records, in depth order, become what the inner loops read: vfloat::size splats at a time.

#include "blend.h"
#include "simd.h"
#include "splatkit/screen.h"

namespace splatkit {
inline namespace SK_ISA {
namespace {

constexpr int L = vfloat::size;
constexpr int AHEAD = 2 * L;
// A little more than exact, so that rounding never drops a pixel.
constexpr float SLACK = 1.0f + 1e-4f, SLACK_PIXELS = 1e-3f;

// First and last pixel whose centre lies in middle +- extent, as two 16-bit halves; 1 and 0 where
// there is none.
SK_INLINE vint pixel_range(vfloat middle, vfloat extent, int size, vmask visible) {
  const vfloat low = middle - extent, high = middle + extent;
  const vfloat first = -floor(-min(max(low - vfloat(0.5f), vfloat(0.0f)), vfloat((float)size)));
  const vfloat last =
      floor(min(max(high - vfloat(0.5f), vfloat(-1.0f)), vfloat((float)(size - 1))));
  // Comparisons that NaN fails.
  const vmask some = visible & (low <= high) & (first <= last);
  return select(some, to_int(first) | to_int(last) << 16, vint(1));
}

}  // namespace

void pack_splats(const BlendArguments<float> &a, const int32_t *order, int64_t begin, int64_t end,
                 PackedSplat *packed) {
  for (int64_t i = begin; i < end; i += L) {
    const int n = (int)(end - i < L ? end - i : L);
    for (int64_t k = i + AHEAD; k < i + AHEAD + L && k < end; ++k)
      prefetch(a.records + (int64_t)RECORD_SIZE * order[k]);
    alignas(64) int32_t rows[L], gaussians[L];
    for (int l = 0; l < L; ++l) {
      rows[l] = order[i + (l < n ? l : 0)];
      gaussians[l] = a.gaussian_ids[rows[l]];
    }
    vfloat r[16], p[16];
    for (int c = 0; c < RECORD_SIZE; c += L) {
      const vmask lanes = first_lanes(RECORD_SIZE - c < L ? RECORD_SIZE - c : L);
      for (int l = 0; l < L; ++l)
        r[c + l] = load(a.records + (int64_t)RECORD_SIZE * rows[l] + c, lanes);
      transpose(r + c);
    }
    const vfloat opacity = r[RECORD_OPACITY];
    const FoldedConic<vfloat> f = fold_conic(r + RECORD_CONIC, opacity);
    const vfloat extent_x = fma(r[RECORD_EXTENT], vfloat(SLACK), vfloat(SLACK_PIXELS));
    const vfloat extent_y = fma(r[RECORD_EXTENT + 1], vfloat(SLACK), vfloat(SLACK_PIXELS));
    const vmask visible = opacity >= vfloat((float)ALPHA_MIN);
    p[0] = r[0];
    p[1] = r[1];
    p[2] = f.log2_opacity;
    p[3] = f.xx;
    p[4] = f.xy;
    p[5] = f.yy;
    for (int c = 0; c < 3; ++c) p[6 + c] = r[RECORD_COLOR + c];
    p[9] = r[RECORD_DEPTH];
    p[10] = bitcast_float(pixel_range(r[0], extent_x, a.width, visible));
    p[11] = bitcast_float(pixel_range(r[1], extent_y, a.height, visible));
    p[12] = bitcast_float(load(rows));
    p[13] = bitcast_float(load(gaussians));
    p[14] = vfloat(0.0f);
    p[15] = extent_x;
    for (int c = 0; c < 16; c += L) {
      transpose(p + c);
      for (int l = 0; l < n; ++l) store(&packed[i + l].x + c, p[c + l]);
    }
  }
}

}  // namespace SK_ISA
}  // namespace splatkit
