// Shape and opacity of one Gaussian, in the world and on the screen.
//
// EWA splatting after Zwicker et al. 2001 and Kerbl et al. 2023; the compensation of opacity for
// the screen-space low-pass after Yu et al. 2024 (Mip-Splatting).
#pragma once

#include "common.h"

namespace splatkit {
inline namespace SK_ISA {

constexpr double MIN_NORM = 1e-12;  // shorter quaternions and directions divide by this instead

template <class T>
SK_HD T sigmoid(T x) {
  return T(1.0f) / (T(1.0f) + exp(-x));
}
template <class T>
SK_HD void sigmoid_adj(T value, T v_value, T &v_x) {
  v_x = fma(v_value, value * (T(1.0f) - value), v_x);
}

// A unit vector along n components, and the inverse length used for it.
template <int n, class T>
SK_HD T normalize(const T *x, T *unit) {
  T squares = x[0] * x[0];
  for (int i = 1; i < n; ++i) squares = fma(x[i], x[i], squares);
  const T inverse = T(1.0f) / max(sqrt(squares), T(MIN_NORM));
  for (int i = 0; i < n; ++i) unit[i] = x[i] * inverse;
  return inverse;
}
template <int n, class T>
SK_HD void normalize_adj(const T *unit, T inverse, const T *v_unit, T *v_x) {
  T along = unit[0] * v_unit[0];
  for (int i = 1; i < n; ++i) along = fma(unit[i], v_unit[i], along);
  along = select(inverse < T(1.0 / MIN_NORM), along, T(0.0f));
  for (int i = 0; i < n; ++i) v_x[i] = fma(v_unit[i] - unit[i] * along, inverse, v_x[i]);
}

// Rotation matrix, by rows, of a unit quaternion wxyz.
template <class T>
SK_HD void rotation_from_unit_quat(const T u[4], T r[9]) {
  const T w = u[0], x = u[1], y = u[2], z = u[3], one(1.0f), two(2.0f);
  r[0] = one - two * fma(y, y, z * z);
  r[1] = two * (x * y - w * z);
  r[2] = two * fma(x, z, w * y);
  r[3] = two * fma(x, y, w * z);
  r[4] = one - two * fma(x, x, z * z);
  r[5] = two * (y * z - w * x);
  r[6] = two * (x * z - w * y);
  r[7] = two * fma(y, z, w * x);
  r[8] = one - two * fma(x, x, y * y);
}
template <class T>
SK_HD void rotation_from_unit_quat_adj(const T u[4], const T v_r[9], T v_u[4]) {
  const T w = u[0], x = u[1], y = u[2], z = u[3], two(2.0f);
  const T wx = v_r[7] - v_r[5], wy = v_r[2] - v_r[6], wz = v_r[3] - v_r[1];
  const T xy = v_r[1] + v_r[3], xz = v_r[2] + v_r[6], yz = v_r[5] + v_r[7];
  v_u[0] = fma(two, fma(x, wx, fma(y, wy, z * wz)), v_u[0]);
  v_u[1] = fma(two, fma(w, wx, fma(y, xy, z * xz)) - two * x * (v_r[4] + v_r[8]), v_u[1]);
  v_u[2] = fma(two, fma(w, wy, fma(x, xy, z * yz)) - two * y * (v_r[0] + v_r[8]), v_u[2]);
  v_u[3] = fma(two, fma(w, wz, fma(x, xz, y * yz)) - two * z * (v_r[0] + v_r[4]), v_u[3]);
}

// A Gaussian on the screen, from its three half axes there (columns of the 2x3 matrix `axes`,
// pixels), after the low-pass of variance eps2d (pixel^2).
template <class T>
struct ScreenShape {
  T conic[3];      // a, b, c of the inverse covariance [[a, b], [b, c]], 1 / pixel^2
  T variance[2];   // of x and y, pixel^2
  T determinant;   // of the covariance; anything else is meaningless unless it is above 0
  T compensation;  // sqrt(determinant without / with the low-pass); 1 where both overflow
};

// The determinant is a sum of squared 2x2 minors (Cauchy-Binet): no cancellation for thin splats.
template <class T>
SK_HD void axes_minors(const T axes[6], T k[3]) {
  k[0] = axes[1] * axes[5] - axes[2] * axes[4];
  k[1] = axes[2] * axes[3] - axes[0] * axes[5];
  k[2] = axes[0] * axes[4] - axes[1] * axes[3];
}

template <class T>
SK_HD ScreenShape<T> screen_shape(const T axes[6], T eps2d) {
  const T xx = dot3(axes, axes), xy = dot3(axes, axes + 3), yy = dot3(axes + 3, axes + 3);
  T k[3];
  axes_minors(axes, k);
  const T sharp = dot3(k, k);
  const T determinant = fma(eps2d, xx + yy + eps2d, sharp);
  const T inverse = T(1.0f) / determinant;
  return {{(yy + eps2d) * inverse, -(xy * inverse), (xx + eps2d) * inverse},
          {xx + eps2d, yy + eps2d},
          determinant,
          sqrt(min(sharp * inverse, T(1.0f)))};
}
template <class T>
SK_HD void screen_shape_adj(const T axes[6], T eps2d, const T v_conic[3], T v_compensation,
                            T v_axes[6]) {
  const T xx = dot3(axes, axes), xy = dot3(axes, axes + 3), yy = dot3(axes + 3, axes + 3);
  T k[3];
  axes_minors(axes, k);
  const T sharp = dot3(k, k);
  const T inverse = T(1.0f) / fma(eps2d, xx + yy + eps2d, sharp);
  const T half_v_log = T(0.5f) * v_compensation * sqrt(min(sharp * inverse, T(1.0f)));
  const T v_inverse_times_inverse = fma(
      (yy + eps2d) * v_conic[0] - xy * v_conic[1] + (xx + eps2d) * v_conic[2], inverse, half_v_log);
  const T v_determinant = -(v_inverse_times_inverse * inverse);
  const T v_sharp = v_determinant + select(sharp > T(0.0f), half_v_log / sharp, T(0.0f));
  const T v_xx = T(2.0f) * fma(eps2d, v_determinant, inverse * v_conic[2]);
  const T v_yy = T(2.0f) * fma(eps2d, v_determinant, inverse * v_conic[0]);
  const T v_xy = -(inverse * v_conic[1]);
  const T v_k[3] = {T(2.0f) * v_sharp * k[0], T(2.0f) * v_sharp * k[1], T(2.0f) * v_sharp * k[2]};
  for (int i = 0; i < 3; ++i) {
    const int j = (i + 1) % 3, l = (i + 2) % 3;
    const T cross0 = axes[3 + j] * v_k[l] - axes[3 + l] * v_k[j];
    const T cross1 = v_k[j] * axes[l] - v_k[l] * axes[j];
    v_axes[i] = v_axes[i] + fma(v_xx, axes[i], fma(v_xy, axes[3 + i], cross0));
    v_axes[3 + i] = v_axes[3 + i] + fma(v_yy, axes[3 + i], fma(v_xy, axes[i], cross1));
  }
}

}  // namespace SK_ISA
}  // namespace splatkit
