// Structural similarity after Wang et al. 2004, "Image Quality Assessment: From Error Visibility
// to Structural Similarity", at one pixel and channel, from blurred images.
#pragma once

#include "common.h"

namespace splatkit {
inline namespace SK_ISA {

constexpr int SSIM_RADIUS = 5;
constexpr float SSIM_C1 = 0.01f * 0.01f;
constexpr float SSIM_C2 = 0.03f * 0.03f;

// Half of the 11-tap Gaussian window of sigma 1.5 that sums to 1: weight at distance k.
SK_HD constexpr float ssim_weight(int k) {
  constexpr float weights[SSIM_RADIUS + 1] = {0.266011725f,  0.213005538f,   0.10936069f,
                                              0.0360007721f, 0.00759875814f, 0.00102838008f};
  return weights[k];
}

// Window averages of a render x and a photo y.
template <class T>
struct SsimMoments {
  T mean_x, mean_y;
  T squares;  // of x x + y y: SSIM needs the sum of the two variances only
  T product;  // of x y
};

// The similarity, 1 where both images agree over the window.
template <class T>
SK_HD T ssim(const SsimMoments<T> &m) {
  const T cross = m.mean_x * m.mean_y;
  const T energy = fma(m.mean_x, m.mean_x, m.mean_y * m.mean_y);
  const T a = cross + cross + T(SSIM_C1), b = (m.product - cross) * T(2.0f) + T(SSIM_C2);
  const T c = energy + T(SSIM_C1), d = m.squares - energy + T(SSIM_C2);
  return (a * b) / (c * d);
}

// Adds v_score times the derivative with respect to the moments that hold x; a photo is constant.
template <class T>
SK_HD void ssim_adj(const SsimMoments<T> &m, T v_score, SsimMoments<T> &v_m) {
  const T cross = m.mean_x * m.mean_y;
  const T energy = fma(m.mean_x, m.mean_x, m.mean_y * m.mean_y);
  const T a = cross + cross + T(SSIM_C1), b = (m.product - cross) * T(2.0f) + T(SSIM_C2);
  const T c = energy + T(SSIM_C1), d = m.squares - energy + T(SSIM_C2);
  const T v_ratio = v_score / (c * d);
  const T v_denominator = v_ratio * ((a * b) / (c * d));
  v_m.squares = v_m.squares - v_denominator * c;
  v_m.product = v_m.product + v_ratio * (a + a);
  // Through a, b (numerator), then c, d (denominator).
  v_m.mean_x =
      v_m.mean_x + T(2.0f) * (m.mean_y * v_ratio * (b - a) + m.mean_x * v_denominator * (c - d));
}

}  // namespace SK_ISA
}  // namespace splatkit
