// FSR 1 pixel by pixel.

#include "splatkit/fsr.h"

#include "simd.h"
#include "upscale.h"

namespace splatkit {
inline namespace SK_ISA {
namespace {

SK_INLINE int inside(int i, int count) { return i < 0 ? 0 : i < count ? i : count - 1; }

// The twelve taps around a place, as rows of the names that AMD's description has.
//      b c
//    e f g h
//    i j k l
//      n o
constexpr int TAPS = 12;
constexpr int TAP_X[TAPS] = {0, 1, -1, 0, 1, 2, -1, 0, 1, 2, 0, 1};
constexpr int TAP_Y[TAPS] = {-1, -1, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2};
enum Tap { b, c, e, f, g, h, i, j, k, l, n, o };

SK_INLINE void easu(const FsrArguments &a, float place_x, float place_y, float *out) {
  int x = (int)place_x, y = (int)place_y;
  x -= place_x < (float)x;
  y -= place_y < (float)y;
  const float tx = place_x - (float)x, ty = place_y - (float)y;
  float color[TAPS][3], luma[TAPS];
  for (int t = 0; t < TAPS; ++t) {
    const float *pixel = a.rgb + 3 * ((int64_t)inside(y + TAP_Y[t], a.grid.height) * a.grid.width +
                                      inside(x + TAP_X[t], a.grid.width));
    for (int d = 0; d < 3; ++d) color[t][d] = clamp01(pixel[d]);
    luma[t] = fsr_luma(color[t]);
  }
  Edge<float> edge = {0.0f, 0.0f, 0.0f};
  const float sx = 1.0f - tx, sy = 1.0f - ty;
  add_edge(sx * sy, luma[e], luma[g], luma[b], luma[j], luma[f], edge);
  add_edge(tx * sy, luma[f], luma[h], luma[c], luma[k], luma[g], edge);
  add_edge(sx * ty, luma[i], luma[k], luma[f], luma[n], luma[j], edge);
  add_edge(tx * ty, luma[j], luma[l], luma[g], luma[o], luma[k], edge);
  const EdgeWindow<float> window = edge_window(edge);
  float sum[3] = {0.0f, 0.0f, 0.0f}, total = 0.0f;
  for (int t = 0; t < TAPS; ++t) {
    const float w = window_weight(window, (float)TAP_X[t] - tx, (float)TAP_Y[t] - ty);
    total += w;
    for (int d = 0; d < 3; ++d) sum[d] += w * color[t][d];
  }
  for (int d = 0; d < 3; ++d) {
    const float low = min(min(color[f][d], color[g][d]), min(color[j][d], color[k][d]));
    const float high = max(max(color[f][d], color[g][d]), max(color[j][d], color[k][d]));
    out[d] = min(max(sum[d] / total, low), high);
  }
}

}  // namespace

void fsr_rows(const FsrArguments &a, int begin, int end) {
  const SmallGrid &grid = a.grid;
  for (int y = begin; y < end; ++y)
    for (int x = 0; x < a.width; ++x)
      easu(a, ((float)x + 0.5f) * grid.step - grid.origin_x,
           ((float)y + 0.5f) * grid.step - grid.origin_y, a.out + 3 * ((int64_t)y * a.width + x));
}

void sharpen_rows(const SharpenArguments &a, int begin, int end) {
  const auto pixel = [&](int x, int y) {
    return a.rgb + 3 * ((int64_t)inside(y, a.height) * a.width + inside(x, a.width));
  };
  for (int y = begin; y < end; ++y)
    for (int x = 0; x < a.width; ++x) {
      float cross[5][3];
      const float *from[5] = {pixel(x, y - 1), pixel(x - 1, y), pixel(x, y), pixel(x + 1, y),
                              pixel(x, y + 1)};
      for (int p = 0; p < 5; ++p)
        for (int d = 0; d < 3; ++d) cross[p][d] = clamp01(from[p][d]);
      sharpen(cross[0], cross[1], cross[2], cross[3], cross[4], a.sharpness,
              a.out + 3 * ((int64_t)y * a.width + x));
    }
}

}  // namespace SK_ISA
}  // namespace splatkit
