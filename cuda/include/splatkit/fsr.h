// Spatial upscaling and sharpening after AMD FidelityFX Super Resolution 1 (Timothy Lottes 2021):
// EASU, an edge-directed 12-tap window, and RCAS, sharpening limited by its own neighbourhood.
//
// Written from the published description of the algorithm; colours are those of the screen, 0..1.
#pragma once

#include "common.h"

namespace splatkit {
inline namespace SK_ISA {

template <class T>
SK_HD T clamp01(T x) {
  return max(min(x, T(1.0f)), T(0.0f));
}
// Twice the luma, roughly.
template <class T>
SK_HD T fsr_luma(const T *rgb) {
  return fma(T(0.5f), rgb[0] + rgb[2], rgb[1]);
}

// Direction and length of the edge at a place, gathered from its four nearest pixels.
template <class T>
struct Edge {
  T x, y, length;
};
// One of the four pixels: `center` with its neighbours, of weight `weight`.
template <class T>
SK_HD void add_edge(T weight, T left, T right, T above, T below, T center, Edge<T> &edge) {
  const T across = right - left, down = below - above;
  const auto edginess = [&](T before, T behind, T difference) {
    const T step_before = center - before, step_behind = behind - center;
    const T largest = max(max(step_before, -step_before), max(step_behind, -step_behind));
    const T share = clamp01(max(difference, -difference) / max(largest, T(1e-8f)));
    return share * share;
  };
  edge.x = fma(across, weight, edge.x);
  edge.y = fma(down, weight, edge.y);
  edge.length =
      fma(weight, edginess(left, right, across) + edginess(above, below, down), edge.length);
}

// A window turned along an edge and stretched by its strength.
template <class T>
struct EdgeWindow {
  T x, y;              // unit direction across the edge
  T scale_x, scale_y;  // of the two turned axes
  T lobe, end;         // strength of the negative lobe; squared distance where the window ends
};
template <class T>
SK_HD EdgeWindow<T> edge_window(const Edge<T> &edge) {
  const T square = fma(edge.x, edge.x, edge.y * edge.y);
  const auto flat = square < T(1.0f / 32768.0f);
  const T inverse = T(1.0f) / sqrt(select(flat, T(1.0f), square));
  EdgeWindow<T> w;
  w.x = select(flat, T(1.0f), edge.x) * inverse;
  w.y = edge.y * inverse;
  const T strength = T(0.25f) * edge.length * edge.length;
  // Diagonals are longer than axes.
  const T longest = max(max(w.x, -w.x), max(w.y, -w.y));
  const T stretch = fma(w.x, w.x, w.y * w.y) / max(longest, T(1e-8f));
  w.scale_x = fma(stretch - T(1.0f), strength, T(1.0f));
  w.scale_y = fma(T(-0.5f), strength, T(1.0f));
  w.lobe = fma(T(0.25f - 0.04f - 0.5f), strength, T(0.5f));
  w.end = T(1.0f) / w.lobe;
  return w;
}
// The window's weight (an approximation of a Lanczos window without trigonometry) at an offset.
template <class T>
SK_HD T window_weight(const EdgeWindow<T> &w, T dx, T dy) {
  const T along = fma(dx, w.x, dy * w.y) * w.scale_x;
  const T across = fma(dy, w.x, -(dx * w.y)) * w.scale_y;
  const T square = min(fma(along, along, across * across), w.end);
  const T base = fma(T(0.4f), square, T(-1.0f)), window = fma(w.lobe, square, T(-1.0f));
  return fma(T(25.0f / 16.0f) * base, base, T(-9.0f / 16.0f)) * (window * window);
}

SK_HD int within(int i, int count) { return i < 0 ? 0 : i < count ? i : count - 1; }
// Where the colour of a pixel of [height,width,3] lies; beyond the border, of the nearest one.
SK_HD const float *pixel_of(const float *image, int width, int height, int x, int y) {
  return image + 3 * ((long long)within(y, height) * width + within(x, width));
}

// EASU: the colour [3] at a place on an image [height,width,3].
//
// The twelve taps around it, with the names that AMD's description has, in rows:
//      b c
//    e f g h
//    i j k l
//      n o
SK_HD void easu(const float *image, int width, int height, float place_x, float place_y,
                float *out) {
  constexpr int TAPS = 12;
  constexpr int TAP_X[TAPS] = {0, 1, -1, 0, 1, 2, -1, 0, 1, 2, 0, 1};
  constexpr int TAP_Y[TAPS] = {-1, -1, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2};
  enum Tap { b, c, e, f, g, h, i, j, k, l, n, o };
  int x = (int)place_x, y = (int)place_y;
  x -= place_x < (float)x;
  y -= place_y < (float)y;
  const float tx = place_x - (float)x, ty = place_y - (float)y;
  float color[TAPS][3], luma[TAPS];
  for (int t = 0; t < TAPS; ++t) {
    const float *pixel = pixel_of(image, width, height, x + TAP_X[t], y + TAP_Y[t]);
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

// RCAS: the sharpened middle of a cross of pixels, all [3]; `sharpness` in 0..1, 1 the strongest.
template <class T>
SK_HD void sharpen(const T *above, const T *left, const T *center, const T *right, const T *below,
                   T sharpness, T *out) {
  constexpr float MOST = 0.25f - 1.0f / 16.0f;
  T lobe(-MOST);
  for (int c = 0; c < 3; ++c) {
    const T low = min(min(above[c], left[c]), min(right[c], below[c]));
    const T high = max(max(above[c], left[c]), max(right[c], below[c]));
    const T to_black = min(low, center[c]) / max(T(4.0f) * high, T(1e-6f));
    const T to_white =
        (T(1.0f) - max(high, center[c])) / min(fma(T(4.0f), low, T(-4.0f)), T(-1e-6f));
    lobe = max(lobe, max(-to_black, to_white));
  }
  lobe = min(lobe, T(0.0f)) * sharpness;
  const T inverse = T(1.0f) / fma(T(4.0f), lobe, T(1.0f));
  for (int c = 0; c < 3; ++c)
    out[c] = fma(lobe, above[c] + left[c] + right[c] + below[c], center[c]) * inverse;
}
// The same of a pixel of an image [height,width,3].
SK_HD void sharpen_pixel(const float *image, int width, int height, int x, int y, float sharpness,
                         float *out) {
  const auto pixel = [&](int column, int row) {
    return pixel_of(image, width, height, column, row);
  };
  const float *from[5] = {pixel(x, y - 1), pixel(x - 1, y), pixel(x, y), pixel(x + 1, y),
                          pixel(x, y + 1)};
  float cross[5][3];
  for (int p = 0; p < 5; ++p)
    for (int d = 0; d < 3; ++d) cross[p][d] = clamp01(from[p][d]);
  sharpen(cross[0], cross[1], cross[2], cross[3], cross[4], sharpness, out);
}

}  // namespace SK_ISA
}  // namespace splatkit
