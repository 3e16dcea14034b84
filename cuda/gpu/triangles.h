// Triangles as the drawing kernels see them: what a face shows at a pixel, and a pixel's nearest
// fragments, found by looking through the tile's faces as often as it takes.
#pragma once

#include "blending.h"
#include "splatkit/triangle_place.h"

#ifndef SK_SOFT
#define SK_SOFT 0
#endif
#ifndef SK_NORMALS
#define SK_NORMALS 0
#endif
#ifndef SK_ATTRIBUTES
#define SK_ATTRIBUTES 0
#endif

namespace splatkit {
inline namespace SK_ISA {

constexpr int ATTRIBUTES = SK_ATTRIBUTES;
constexpr int SHOWN = ATTRIBUTES + (SK_NORMALS ? 4 : 1);  // channels
constexpr int SUMMED = TRIANGLE_SUM_FLOATS + 3 * ATTRIBUTES;
constexpr int SUM_PLANES = 0, SUM_OPACITIES = 9, SUM_NORMAL = 12, SUM_ATTRIBUTES = 15;
// Fragments of a pixel that are found at once.
constexpr int NEAREST = SK_SOFT ? 8 : 1;
constexpr int FACES = 128;  // of a tile in shared memory at once
static_assert(TILE_PIXELS == TRIANGLE_THREADS, "a thread a pixel");

// A face as one camera sees it; x_first > x_last where it does not.
struct alignas(16) ScreenTriangle {
  float planes[9];  // counted from pixel (x_first, y_first)
  float facing;
  int x_first, x_last, y_first, y_last;
  int padding[2];
};
static_assert(sizeof(ScreenTriangle) == SCREEN_TRIANGLE_FLOATS * sizeof(float));

// A face with what alpha needs of its corners.
struct DrawnTriangle {
  ScreenTriangle screen;
  float opacities[3];
};

SK_DEVICE DrawnTriangle load_triangle(const TriangleBlendParams &p, unsigned number,
                                      [[maybe_unused]] int camera) {
  DrawnTriangle t;
  t.screen = ((const ScreenTriangle *)p.screen)[number];
#if SK_SOFT
  const int *corners = p.faces + 3 * ((long long)number - camera * p.count);
  for (int k = 0; k < 3; ++k) t.opacities[k] = __ldg(p.opacities + __ldg(corners + k));
#else
  for (float &opacity : t.opacities) opacity = 1.0f;
#endif
  return t;
}

// What a pixel sees of a face.
struct Fragment {
  TrianglePoint<float> at;
  float window, alpha;
  float x, y;  // of the pixel's centre, counted from the face's first pixel
};

// False where the pixel does not see the face. The same bits whenever it is asked.
SK_DEVICE bool see(const DrawnTriangle &t, const TriangleBlendParams &p, int x, int y,
                   Fragment &f) {
  const ScreenTriangle &s = t.screen;
  if (x < s.x_first || x > s.x_last || y < s.y_first || y > s.y_last) return false;
  f.x = (float)(x - s.x_first) + 0.5f;
  f.y = (float)(y - s.y_first) + 0.5f;
  f.at = triangle_point(s.planes, f.x, f.y);
  const float *lambda = f.at.lambda;
  const float smallest = min(min(lambda[0], lambda[1]), lambda[2]);
  const bool there = f.at.z > p.near && finite(f.at.z);
  f.window = f.alpha = 1.0f;
#if SK_SOFT
  if (!(there && smallest > 0.0f)) return false;
  f.window = triangle_window(3.0f * smallest, p.softness);
  f.alpha = f.window * fma(lambda[0], t.opacities[0],
                           fma(lambda[1], t.opacities[1], lambda[2] * t.opacities[2]));
  return f.alpha >= (float)TRIANGLE_ALPHA_MIN;
#else
  return there && smallest >= (float)-TRIANGLE_SLACK;
#endif
}

// A pixel's nearest fragments behind those that it has had, front to back; of equal depth in the
// order of faces.
struct NearestFragments {
  float depths[NEAREST];
  unsigned numbers[NEAREST];  // of faces
  float last_depth;           // behind this
  unsigned last_number;

  SK_DEVICE void begin() {
    last_depth = 0.0f;  // everything that is seen lies behind the near plane
    last_number = 0;
  }
  SK_DEVICE void clear() {
    for (int i = 0; i < NEAREST; ++i) {
      depths[i] = never();
      numbers[i] = 0;
    }
  }
  SK_DEVICE void insert(float depth, unsigned number) {
    if (depth < last_depth || (depth == last_depth && number <= last_number)) return;
    bool nearer = false;
#pragma unroll
    for (int i = 0; i < NEAREST; ++i) {
      // Once it has found its place, the ones behind move on.
      nearer = nearer || depth < depths[i];
      const float old_depth = depths[i];
      const unsigned old_number = numbers[i];
      depths[i] = nearer ? depth : old_depth;
      numbers[i] = nearer ? number : old_number;
      depth = nearer ? old_depth : depth;
      number = nearer ? old_number : number;
    }
  }
  // Whether there may be more behind the ones found; they are what comes next.
  SK_DEVICE bool go_on() {
    last_depth = depths[NEAREST - 1];
    last_number = numbers[NEAREST - 1];
    return last_depth < never();
  }
};

// Looks through all faces of a tile; every thread of the block calls it, `open` where its pixel
// still wants fragments.
SK_DEVICE void find_nearest(const TriangleBlendParams &p, const TilePlace &t, const Pixel &pixel,
                            bool open, DrawnTriangle *staged, unsigned *numbers,
                            NearestFragments &found) {
  found.clear();
  const bool some_open = __any_sync(FULL_WARP, open);
  const int left = t.x + sub_tile_x(warp_id()), top = t.y + sub_tile_y(warp_id());
  for (unsigned batch = t.begin; batch < t.end; batch += FACES) {
    const int here = (int)min(t.end - batch, (unsigned)FACES);
    __syncthreads();
    if ((int)threadIdx.x < here) {
      numbers[threadIdx.x] = p.entries[batch + threadIdx.x];
      staged[threadIdx.x] = load_triangle(p, numbers[threadIdx.x], t.camera);
    }
    __syncthreads();
    for (int group = 0; some_open && group < here; group += WARP) {
      const int own = group + lane_id();
      const ScreenTriangle &s = staged[min(own, here - 1)].screen;
      const bool near = own < here && s.x_first < left + SUB_WIDTH && s.x_last >= left &&
                        s.y_first < top + SUB_HEIGHT && s.y_last >= top;
      for (unsigned hits = __ballot_sync(FULL_WARP, near); hits; hits &= hits - 1) {
        const int i = group + __ffs((int)hits) - 1;
        Fragment f = {};
        if (open && see(staged[i], p, pixel.x, pixel.y, f)) found.insert(f.at.z, numbers[i]);
      }
    }
  }
}

}  // namespace SK_ISA
}  // namespace splatkit
