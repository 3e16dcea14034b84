// Reconstruction of a large image from a small one.
//
// Places on the small image are counted in its pixels from the centre of the first one; a place
// lies between the samples k and k + 1, at t in 0..1 from k.
#pragma once

#include "common.h"

namespace splatkit {
inline namespace SK_ISA {

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

}  // namespace SK_ISA
}  // namespace splatkit
