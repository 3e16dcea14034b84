// One tile of triangles in SIMD.

#include "triangles_tile.h"

namespace splatkit {
inline namespace SK_ISA {

void triangle_tile(const TrianglePass<float> &pass, int tile) {
  triangle_tile_of<vfloat>(pass, tile);
}

void triangle_tile_adj(const TrianglePass<float> &pass, int tile) {
  triangle_tile_adj_of<vfloat>(pass, tile);
}

}  // namespace SK_ISA
}  // namespace splatkit
