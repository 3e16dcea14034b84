// Faces onto the screen and into tiles, and gradients back to what is stored.

#include <algorithm>
#include <stdexcept>

#include "splatkit/triangle_place.h"
#include "thread_pool.h"
#include "triangles.h"

namespace splatkit {
namespace {

constexpr int PIECE = 4096;  // faces that are summed up together

template <class S>
View<double> view_of(const TriangleArguments<S> &a, int camera) {
  double matrix[16];
  std::copy_n(a.viewmats + 16 * (int64_t)camera, 16, matrix);
  return make_view(matrix);
}

template <class S>
PixelAxes<double> axes_of(const TriangleArguments<S> &a, int camera) {
  const S *K = a.Ks + 9 * (int64_t)camera;
  return {K[0], K[4], K[2], K[5]};
}

template <class S>
void corners_of(const TriangleArguments<S> &a, const View<double> &view, int64_t face,
                double points[9]) {
  for (int k = 0; k < 3; ++k) {
    double vertex[3];
    std::copy_n(a.vertices + 3 * (int64_t)a.faces[3 * face + k], 3, vertex);
    to_camera(view, vertex, points + 3 * k);
  }
}

template <class S>
void place_face(const TriangleArguments<S> &a, int camera, const View<double> &view, int64_t face,
                ScreenTriangle<S> &t) {
  double points[9];
  corners_of(a, view, face, points);
  t.x_first = t.y_first = 0;
  t.x_last = t.y_last = -1;
  TrianglePlace place;
  if (!place_triangle(points, axes_of(a, camera), a.width, a.height, a.near, place)) return;
  for (int i = 0; i < 9; ++i) t.planes[i] = (S)place.planes[i];
  t.x_first = place.x_first;
  t.x_last = place.x_last;
  t.y_first = place.y_first;
  t.y_last = place.y_last;
  t.facing = (S)place.facing;
}

// Calls f(tile) for the tiles whose pixels a face can cover.
template <class S, class F>
void each_tile(const ScreenTriangle<S> &t, int tiles_x, F &&f) {
  if (t.x_first > t.x_last) return;
  for (int y = t.y_first / TRIANGLE_TILE; y <= t.y_last / TRIANGLE_TILE; ++y)
    for (int x = t.x_first / TRIANGLE_TILE; x <= t.x_last / TRIANGLE_TILE; ++x) f(y * tiles_x + x);
}

}  // namespace

template <class S>
void bin_triangles(const TriangleArguments<S> &a, int camera, TriangleBins<S> &bins) {
  bins.tiles_x = (a.width + TRIANGLE_TILE - 1) / TRIANGLE_TILE;
  bins.tiles_y = (a.height + TRIANGLE_TILE - 1) / TRIANGLE_TILE;
  const int64_t tiles = (int64_t)bins.tiles_x * bins.tiles_y;
  bins.faces.resize(a.num_faces + 1);
  const View<double> view = view_of(a, camera);
  parallel_for(a.num_faces, PIECE, [&](int64_t begin, int64_t end, int) {
    for (int64_t face = begin; face < end; ++face)
      place_face(a, camera, view, face, bins.faces[face]);
  });
  bins.counts.assign(tiles, 0);
  int64_t total = 0;
  for (int64_t face = 0; face < a.num_faces; ++face) {
    bins.faces[face].first_instance = (int32_t)total;
    each_tile(bins.faces[face], bins.tiles_x, [&](int tile) {
      ++bins.counts[tile];
      ++total;
    });
    if (total > INT32_MAX)
      throw std::length_error("more than 2^31 pairs of triangle and tile; draw a smaller image");
  }
  bins.faces[a.num_faces].first_instance = (int32_t)total;
  bins.instances = total;
  bins.tile_begin.assign(tiles + 1, 0);
  for (int64_t tile = 0; tile < tiles; ++tile) {
    bins.tile_begin[tile + 1] = bins.tile_begin[tile] + bins.counts[tile];
    bins.counts[tile] = (int32_t)bins.tile_begin[tile];
  }
  bins.entries.resize(total);
  bins.places.resize(total);
  for (int64_t face = 0; face < a.num_faces; ++face) {
    int32_t instance = bins.faces[face].first_instance;
    each_tile(bins.faces[face], bins.tiles_x, [&](int tile) {
      const int32_t place = bins.counts[tile]++;
      bins.entries[place] = (int32_t)face;
      bins.places[instance++] = place;
    });
  }
}

template <class S>
void gather_triangles(const TriangleArguments<S> &a, const TriangleGradients<S> &g, int camera,
                      const TriangleBins<S> &bins, const S *slots) {
  const int F = a.num_attributes, size = triangle_slot_size(F);
  const View<double> view = view_of(a, camera);
  const int64_t pieces = (a.num_faces + PIECE - 1) / PIECE;
  std::vector<ViewGradient<double>> views(g.v_viewmats ? pieces : 0);
  // Sums of all instances of a face; then its planes' gradients are its corners'.
  std::vector<double> sums((size_t)a.num_faces * size, 0.0);
  parallel_for(pieces, 1, [&](int64_t first, int64_t last, int) {
    for (int64_t piece = first; piece < last; ++piece) {
      ViewGradient<double> v_view = {};
      for (int64_t face = piece * PIECE; face < std::min((piece + 1) * PIECE, a.num_faces);
           ++face) {
        const ScreenTriangle<S> &t = bins.faces[face];
        const int32_t end = bins.faces[face + 1].first_instance;
        double *sum = &sums[(size_t)face * size];
        if (t.first_instance == end) continue;
        for (int32_t i = t.first_instance; i < end; ++i)
          for (int k = 0; k < size; ++k) sum[k] += slots[(int64_t)bins.places[i] * size + k];
        double points[9], planes[9], v_p[9] = {}, v_vertices[9] = {};
        corners_of(a, view, face, points);
        const PixelAxes<double> axes = axes_from(axes_of(a, camera), t.x_first, t.y_first);
        std::copy_n(t.planes, 9, planes);
        triangle_planes_adj(planes, sum + SLOT_PLANES, v_p);
        for (int k = 0; k < 3; ++k) {
          double vertex[3], v_point[3] = {};
          homogeneous_pixel_adj(axes, v_p + 3 * k, v_point);
          std::copy_n(a.vertices + 3 * (int64_t)a.faces[3 * face + k], 3, vertex);
          to_camera_adj(view, vertex, v_point, v_vertices + 3 * k, v_view);
        }
        std::copy_n(v_vertices, 9, sum + SLOT_PLANES);
      }
      if (g.v_viewmats) views[piece] = v_view;
    }
  });
  // Faces share vertices: one after the other.
  for (int64_t face = 0; face < a.num_faces; ++face) {
    if (bins.faces[face].first_instance == bins.faces[face + 1].first_instance) continue;
    const double *sum = &sums[(size_t)face * size];
    for (int k = 0; k < 3; ++k) {
      const int64_t corner = a.faces[3 * face + k];
      if (g.v_vertices)
        for (int i = 0; i < 3; ++i) g.v_vertices[3 * corner + i] += (S)sum[SLOT_PLANES + 3 * k + i];
      if (g.v_opacities) g.v_opacities[corner] += (S)sum[SLOT_OPACITIES + k];
      if (g.v_normals) g.v_normals[3 * face + k] += (S)sum[SLOT_NORMAL + k];
      if (g.v_attributes)
        for (int f = 0; f < F; ++f)
          g.v_attributes[corner * F + f] += (S)sum[SLOT_ATTRIBUTES + F * k + f];
    }
  }
  if (!g.v_viewmats) return;
  ViewGradient<double> total = {};
  double *values[sizeof total / sizeof(double)];
  int count = 0;
  total.each([&](double &value) { values[count++] = &value; });
  for (ViewGradient<double> &piece : views) {
    int k = 0;
    piece.each([&](double &value) { *values[k++] += value; });
  }
  double v_viewmat[16] = {};
  make_view_adj(view, total, v_viewmat);
  for (int i = 0; i < 16; ++i) g.v_viewmats[16 * (int64_t)camera + i] += (S)v_viewmat[i];
}

template void bin_triangles(const TriangleArguments<float> &, int, TriangleBins<float> &);
template void bin_triangles(const TriangleArguments<double> &, int, TriangleBins<double> &);
template void gather_triangles(const TriangleArguments<float> &, const TriangleGradients<float> &,
                               int, const TriangleBins<float> &, const float *);
template void gather_triangles(const TriangleArguments<double> &, const TriangleGradients<double> &,
                               int, const TriangleBins<double> &, const double *);

}  // namespace splatkit
