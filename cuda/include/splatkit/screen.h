// Projection: from a Gaussian's stored parameters to its record on the screen, and back.
//
// The record is the seam between projection and blending (splatkit/render/screen.py); its colour
// is sh_color of sh.h, clamped at 0, in `splat_direction`.
#pragma once

#include "blend.h"
#include "camera.h"
#include "common.h"
#include "gaussian.h"

namespace splatkit {
inline namespace SK_ISA {

// Columns of a record.
constexpr int RECORD_SIZE = 12;
constexpr int RECORD_MEAN = 0, RECORD_CONIC = 2, RECORD_OPACITY = 5, RECORD_COLOR = 6,
              RECORD_DEPTH = 9, RECORD_EXTENT = 10;

// As stored: logarithms of scales, logit of opacity, quaternion wxyz of any length.
template <class T>
struct RawGaussian {
  T mean[3], quat[4], log_scale[3], logit_opacity;
};

// What all splats of one image share.
template <class S, class Camera>
struct ScreenOptions {
  View<S> view;
  Camera camera;
  S width, height;  // pixels
  S eps2d;          // variance of the low-pass, pixel^2
  S near;           // camera z, exclusive
  bool antialiased;
};

// World rotation and the splat's half axes on the screen; kept between forward and adjoint.
template <class T>
struct ScreenAxes {
  T unit_quat[4], inverse_norm, rotation[9];
  T scale[3];
  T derivative[6];  // of image x, y with respect to the world point
  T turned[6];      // derivative times rotation
  T axes[6];        // times scale
};

template <class T, class S>
SK_HD void screen_axes(const RawGaussian<T> &g, const View<S> &view, const ImagePoint<T> &image,
                       ScreenAxes<T> &a) {
  a.inverse_norm = normalize<4>(g.quat, a.unit_quat);
  rotation_from_unit_quat(a.unit_quat, a.rotation);
  for (int j = 0; j < 3; ++j) {
    a.scale[j] = exp(g.log_scale[j]);
    a.derivative[j] = fma(image.xx, T(view.rotation[j]), image.xz * T(view.rotation[6 + j]));
    a.derivative[3 + j] =
        fma(image.yy, T(view.rotation[3 + j]), image.yz * T(view.rotation[6 + j]));
  }
  for (int i = 0; i < 6; i += 3)
    for (int j = 0; j < 3; ++j) {
      a.turned[i + j] =
          fma(a.derivative[i], a.rotation[j],
              fma(a.derivative[i + 1], a.rotation[3 + j], a.derivative[i + 2] * a.rotation[6 + j]));
      a.axes[i + j] = a.turned[i + j] * a.scale[j];
    }
}
template <class T, class S>
SK_HD void screen_axes_adj(const ScreenAxes<T> &a, const View<S> &view, const ImagePoint<T> &image,
                           const T v_axes[6], RawGaussian<T> &v_g, ImagePoint<T> &v_image,
                           ViewGradient<T> &v_view) {
  T v_turned[6], v_rotation[9], v_unit[4] = {T(0.0f), T(0.0f), T(0.0f), T(0.0f)};
  for (int j = 0; j < 3; ++j) {
    v_g.log_scale[j] = v_g.log_scale[j] + fma(v_axes[j], a.axes[j], v_axes[3 + j] * a.axes[3 + j]);
    v_turned[j] = v_axes[j] * a.scale[j];
    v_turned[3 + j] = v_axes[3 + j] * a.scale[j];
  }
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j)
      v_rotation[3 * i + j] =
          fma(a.derivative[i], v_turned[j], a.derivative[3 + i] * v_turned[3 + j]);
  rotation_from_unit_quat_adj(a.unit_quat, v_rotation, v_unit);
  normalize_adj<4>(a.unit_quat, a.inverse_norm, v_unit, v_g.quat);
  for (int j = 0; j < 3; ++j) {
    const T v_x = dot3(v_turned, a.rotation + 3 * j), v_y = dot3(v_turned + 3, a.rotation + 3 * j);
    v_image.xx = fma(v_x, T(view.rotation[j]), v_image.xx);
    v_image.xz = fma(v_x, T(view.rotation[6 + j]), v_image.xz);
    v_image.yy = fma(v_y, T(view.rotation[3 + j]), v_image.yy);
    v_image.yz = fma(v_y, T(view.rotation[6 + j]), v_image.yz);
    v_view.rotation[j] = fma(v_x, image.xx, v_view.rotation[j]);
    v_view.rotation[3 + j] = fma(v_y, image.yy, v_view.rotation[3 + j]);
    v_view.rotation[6 + j] = fma(v_x, image.xz, fma(v_y, image.yz, v_view.rotation[6 + j]));
  }
}

// All of a record but its colour, and whether the splat is drawn. Conditions are written so that
// NaN fails them; a record that is drawn is finite.
template <class T, class S, class Camera>
SK_HD mask_of<T> project_splat(const RawGaussian<T> &g, const ScreenOptions<S, Camera> &o,
                               T record[RECORD_SIZE]) {
  T point[3];
  to_camera(o.view, g.mean, point);
  const ImagePoint<T> image = o.camera.project(point);
  ScreenAxes<T> a;
  screen_axes(g, o.view, image, a);
  const ScreenShape<T> shape = screen_shape(a.axes, T(o.eps2d));
  T opacity = sigmoid(g.logit_opacity);
  if (o.antialiased) opacity = opacity * shape.compensation;
  const T reach = T(2.0f) * log(max(opacity * T(1.0 / ALPHA_MIN), T(1.0f)));
  const T extent_x = sqrt(reach * shape.variance[0]), extent_y = sqrt(reach * shape.variance[1]);
  record[0] = image.x;
  record[1] = image.y;
  record[2] = shape.conic[0];
  record[3] = shape.conic[1];
  record[4] = shape.conic[2];
  record[5] = opacity;
  record[9] = point[2];
  record[10] = extent_x;
  record[11] = extent_y;
  const T all = (image.x + image.y) + (shape.conic[0] + shape.conic[1]) +
                (shape.conic[2] + point[2]) + (extent_x + extent_y);
  return (point[2] > T(o.near)) & (shape.determinant > T(0.0f)) & (opacity > T(ALPHA_MIN)) &
         (image.x + extent_x > T(0.0f)) & (image.x - extent_x < T(o.width)) &
         (image.y + extent_y > T(0.0f)) & (image.y - extent_y < T(o.height)) & finite(all);
}
// Of a splat that is drawn; v_record's colour is sh_color_adj's, the extents carry no gradient.
template <class T, class S, class Camera>
SK_HD void project_splat_adj(const RawGaussian<T> &g, const ScreenOptions<S, Camera> &o,
                             const T v_record[RECORD_SIZE], RawGaussian<T> &v_g,
                             ViewGradient<T> &v_view) {
  T point[3];
  to_camera(o.view, g.mean, point);
  const ImagePoint<T> image = o.camera.project(point);
  ScreenAxes<T> a;
  screen_axes(g, o.view, image, a);
  const T opacity = sigmoid(g.logit_opacity);
  T v_opacity = v_record[RECORD_OPACITY], v_compensation(0.0f);
  if (o.antialiased) {
    v_compensation = v_opacity * opacity;
    v_opacity = v_opacity * screen_shape(a.axes, T(o.eps2d)).compensation;
  }
  sigmoid_adj(opacity, v_opacity, v_g.logit_opacity);
  T v_axes[6];
  for (T &v : v_axes) v = T(0.0f);
  screen_shape_adj(a.axes, T(o.eps2d), v_record + RECORD_CONIC, v_compensation, v_axes);
  ImagePoint<T> v_image = {v_record[0], v_record[1], T(0.0f), T(0.0f), T(0.0f), T(0.0f)};
  screen_axes_adj(a, o.view, image, v_axes, v_g, v_image, v_view);
  T v_point[3] = {T(0.0f), T(0.0f), v_record[RECORD_DEPTH]};
  o.camera.project_adj(point, v_image, v_point);
  to_camera_adj(o.view, g.mean, v_point, v_g.mean, v_view);
}

// Unit vector from the camera to the Gaussian, world frame; returns the inverse distance.
template <class T, class S>
SK_HD T splat_direction(const View<S> &view, const T mean[3], T direction[3]) {
  T offset[3];
  for (int i = 0; i < 3; ++i) offset[i] = mean[i] - T(view.position[i]);
  return normalize<3>(offset, direction);
}
template <class T>
SK_HD void splat_direction_adj(const T direction[3], T inverse, const T v_direction[3], T v_mean[3],
                               ViewGradient<T> &v_view) {
  T v_offset[3] = {T(0.0f), T(0.0f), T(0.0f)};
  normalize_adj<3>(direction, inverse, v_direction, v_offset);
  for (int i = 0; i < 3; ++i) {
    v_mean[i] = v_mean[i] + v_offset[i];
    v_view.position[i] = v_view.position[i] - v_offset[i];
  }
}

}  // namespace SK_ISA
}  // namespace splatkit
