// Reconstruction of a large image from a small one.
//
// Places on the small image are counted in its pixels from the centre of the first one; a place
// lies between the samples k and k + 1, at t in 0..1 from k.
#pragma once

#include "common.h"

namespace splatkit {
inline namespace SK_ISA {

// Where the centre of a pixel of the large image lies on the small one.
SK_HD float place_of(int pixel, float step, float origin) {
  return ((float)pixel + 0.5f) * step - origin;
}

// Between which samples a place lies.
struct Cell {
  int first;
  float t;
};
SK_HD Cell cell_at(float place, int samples) {
  int first = (int)(place < 0.0f ? 0.0f : place);
  if (first > samples - 2) first = samples - 2;
  return {first, place - (float)first};
}

// Cubic Hermite interpolation: weights of the values and of the slopes at t = 0 and t = 1.
template <class T>
struct Hermite {
  T value0, slope0, value1, slope1;
};
template <class T>
SK_HD Hermite<T> hermite(T t) {
  const T s = T(1.0f) - t, ts = t * s;
  return {fma(T(2.0f) * t, s * s, s * s), ts * s, fma(T(2.0f) * s, t * t, t * t), -(ts * t)};
}

// Catmull-Rom spline, that is Hermite interpolation with slopes guessed from the neighbours:
// weights of the four samples around t.
template <class T>
SK_HD void catmull_rom(T t, T w[4]) {
  const Hermite<T> h = hermite(t);
  const T half(0.5f);
  w[0] = -(h.slope0 * half);
  w[1] = h.value0 - h.slope1 * half;
  w[2] = h.value1 + h.slope0 * half;
  w[3] = h.slope1 * half;
}

// Distance to the nearest of two samples, in samples.
template <class T>
SK_HD T to_nearest(T t) {
  return min(t, T(1.0f) - t);
}

// How much a reconstructed pixel is worth beside other frames' at the squared distance `square`
// from the nearest sample: SAMPLE_WEIGHT on the sample itself, where it is exact, 1 at the square
// of SAMPLE_REACH.
constexpr float SAMPLE_WEIGHT = 1e6f;
constexpr float SAMPLE_REACH = 0.06f;
template <class T>
SK_HD T sample_weight(T square) {
  const T ratio = square * T(1.0f / SAMPLE_REACH);
  return T(1.0f) / fma(ratio, ratio, T(1.0f / SAMPLE_WEIGHT));
}

// A row of the [3,4] matrix of motion times (x, y, 1, inverse depth) of a large pixel.
template <class T>
SK_HD T moved(const float *row, T x, T y, T inverse_depth) {
  return fma(x, T(row[0]), fma(y, T(row[1]), fma(inverse_depth, T(row[3]), T(row[2]))));
}

// Depths that differ by more than this share of the nearer one belong to different surfaces, and so
// do coverages that differ by more than that.
constexpr float DEPTH_TOLERANCE = 0.02f;
constexpr float ALPHA_TOLERANCE = 0.1f;
// Whether what the frame before saw at a place is what is expected there: inverse depth and alpha.
template <class T>
SK_HD mask_of<T> same_surface(T seen, T expected, T seen_alpha, T alpha) {
  const T apart = seen - expected, uncovered = seen_alpha - alpha;
  return (max(apart, -apart) <= max(seen, expected) * T(DEPTH_TOLERANCE)) &
         (max(uncovered, -uncovered) <= T(ALPHA_TOLERANCE));
}

// Difference of the reconstruction from the linear one at which the past counts half: where the
// picture is smooth one small picture says all, and the past would add only what it errs.
constexpr float DETAIL_TOLERANCE = 0.01f;
// Weight of the past in motion, `weight` at first, where its colour differs by `square` from this
// frame's, and this frame's from the linear one by `detail` (both squared); at a difference of
// `color_tolerance` it counts half.
template <class T>
SK_HD T weight_followed(T weight, T square, T detail, float color_tolerance) {
  const float scale = 1.0f / (color_tolerance * color_tolerance);
  const T smooth(DETAIL_TOLERANCE * DETAIL_TOLERANCE);
  return weight * detail * reciprocal(fma(square, T(scale), T(1.0f)) * (detail + smooth));
}

}  // namespace SK_ISA
}  // namespace splatkit
