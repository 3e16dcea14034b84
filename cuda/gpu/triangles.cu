// Draws triangles: a block a tile, a thread a pixel. Solid ones: the nearest. Soft ones: blended
// front to back by their depth at each pixel, a few at a time.

#include "triangles.h"

#ifndef SK_WEIGHTS
#define SK_WEIGHTS 0
#endif

namespace splatkit {

// Blocks a processor shall hold: registers are dealt out accordingly.
constexpr int DRAW_BLOCKS = ATTRIBUTES > 5 ? 2 : 3;

SK_GLOBAL(TRIANGLE_THREADS, DRAW_BLOCKS) triangle_blend(const TriangleBlendParams p) {
  __shared__ DrawnTriangle staged[FACES];
  __shared__ unsigned numbers[FACES];
  const TilePlace t = tile_place(p, blockIdx.x);
  const Pixel pixel(p, t, warp_id(), lane_id());
  float sums[SHOWN], transmittance = 1.0f, most = 0.0f;
  for (float &sum : sums) sum = 0.0f;
  int id = -1;
  bool open = pixel.inside;
  NearestFragments found;
  found.begin();
  while (__syncthreads_or(open)) {
    find_nearest(p, t, pixel, open, staged, numbers, found);
    for (int i = 0; i < NEAREST && open; ++i) {
      if (!(found.depths[i] < never())) break;
      const unsigned number = found.numbers[i];
      const int face = (int)((long long)number - t.camera * p.count);
      const DrawnTriangle triangle = load_triangle(p, number, t.camera);
      Fragment f = {};
      see(triangle, p, pixel.x, pixel.y, f);
      const float weight = transmittance * f.alpha;
      transmittance *= 1.0f - f.alpha;
      for (int k = 0; k < 3; ++k) {
        const float share = weight * f.at.lambda[k];
        const float *values = p.attributes + (long long)ATTRIBUTES * p.faces[3ll * face + k];
        for (int a = 0; a < ATTRIBUTES; ++a) sums[a] = fma(share, __ldg(values + a), sums[a]);
      }
      sums[ATTRIBUTES] = fma(weight, f.at.z, sums[ATTRIBUTES]);
#if SK_NORMALS
      for (int k = 0; k < 3; ++k)
        sums[ATTRIBUTES + 1 + k] = fma(weight * triangle.screen.facing,
                                       __ldg(p.normals + 3ll * face + k), sums[ATTRIBUTES + 1 + k]);
#endif
      if (weight > most) {
        most = weight;
        id = face;
      }
#if SK_WEIGHTS
      atomicAdd(p.weight_sum + face, (unsigned long long)(weight * 4294967296.0f));
      // Floats that are not negative sort like their bits.
      atomicMax((int *)p.weight_max + face, __float_as_int(weight));
      atomicAdd(p.weight_count + face, 1);
#endif
      open = transmittance > (float)TRIANGLE_TRANSMITTANCE_MIN;
    }
    open = found.go_on() && open;
  }
  if (!pixel.inside) return;
  for (int d = 0; d < SHOWN; ++d) p.channels[SHOWN * pixel.index + d] = sums[d];
  p.alpha[pixel.index] = 1.0f - transmittance;
  p.ids[pixel.index] = id;
}

}  // namespace splatkit
