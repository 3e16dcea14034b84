// Gradients of what triangles.cu drew, front to back: each pixel keeps its transmittance and what
// is still to be blended, times the loss gradient. Lanes that look at the same face put their sums
// together before they are added to the face's.

#include "triangles.h"

namespace splatkit {
inline namespace SK_ISA {

constexpr int ROUNDS = (SUMMED + WARP - 1) / WARP;

// A pixel on its way to the back.
struct PixelRest {
  float v[SHOWN], v_alpha;
  float transmittance, rest;

  SK_DEVICE PixelRest(const TriangleBlendParams &p, const Pixel &pixel) {
    transmittance = 1.0f;
    rest = v_alpha = 0.0f;
    for (float &value : v) value = 0.0f;
    if (!pixel.inside) return;
    v_alpha = __ldg(p.v_alpha + pixel.index);
    rest = v_alpha * p.alpha[pixel.index];
    for (int d = 0; d < SHOWN; ++d) {
      v[d] = __ldg(p.v_channels + SHOWN * pixel.index + d);
      rest = fma(v[d], p.channels[SHOWN * pixel.index + d], rest);
    }
  }
};

// What one fragment adds to its face's sums.
SK_DEVICE void blend_triangle_adj(const TriangleBlendParams &p,
                                  [[maybe_unused]] const DrawnTriangle &t, int face,
                                  const Fragment &f, PixelRest &r, float sums[ROUNDS * WARP]) {
  const float weight = r.transmittance * f.alpha, *lambda = f.at.lambda;
  const float z_v = r.v[ATTRIBUTES];
  float own = fma(z_v, f.at.z, r.v_alpha), v_lambda[3];
  for (int k = 0; k < 3; ++k) {
    const float *values = p.attributes + (long long)ATTRIBUTES * p.faces[3ll * face + k];
    const float share = weight * lambda[k];
    float sum = 0.0f;
    for (int a = 0; a < ATTRIBUTES; ++a) {
      sum = fma(r.v[a], __ldg(values + a), sum);
      sums[SUM_ATTRIBUTES + ATTRIBUTES * k + a] = share * r.v[a];
    }
    own = fma(lambda[k], sum, own);
    v_lambda[k] = weight * sum;
  }
#if SK_NORMALS
  for (int k = 0; k < 3; ++k) {
    const float v = r.v[ATTRIBUTES + 1 + k] * t.screen.facing;
    own = fma(v, __ldg(p.normals + 3ll * face + k), own);
    sums[SUM_NORMAL + k] = weight * v;
  }
#endif
  const float through = 1.0f - f.alpha, before = r.transmittance;
  r.transmittance = before * through;
  r.rest = fma(-weight, own, r.rest);
#if SK_SOFT
  // Nothing is blended behind the one that ends the pixel.
  float v_alpha = before * own;
  if (r.transmittance > (float)TRIANGLE_TRANSMITTANCE_MIN) v_alpha -= r.rest / through;
  const float share = v_alpha * f.window;
  float opacity = 0.0f;
  for (int k = 0; k < 3; ++k) {
    opacity = fma(lambda[k], t.opacities[k], opacity);
    sums[SUM_OPACITIES + k] = share * lambda[k];
    v_lambda[k] = fma(share, t.opacities[k], v_lambda[k]);
  }
  const int k =
      lambda[1] < lambda[0] ? (lambda[2] < lambda[1] ? 2 : 1) : (lambda[2] < lambda[0] ? 2 : 0);
  const float smallest = min(min(lambda[0], lambda[1]), lambda[2]);
  const float v_smallest = triangle_window_adj(smallest, f.window, p.softness, v_alpha * opacity);
  for (int i = 0; i < 3; ++i)
    if (i == k) v_lambda[i] += v_smallest;
#endif
  triangle_point_adj(f.at, f.x, f.y, v_lambda, weight * z_v, sums + SUM_PLANES);
}

// Adds the lanes' sums to those of their faces; the whole warp calls it.
SK_DEVICE void deliver(const TriangleBlendParams &p, bool has, unsigned number,
                       const float sums[ROUNDS * WARP]) {
  for (unsigned pending = __ballot_sync(FULL_WARP, has); pending;) {
    const unsigned of = __shfl_sync(FULL_WARP, number, __ffs((int)pending) - 1);
    const bool mine = has && number == of;
    pending &= ~__ballot_sync(FULL_WARP, mine);
#pragma unroll
    for (int round = 0; round < ROUNDS; ++round) {
      float values[WARP];
#pragma unroll
      for (int i = 0; i < WARP; ++i) values[i] = mine ? sums[round * WARP + i] : 0.0f;
      const float total = transposed_sum<WARP>(values);
      const int place = round * WARP + lane_id();
      if (place < SUMMED) atomicAdd(p.sums + (long long)of * SUMMED + place, total);
    }
  }
}

}  // namespace SK_ISA

SK_GLOBAL(TRIANGLE_THREADS, 2) triangle_blend_adj(const TriangleBlendParams p) {
  __shared__ DrawnTriangle staged[FACES];
  __shared__ unsigned numbers[FACES];
  const TilePlace t = tile_place(p, blockIdx.x);
  const Pixel pixel(p, t, warp_id(), lane_id());
  PixelRest rest(p, pixel);
  bool open = pixel.inside;
  NearestFragments found;
  found.begin();
  while (__syncthreads_or(open)) {
    find_nearest(p, t, pixel, open, staged, numbers, found);
#pragma unroll 1
    for (int i = 0; i < NEAREST; ++i) {
      open = open && found.depths[i] < never();
      if (!__any_sync(FULL_WARP, open)) break;
      const unsigned number = found.numbers[i];
      float sums[ROUNDS * WARP];
#pragma unroll
      for (int k = 0; k < ROUNDS * WARP; ++k) sums[k] = 0.0f;
      const bool has = open;
      if (has) {
        const int face = (int)((long long)number - t.camera * p.count);
        const DrawnTriangle triangle = load_triangle(p, number, t.camera);
        Fragment f = {};
        see(triangle, p, pixel.x, pixel.y, f);
        blend_triangle_adj(p, triangle, face, f, rest, sums);
        open = rest.transmittance > (float)TRIANGLE_TRANSMITTANCE_MIN;
      }
      deliver(p, has, number, sums);
    }
    open = found.go_on() && open;
  }
}

}  // namespace splatkit
