// Where a triangle lies on the image: its planes, and the pixels that it can cover. Once for each
// face and camera, in double precision: edges of small triangles far from the image's corner would
// lose what neighbours must agree on.
#pragma once

#include "camera.h"
#include "triangle.h"

namespace splatkit {
inline namespace SK_ISA {

struct TrianglePlace {
  double planes[9];                      // counted from pixel (x_first, y_first)
  double facing;                         // 1 or -1: what turns the face's normal towards the camera
  int x_first, x_last, y_first, y_last;  // pixels, inclusive
};

// The same camera, its pixels counted from (x, y).
SK_HD PixelAxes<double> axes_from(const PixelAxes<double> &k, int x, int y) {
  return {k.fx, k.fy, k.cx - x, k.cy - y};
}

// Bounds on the image of the part of a triangle beyond the near plane; none: low > high.
struct ImageBounds {
  double low[2], high[2];

  SK_HD void add(const PixelAxes<double> &k, const double point[3]) {
    const double p[2] = {k.fx * point[0] / point[2] + k.cx, k.fy * point[1] / point[2] + k.cy};
    for (int i = 0; i < 2; ++i) {
      low[i] = min(low[i], p[i]);
      high[i] = max(high[i], p[i]);
    }
  }
};

SK_HD ImageBounds triangle_bounds(const PixelAxes<double> &k, const double points[9], double near) {
  ImageBounds bounds = {{1e300, 1e300}, {-1e300, -1e300}};
  for (int i = 0; i < 3; ++i) {
    const double *p = points + 3 * i, *q = points + 3 * ((i + 1) % 3);
    if (p[2] > near) bounds.add(k, p);
    if ((p[2] > near) == (q[2] > near)) continue;
    const double t = (near - p[2]) / (q[2] - p[2]);
    const double crossing[3] = {p[0] + t * (q[0] - p[0]), p[1] + t * (q[1] - p[1]), near};
    bounds.add(k, crossing);
  }
  return bounds;
}

// Pixels with their centre in low..high, widened a little against rounding.
SK_HD void covered_pixels(double low, double high, int size, int &first, int &last) {
  first = (int)SK_STD::ceil(min(max(low - 0.501, 0.0), (double)size));
  last = (int)SK_STD::floor(max(min(high - 0.499, size - 1.0), -1.0));
}

// Corners `points` in the camera's frame; `axes` counts from pixel (0, 0). False where nothing of
// the triangle can be seen.
SK_HD bool place_triangle(const double points[9], const PixelAxes<double> &axes, int width,
                          int height, double near, TrianglePlace &t) {
  double size = 1.0;
  for (int k = 0; k < 3; ++k) size = size * sqrt(dot3(points + 3 * k, points + 3 * k));
  near = max(near, 1e-9);
  if (!(max(max(points[2], points[5]), points[8]) > near) || !finite(size)) return false;
  const ImageBounds bounds = triangle_bounds(axes, points, near);
  covered_pixels(bounds.low[0], bounds.high[0], width, t.x_first, t.x_last);
  covered_pixels(bounds.low[1], bounds.high[1], height, t.y_first, t.y_last);
  if (t.x_first > t.x_last || t.y_first > t.y_last) return false;
  const PixelAxes<double> own = axes_from(axes, t.x_first, t.y_first);
  double p[9];
  for (int k = 0; k < 3; ++k) homogeneous_pixel(own, points + 3 * k, p + 3 * k);
  const double volume = triangle_planes(p, t.planes);
  // (b - a) x (c - a) points away from a camera that sees a, b, c clockwise.
  t.facing = volume > 0.0 ? -1.0 : 1.0;
  return volume * -t.facing > TRIANGLE_VOLUME_MIN * size * axes.fx * axes.fy;
}

}  // namespace SK_ISA
}  // namespace splatkit
