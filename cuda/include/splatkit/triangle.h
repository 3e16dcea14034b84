// Triangles on the screen: which pixels one covers, where on it they lie, and how opaque it is.
//
// A vertex of the camera frame becomes the homogeneous pixel p = (fx x + cx z, fy y + cy z, z).
// The three planes g = M^-1 (column, row, 1), M = [p0 p1 p2], give for every pixel the corners'
// shares over depth: g_i = lambda_i / z, with lambda the barycentric coordinates of the point of
// the triangle that the pixel shows (Olano and Greer 1997). Nothing is divided by a vertex's own
// depth, so a triangle may reach behind the camera: pixels with z at most `near` are not covered.
//
// Opacity is soft at the edges: w = (3 min lambda)^softness, 1 in the middle and 0 at the edges.
// It is the window of Held et al. 2025 in the triangle's own plane, where it looks the same from
// every view and needs no projected in-radius; over an area A its mass is
// 2 A / ((softness + 1) (softness + 2)) in both. As softness goes to 0 the triangle becomes solid.
#pragma once

#include "common.h"

namespace splatkit {
inline namespace SK_ISA {

constexpr double TRIANGLE_ALPHA_MIN = 1.0 / 255.0;   // fragments below this are skipped
constexpr double TRIANGLE_TRANSMITTANCE_MIN = 1e-4;  // nothing is blended behind this
// Solid triangles cover this much beyond their edges, so that neighbours leave no gap between
// them; a share of the triangle's height.
constexpr double TRIANGLE_SLACK = 1e-5;
// Of the volume that the three directions of its corners span: below it is seen edge on.
constexpr double TRIANGLE_VOLUME_MIN = 1e-12;

// What a pinhole is to triangles; cx and cy are counted from any pixel that suits.
template <class S>
struct PixelAxes {
  S fx, fy, cx, cy;
};

template <class T>
SK_HD void homogeneous_pixel(const PixelAxes<T> &k, const T point[3], T p[3]) {
  p[0] = fma(k.fx, point[0], k.cx * point[2]);
  p[1] = fma(k.fy, point[1], k.cy * point[2]);
  p[2] = point[2];
}
template <class T>
SK_HD void homogeneous_pixel_adj(const PixelAxes<T> &k, const T v_p[3], T v_point[3]) {
  v_point[0] = fma(k.fx, v_p[0], v_point[0]);
  v_point[1] = fma(k.fy, v_p[1], v_point[1]);
  v_point[2] = v_point[2] + fma(k.cx, v_p[0], fma(k.cy, v_p[1], v_p[2]));
}

template <class T>
SK_HD void cross3(const T a[3], const T b[3], T out[3]) {
  out[0] = a[1] * b[2] - a[2] * b[1];
  out[1] = a[2] * b[0] - a[0] * b[2];
  out[2] = a[0] * b[1] - a[1] * b[0];
}

// The inverse of [p0 p1 p2] by rows, and the determinant; p holds the corners one by one. The
// determinant is negative where the corners run counter-clockwise in the picture (whose y axis
// points down).
template <class T>
SK_HD T triangle_planes(const T p[9], T planes[9]) {
  cross3(p + 3, p + 6, planes);
  cross3(p + 6, p, planes + 3);
  cross3(p, p + 3, planes + 6);
  const T volume = dot3(p, planes);
  const T inverse = T(1.0f) / volume;
  for (int i = 0; i < 9; ++i) planes[i] = planes[i] * inverse;
  return volume;
}
template <class T>
SK_HD void triangle_planes_adj(const T planes[9], const T v_planes[9], T v_p[9]) {
  // v_M = -G' v_G G'; corner i is column i of M.
  for (int i = 0; i < 3; ++i)
    for (int r = 0; r < 3; ++r) {
      T sum = T(0.0f);
      for (int a = 0; a < 3; ++a)
        sum = fma(planes[3 * a + r], dot3(v_planes + 3 * a, planes + 3 * i), sum);
      v_p[3 * i + r] = v_p[3 * i + r] - sum;
    }
}

// Where on a triangle a pixel looks.
template <class T>
struct TrianglePoint {
  T lambda[3];
  T z;
};

// x and y are counted from where cx and cy are.
template <class T, class S>
SK_HD TrianglePoint<T> triangle_point(const S planes[9], T x, T y) {
  TrianglePoint<T> at;
  for (int i = 0; i < 3; ++i)
    at.lambda[i] = fma(T(planes[3 * i]), x, fma(T(planes[3 * i + 1]), y, T(planes[3 * i + 2])));
  at.z = T(1.0f) / (at.lambda[0] + at.lambda[1] + at.lambda[2]);
  for (int i = 0; i < 3; ++i) at.lambda[i] = at.lambda[i] * at.z;
  return at;
}
template <class T>
SK_HD void triangle_point_adj(const TrianglePoint<T> &at, T x, T y, const T v_lambda[3], T v_z,
                              T v_planes[9]) {
  // d lambda_j / d g_i = z (i == j) - z lambda_j, and d z / d g_i = -z^2.
  const T shared = fma(at.z, v_z, dot3(at.lambda, v_lambda));
  for (int i = 0; i < 3; ++i) {
    const T v_g = at.z * (v_lambda[i] - shared);
    v_planes[3 * i] = fma(v_g, x, v_planes[3 * i]);
    v_planes[3 * i + 1] = fma(v_g, y, v_planes[3 * i + 1]);
    v_planes[3 * i + 2] = v_planes[3 * i + 2] + v_g;
  }
}

// The window at 3 min lambda > 0, softness > 0.
template <class T>
SK_HD T triangle_window(T inside, T softness) {
  return exp2(softness * log2(inside));
}
// Of the smallest lambda.
template <class T>
SK_HD T triangle_window_adj(T smallest, T window, T softness, T v_window) {
  return v_window * softness * window / smallest;
}

}  // namespace SK_ISA
}  // namespace splatkit
