// Front-to-back blending of one splat at one pixel (Kerbl et al. 2023).
//
// alpha = min(ALPHA_MAX, opacity exp(-q)), q = d' Q d / 2, d from the splat's centre to the
// pixel's. Everything is kept as a power of two: alpha = 2^e, with log2(e) and the opacity folded
// into the conic, so that the cut at ALPHA_MIN is a comparison before the exponential.
#pragma once

#include "common.h"

namespace splatkit {
inline namespace SK_ISA {

constexpr double ALPHA_MAX = 0.99;          // alpha is clamped to this; no gradient where it was
constexpr double ALPHA_MIN = 1.0 / 255.0;   // a splat is skipped where its alpha is below this
constexpr double TRANSMITTANCE_MIN = 1e-4;  // a splat that would get here ends the pixel unblended
constexpr double FRUSTUM_MARGIN = 0.3;      // see Pinhole; in tan(fov / 2)
constexpr double LOG2_ALPHA_MIN = -7.994353436858858;
constexpr double LOG2_E = 1.4426950408889634;

// e at d = 0, and the coefficients of dx^2, dx dy, dy^2.
template <class T>
struct FoldedConic {
  T log2_opacity, xx, xy, yy;
};

template <class T>
SK_HD FoldedConic<T> fold_conic(const T conic[3], T opacity) {
  return {log2(opacity), T(-0.5 * LOG2_E) * conic[0], T(-LOG2_E) * conic[1],
          T(-0.5 * LOG2_E) * conic[2]};
}

// e in two steps, so that what a column of pixels shares is computed once.
template <class T>
struct ColumnExponent {
  T base, slope;
};
template <class T>
SK_HD ColumnExponent<T> exponent_column(const FoldedConic<T> &f, T dx) {
  return {fma(f.xx * dx, dx, f.log2_opacity), f.xy * dx};
}
template <class T>
SK_HD T exponent_at(const FoldedConic<T> &f, const ColumnExponent<T> &column, T dy) {
  return fma(dy, fma(f.yy, dy, column.slope), column.base);
}

// Derivatives with respect to the pixel's place x, y on the screen.
template <class T>
struct ScreenGradient {
  T x, y;
};
// Of alpha = 2^e at d = (dx, dy).
template <class T>
SK_HD ScreenGradient<T> alpha_gradient(const FoldedConic<T> &f, T dx, T dy, T alpha) {
  const T scaled = alpha * T(1.0 / LOG2_E);
  return {scaled * fma(f.xx + f.xx, dx, f.xy * dy), scaled * fma(f.yy + f.yy, dy, f.xy * dx)};
}
// Of the weight alpha T, T the transmittance in front of the splat; `of_before`, T's gradient,
// becomes that of the transmittance behind it, T - alpha T.
template <class T>
SK_HD ScreenGradient<T> weight_gradient(T alpha, const ScreenGradient<T> &of_alpha, T before,
                                        ScreenGradient<T> &of_before) {
  const ScreenGradient<T> g = {fma(of_alpha.x, before, alpha * of_before.x),
                               fma(of_alpha.y, before, alpha * of_before.y)};
  of_before = {of_before.x - g.x, of_before.y - g.y};
  return g;
}

// For tests: alpha falls to 0 by a cubic ramp between 2 ALPHA_MIN and ALPHA_MIN rather than by a
// step, so that finite differences of whole renders exist.
template <class T>
SK_HD T smooth_cutoff(T alpha) {
  const T ramp = max(min((alpha - T(ALPHA_MIN)) / T(ALPHA_MIN), T(1.0f)), T(0.0f));
  return alpha * ramp * ramp * (T(3.0f) - T(2.0f) * ramp);
}
template <class T>
SK_HD void smooth_cutoff_adj(T alpha, T v_value, T &v_alpha) {
  const T ramp = max(min((alpha - T(ALPHA_MIN)) / T(ALPHA_MIN), T(1.0f)), T(0.0f));
  const T slope = T(6.0f) * ramp * (T(1.0f) - ramp) / T(ALPHA_MIN);
  v_alpha = v_alpha + v_value * (ramp * ramp * (T(3.0f) - T(2.0f) * ramp) + alpha * slope);
}

// The derivative of the loss with respect to alpha, where `v_value` is d loss / d (blended value)
// dot the splat's own value, `before` the transmittance in front of the splat, and `rest` what all
// that is blended behind it adds to the loss to first order, background included.
template <class T>
SK_HD T alpha_adj(T v_value, T before, T alpha, T rest) {
  return before * v_value - rest / (T(1.0f) - alpha);
}

// Sums over pixels of g = d loss / d (ln alpha) times 1, dx, dy, dx^2, dx dy, dy^2: all that the
// gradient of a splat's place, shape and opacity needs.
template <class T>
struct AlphaMoments {
  T one, x, y, xx, xy, yy;
};
template <class T>
SK_HD void alpha_moments_adj(const T conic[3], T opacity, const AlphaMoments<T> &g, T v_mean[2],
                             T v_conic[3], T &v_opacity) {
  v_mean[0] = v_mean[0] + fma(conic[0], g.x, conic[1] * g.y);
  v_mean[1] = v_mean[1] + fma(conic[1], g.x, conic[2] * g.y);
  v_conic[0] = v_conic[0] - T(0.5f) * g.xx;
  v_conic[1] = v_conic[1] - g.xy;
  v_conic[2] = v_conic[2] - T(0.5f) * g.yy;
  v_opacity = v_opacity + g.one / opacity;
}

}  // namespace SK_ISA
}  // namespace splatkit
