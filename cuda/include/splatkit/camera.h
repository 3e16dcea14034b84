// Camera models: where a point of the camera frame (OpenCV axes: x right, y down, z forward)
// falls on the image, and how a small step around it moves there.
//
// A model is a struct with the functions of Pinhole; loops are templates over it.
#pragma once

#include "common.h"

namespace splatkit {
inline namespace SK_ISA {

// camera_from_world: point = rotation mean + translation. S is float or double.
template <class S>
struct View {
  S rotation[9];  // by rows
  S translation[3];
  S position[3];  // camera centre in the world, -rotation' translation
};

// Sums of gradients over splats; `position` feeds rotation and translation once, at the end.
template <class T>
struct ViewGradient {
  T rotation[9], translation[3], position[3];

  // All values in order; f(value) for each.
  template <class F>
  SK_HD void each(F &&f) {
    for (T &value : rotation) f(value);
    for (T &value : translation) f(value);
    for (T &value : position) f(value);
  }
};

template <class S>
SK_HD View<S> make_view(const S *viewmat) {
  View<S> view;
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 3; ++j) view.rotation[3 * i + j] = viewmat[4 * i + j];
    view.translation[i] = viewmat[4 * i + 3];
  }
  for (int j = 0; j < 3; ++j) {
    double sum = 0.0;
    for (int i = 0; i < 3; ++i) sum += (double)viewmat[4 * i + j] * (double)viewmat[4 * i + 3];
    view.position[j] = (S)-sum;
  }
  return view;
}
template <class S>
SK_HD void make_view_adj(const View<S> &view, const ViewGradient<double> &v, S *v_viewmat) {
  for (int i = 0; i < 3; ++i) {
    double v_translation = v.translation[i];
    for (int j = 0; j < 3; ++j) {
      v_translation -= (double)view.rotation[3 * i + j] * v.position[j];
      v_viewmat[4 * i + j] +=
          (S)(v.rotation[3 * i + j] - (double)view.translation[i] * v.position[j]);
    }
    v_viewmat[4 * i + 3] += (S)v_translation;
  }
}

template <class T, class S>
SK_HD void to_camera(const View<S> &view, const T mean[3], T point[3]) {
  for (int i = 0; i < 3; ++i)
    point[i] = fma(T(view.rotation[3 * i]), mean[0],
                   fma(T(view.rotation[3 * i + 1]), mean[1],
                       fma(T(view.rotation[3 * i + 2]), mean[2], T(view.translation[i]))));
}
template <class T, class S>
SK_HD void to_camera_adj(const View<S> &view, const T mean[3], const T v_point[3], T v_mean[3],
                         ViewGradient<T> &v_view) {
  for (int i = 0; i < 3; ++i) {
    for (int j = 0; j < 3; ++j) {
      v_mean[j] = fma(T(view.rotation[3 * i + j]), v_point[i], v_mean[j]);
      v_view.rotation[3 * i + j] = fma(v_point[i], mean[j], v_view.rotation[3 * i + j]);
    }
    v_view.translation[i] = v_view.translation[i] + v_point[i];
  }
}

// A point on the image and the derivative of (x, y) there: rows (xx, 0, xz) and (0, yy, yz).
template <class T>
struct ImagePoint {
  T x, y;
  T xx, xz, yy, yz;
};

// No distortion, no skew. The derivative is taken at x/z and y/z clamped into the frustum and
// `frustum_margin` half images beyond it, which keeps splats at its edge finite.
template <class S>
struct Pinhole {
  S fx, fy, cx, cy;                // pixels; the sampling offset is taken off cx, cy
  S x_low, x_high, y_low, y_high;  // of x/z and y/z

  // K by rows; pixels are sampled at their centre plus the offset. The frame is the part of the
  // image that spans the frustum: left, top, right and bottom, pixels.
  static SK_HD Pinhole make(const S *K, S offset_x, S offset_y, const S frame[4],
                            S frustum_margin) {
    const S fx = K[0], fy = K[4], cx = K[2], cy = K[5];
    const S margin_x = frustum_margin * S(0.5) * (frame[2] - frame[0]) / fx;
    const S margin_y = frustum_margin * S(0.5) * (frame[3] - frame[1]) / fy;
    return {fx,
            fy,
            cx - offset_x,
            cy - offset_y,
            (frame[0] - cx) / fx - margin_x,
            (frame[2] - cx) / fx + margin_x,
            (frame[1] - cy) / fy - margin_y,
            (frame[3] - cy) / fy + margin_y};
  }

  template <class T>
  SK_HD ImagePoint<T> project(const T point[3]) const {
    const T inverse = T(1.0f) / point[2];
    const T u = point[0] * inverse, v = point[1] * inverse;
    const T tu = max(min(u, T(x_high)), T(x_low)), tv = max(min(v, T(y_high)), T(y_low));
    const T xx = T(fx) * inverse, yy = T(fy) * inverse;
    return {fma(T(fx), u, T(cx)), fma(T(fy), v, T(cy)), xx, -(xx * tu), yy, -(yy * tv)};
  }
  template <class T>
  SK_HD void project_adj(const T point[3], const ImagePoint<T> &v_image, T v_point[3]) const {
    const T inverse = T(1.0f) / point[2];
    const T u = point[0] * inverse, v = point[1] * inverse;
    const T tu = max(min(u, T(x_high)), T(x_low)), tv = max(min(v, T(y_high)), T(y_low));
    const T v_tu = -(T(fx) * inverse * v_image.xz), v_tv = -(T(fy) * inverse * v_image.yz);
    const T v_u = fma(T(fx), v_image.x, select(tu == u, v_tu, T(0.0f)));
    const T v_v = fma(T(fy), v_image.y, select(tv == v, v_tv, T(0.0f)));
    const T v_inverse =
        fma(T(fx), v_image.xx - tu * v_image.xz,
            fma(T(fy), v_image.yy - tv * v_image.yz, fma(v_u, point[0], v_v * point[1])));
    v_point[0] = fma(v_u, inverse, v_point[0]);
    v_point[1] = fma(v_v, inverse, v_point[1]);
    v_point[2] = v_point[2] - inverse * inverse * v_inverse;
  }
};

}  // namespace SK_ISA
}  // namespace splatkit
