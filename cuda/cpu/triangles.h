// Drawing triangles: planes per face and camera, 16 x 16 tiles, fragments sorted by depth pixel by
// pixel (softness > 0) or one z-buffer (softness = 0).
#pragma once

#include <cstdint>
#include <vector>

#include "buffer.h"
#include "dispatch.h"

namespace splatkit {

constexpr int TRIANGLE_TILE = 16;  // pixels a side
constexpr int TRIANGLE_PIXELS = TRIANGLE_TILE * TRIANGLE_TILE;

// S is float (SIMD) or double (one pixel after the other).
template <class S>
struct TriangleArguments {
  const S *vertices;       // [V,3]
  const int32_t *faces;    // [T,3], all within 0..V-1
  const S *attributes;     // [V,F]
  const S *opacities;      // [V] where soft
  const S *normals;        // [T,3] where with_normals
  const S *viewmats, *Ks;  // [C,4,4] [C,3,3]
  int64_t num_faces, num_vertices;
  int num_attributes, cameras, width, height;
  bool soft, with_normals;  // empty tensors have null pointers, too
  S softness, near;
  // F attributes, camera z, then the normal where there are any: sums of weight times value.
  S *channels;   // [C,H,W,channels()]
  S *alpha;      // [C,H,W]
  int32_t *ids;  // [C,H,W] face of largest weight, -1 where none
  // Null where not wanted.
  S *weight_sum, *weight_max;  // [T]
  int32_t *weight_count;       // [T]

  int num_channels() const { return num_attributes + (with_normals ? 4 : 1); }
};

// Null outputs are not wanted; the others hold zeros, or what shall be added to.
template <class S>
struct TriangleGradients {
  const S *v_channels;  // like channels
  const S *v_alpha;     // [C,H,W]
  S *v_vertices, *v_attributes, *v_opacities, *v_normals, *v_viewmats;
};

// A face as one camera sees it; x_first > x_last where it does not.
template <class S>
struct ScreenTriangle {
  S planes[9];                               // counted from pixel (x_first, y_first)
  int32_t x_first, x_last, y_first, y_last;  // pixels that it can cover, inclusive
  int32_t first_instance;                    // its instances, one a tile, are consecutive
  S facing;                                  // 1 or -1: what turns its normal towards the camera
};

// What one instance adds to its face's gradients, in this order: planes, corners' opacities,
// normal, corners' attributes.
constexpr int SLOT_PLANES = 0, SLOT_OPACITIES = 9, SLOT_NORMAL = 12, SLOT_ATTRIBUTES = 15;
constexpr int triangle_slot_size(int attributes) { return SLOT_ATTRIBUTES + 3 * attributes; }

template <class S>
struct TriangleStatistics {
  S weight_sum, weight_max;
  int32_t count;
};

// Faces of one camera sorted into tiles.
template <class S>
struct TriangleBins {
  int tiles_x = 0, tiles_y = 0;
  int64_t instances = 0;
  Buffer<ScreenTriangle<S>> faces;  // [T]
  Buffer<int32_t> entries;          // faces, tile after tile, in the order of faces
  Buffer<int32_t> places;           // of each instance among the entries
  std::vector<int64_t> tile_begin;  // [tiles + 1]
  std::vector<int32_t> counts;      // working memory
};

// One camera's pass over its tiles.
template <class S>
struct TrianglePass {
  const TriangleArguments<S> *arguments;
  const ScreenTriangle<S> *faces;
  const int32_t *entries;
  const int64_t *tile_begin;
  int camera, tiles_x;
  TriangleStatistics<S> *statistics;  // [instances] or null
  // Backward only.
  const TriangleGradients<S> *gradients;
  S *slots;  // [instances, triangle_slot_size], zeros before
};

template <class S>
struct TriangleWorkspace {
  TriangleBins<S> bins;
  Buffer<TriangleStatistics<S>> statistics;
  Buffer<S> slots;
};

// Both draw the cameras one after the other; results do not depend on the number of threads.
template <class S>
void draw_triangles(const TriangleArguments<S> &a, TriangleWorkspace<S> &work);
template <class S>
void draw_triangles_adj(const TriangleArguments<S> &a, const TriangleGradients<S> &g,
                        TriangleWorkspace<S> &work);

// Faces into the tiles of one camera.
template <class S>
void bin_triangles(const TriangleArguments<S> &a, int camera, TriangleBins<S> &bins);
// Slots of one camera into the gradients of what is stored.
template <class S>
void gather_triangles(const TriangleArguments<S> &a, const TriangleGradients<S> &g, int camera,
                      const TriangleBins<S> &bins, const S *slots);

// One tile in double precision; of floats see below.
void triangle_tile_plain(const TrianglePass<double> &pass, int tile);
void triangle_tile_adj_plain(const TrianglePass<double> &pass, int tile);

}  // namespace splatkit

SK_KERNEL(triangle_tile, (const TrianglePass<float> &pass, int tile));
SK_KERNEL(triangle_tile_adj, (const TrianglePass<float> &pass, int tile));
