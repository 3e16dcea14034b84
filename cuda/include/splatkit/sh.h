// Real spherical harmonics, degrees 0 to 4, in the order and signs of the 3DGS PLY layout
// (splatkit/core/sh.py; Sloan, "Stupid Spherical Harmonics Tricks", 2008).
#pragma once

#include "common.h"

namespace splatkit {
inline namespace SK_ISA {

SK_HD constexpr int sh_count(int degree) { return (degree + 1) * (degree + 1); }

// The basis functions at the unit direction x, y, z.
template <int degree, class T>
SK_HD void sh_basis(T x, T y, T z, T *values) {
  values[0] = T(0.28209479177387814);
  if constexpr (degree >= 1) {
    values[1] = T(-0.4886025119029199) * y;
    values[2] = T(0.4886025119029199) * z;
    values[3] = T(-0.4886025119029199) * x;
  }
  if constexpr (degree >= 2) {
    const T xx = x * x, yy = y * y, zz = z * z;
    values[4] = T(1.0925484305920792) * (x * y);
    values[5] = T(-1.0925484305920792) * (y * z);
    values[6] = T(0.31539156525252005) * (T(2.0f) * zz - xx - yy);
    values[7] = T(-1.0925484305920792) * (x * z);
    values[8] = T(0.5462742152960396) * (xx - yy);
    if constexpr (degree >= 3) {
      const T near_pole = T(4.0f) * zz - xx - yy;
      values[9] = T(-0.5900435899266435) * y * (T(3.0f) * xx - yy);
      values[10] = T(2.890611442640554) * (x * y) * z;
      values[11] = T(-0.4570457994644658) * y * near_pole;
      values[12] = T(0.3731763325901154) * z * (T(2.0f) * zz - T(3.0f) * (xx + yy));
      values[13] = T(-0.4570457994644658) * x * near_pole;
      values[14] = T(1.445305721320277) * z * (xx - yy);
      values[15] = T(-0.5900435899266435) * x * (xx - T(3.0f) * yy);
    }
    if constexpr (degree >= 4) {
      const T seven1 = fma(T(7.0f), zz, T(-1.0f)), seven3 = fma(T(7.0f), zz, T(-3.0f));
      values[16] = T(2.5033429417967046) * (x * y) * (xx - yy);
      values[17] = T(-1.7701307697799304) * (y * z) * (T(3.0f) * xx - yy);
      values[18] = T(0.9461746957575601) * (x * y) * seven1;
      values[19] = T(-0.6690465435572892) * (y * z) * seven3;
      values[20] = T(0.10578554691520431) * fma(zz, fma(T(35.0f), zz, T(-30.0f)), T(3.0f));
      values[21] = T(-0.6690465435572892) * (x * z) * seven3;
      values[22] = T(0.47308734787878004) * (xx - yy) * seven1;
      values[23] = T(-1.7701307697799304) * (x * z) * (xx - T(3.0f) * yy);
      values[24] = T(0.6258357354491761) * (xx * (xx - T(3.0f) * yy) - yy * (T(3.0f) * xx - yy));
    }
  }
}
template <int degree, class T>
SK_HD void sh_basis_adj(T x, T y, T z, const T *v_values, T v_direction[3]) {
  T v_x(0.0f), v_y(0.0f), v_z(0.0f);
  const T *v = v_values;
  if constexpr (degree >= 1) {
    v_x = T(-0.4886025119029199) * v[3];
    v_y = T(-0.4886025119029199) * v[1];
    v_z = T(0.4886025119029199) * v[2];
  }
  if constexpr (degree >= 2) {
    const T xx = x * x, yy = y * y, zz = z * z, xy = x * y, yz = y * z, xz = x * z;
    const T xx_yy = xx - yy;
    {
      const T a = T(1.0925484305920792) * v[4], b = T(-1.0925484305920792) * v[5],
              c = T(2.0f * 0.31539156525252005) * v[6], d = T(-1.0925484305920792) * v[7],
              e = T(2.0f * 0.5462742152960396) * v[8];
      v_x = v_x + fma(a, y, fma(d, z, x * (e - c)));
      v_y = v_y + (fma(a, x, b * z) - y * (e + c));
      v_z = v_z + fma(b, y, fma(d, x, T(2.0f) * c * z));
    }
    if constexpr (degree >= 3) {
      const T a = T(-0.5900435899266435) * v[9], b = T(2.890611442640554) * v[10],
              c = T(-0.4570457994644658) * v[11], d = T(0.3731763325901154) * v[12],
              e = T(-0.4570457994644658) * v[13], f = T(1.445305721320277) * v[14],
              g = T(-0.5900435899266435) * v[15];
      const T three = T(3.0f) * xx_yy, four = T(4.0f) * zz;
      v_x = v_x +
            fma(T(6.0f) * a - T(2.0f) * c, xy,
                fma(b, yz, fma(e, four - T(3.0f) * xx - yy, g * three))) +
            xz * (T(2.0f) * f - T(6.0f) * d);
      v_y = v_y + fma(a, three, fma(b, xz, c * (four - xx - T(3.0f) * yy))) -
            fma(yz, T(6.0f) * d + T(2.0f) * f, xy * (T(2.0f) * e + T(6.0f) * g));
      v_z = v_z + fma(b, xy, T(8.0f) * fma(c, yz, e * xz)) +
            fma(T(3.0f) * d, T(2.0f) * zz - xx - yy, f * xx_yy);
    }
    if constexpr (degree >= 4) {
      const T a = T(2.5033429417967046) * v[16], b = T(-1.7701307697799304) * v[17],
              c = T(0.9461746957575601) * v[18], d = T(-0.6690465435572892) * v[19],
              e = T(0.10578554691520431) * v[20], f = T(-0.6690465435572892) * v[21],
              g = T(0.47308734787878004) * v[22], h = T(-1.7701307697799304) * v[23],
              i = T(4.0f * 0.6258357354491761) * v[24];
      const T seven1 = fma(T(7.0f), zz, T(-1.0f)), seven3 = fma(T(7.0f), zz, T(-3.0f));
      const T slope = fma(T(21.0f), zz, T(-3.0f));
      const T p = T(3.0f) * xx - yy, q = xx - T(3.0f) * yy;
      v_x = v_x + fma(y, fma(a, p, c * seven1), x * fma(T(2.0f) * g, seven1, i * q)) +
            fma(T(6.0f) * b, xy * z, z * fma(f, seven3, T(3.0f) * h * xx_yy));
      v_y = v_y + fma(x, fma(a, q, c * seven1), z * fma(T(3.0f) * b, xx_yy, d * seven3)) -
            fma(y, fma(T(2.0f) * g, seven1, i * p), T(6.0f) * h * (xy * z));
      v_z = v_z + fma(y, fma(b, p, d * slope), x * fma(f, slope, h * q)) +
            z * fma(T(14.0f), fma(c, xy, g * xx_yy), e * fma(T(140.0f), zz, T(-60.0f)));
    }
  }
  v_direction[0] = v_direction[0] + v_x;
  v_direction[1] = v_direction[1] + v_y;
  v_direction[2] = v_direction[2] + v_z;
}

// sRGB colour seen along a unit direction from the camera, of coefficients sh [K][3]; values
// below 0 are the caller's to clamp.
template <int degree, class T>
SK_HD void sh_color(const T direction[3], const T *sh, T color[3]) {
  T values[sh_count(degree)];
  sh_basis<degree>(direction[0], direction[1], direction[2], values);
  for (int c = 0; c < 3; ++c) {
    color[c] = fma(values[0], sh[c], T(0.5f));
    for (int k = 1; k < sh_count(degree); ++k) color[c] = fma(values[k], sh[3 * k + c], color[c]);
  }
}
// No gradient passes where the clamp at 0 held.
template <int degree, class T>
SK_HD void sh_color_adj(const T direction[3], const T *sh, const T v_clamped[3], T *v_sh,
                        T v_direction[3]) {
  T values[sh_count(degree)], v_values[sh_count(degree)], color[3], v_color[3];
  sh_basis<degree>(direction[0], direction[1], direction[2], values);
  for (int c = 0; c < 3; ++c) {
    color[c] = fma(values[0], sh[c], T(0.5f));
    for (int k = 1; k < sh_count(degree); ++k) color[c] = fma(values[k], sh[3 * k + c], color[c]);
    v_color[c] = select(color[c] >= T(0.0f), v_clamped[c], T(0.0f));
  }
  for (int k = 0; k < sh_count(degree); ++k) {
    v_values[k] = dot3(v_color, sh + 3 * k);
    for (int c = 0; c < 3; ++c) v_sh[3 * k + c] = fma(values[k], v_color[c], v_sh[3 * k + c]);
  }
  sh_basis_adj<degree>(direction[0], direction[1], direction[2], v_values, v_direction);
}

}  // namespace SK_ISA
}  // namespace splatkit
