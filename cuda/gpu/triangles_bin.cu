// Faces to the screen and into tiles, and sums of faces to gradients of what is stored.

#include "splatkit/triangle_place.h"
#include "triangles.h"

namespace splatkit {
inline namespace SK_ISA {

// A camera in double precision; what it counts pixels from is its first.
struct TriangleCamera {
  View<double> view;
  PixelAxes<double> axes;

  SK_DEVICE TriangleCamera(const float *viewmats, const float *Ks, int camera) {
    double viewmat[16];
    for (int i = 0; i < 16; ++i) viewmat[i] = __ldg(viewmats + 16 * camera + i);
    view = make_view(viewmat);
    const float *K = Ks + 9 * camera;
    axes = {__ldg(K), __ldg(K + 4), __ldg(K + 2), __ldg(K + 5)};
  }
};

SK_DEVICE void load_corner(const float *vertices, int corner, double vertex[3]) {
  for (int i = 0; i < 3; ++i) vertex[i] = __ldg(vertices + 3ll * corner + i);
}

// The tiles that a face can cover.
struct TileBox {
  int x, y, width, count, base;

  SK_DEVICE int tile(int i, int tiles_x) const {
    return base + (y + i / width) * tiles_x + x + i % width;
  }
};

SK_DEVICE ScreenTriangle screen_triangle(const TriangleBinParams &p, int camera, long long face) {
  const TriangleCamera view(p.viewmats, p.Ks, camera);
  double points[9];
  for (int k = 0; k < 3; ++k) {
    double vertex[3];
    load_corner(p.vertices, __ldg(p.faces + 3 * face + k), vertex);
    to_camera(view.view, vertex, points + 3 * k);
  }
  ScreenTriangle s = {};
  s.x_last = s.y_last = -1;
  TrianglePlace place;
  if (!place_triangle(points, view.axes, p.width, p.height, p.near, place)) return s;
  for (int i = 0; i < 9; ++i) s.planes[i] = (float)place.planes[i];
  s.facing = (float)place.facing;
  s.x_first = place.x_first;
  s.x_last = place.x_last;
  s.y_first = place.y_first;
  s.y_last = place.y_last;
  return s;
}

}  // namespace SK_ISA

SK_GLOBAL(TRIANGLE_THREADS) triangle_bin(const TriangleBinParams p) {
  __shared__ unsigned warp_sums[WARP];
  __shared__ unsigned ticket, blocks_before;
  __shared__ TileBox boxes[TRIANGLE_THREADS];
  const int thread = threadIdx.x, lane = lane_id();
  if (thread == 0) ticket = atomicAdd(p.counters + COUNTER_TICKET_EMIT, 1u);
  __syncthreads();
  const int per_camera = (int)((p.count + TRIANGLE_THREADS - 1) / TRIANGLE_THREADS);
  const int block = (int)ticket, camera = block / per_camera;
  const long long face = (long long)(block % per_camera) * TRIANGLE_THREADS + thread;
  const unsigned number = (unsigned)(camera * p.count + face);
  TileBox box = {};
  if (face < p.count) {
    const ScreenTriangle s = screen_triangle(p, camera, face);
    ((ScreenTriangle *)p.screen)[number] = s;
    if (s.x_first <= s.x_last) {
      const int width = s.x_last / TILE_WIDTH - s.x_first / TILE_WIDTH + 1;
      const int height = s.y_last / TILE_HEIGHT - s.y_first / TILE_HEIGHT + 1;
      box = {s.x_first / TILE_WIDTH, s.y_first / TILE_HEIGHT, width, width * height,
             camera * p.tiles_x * p.tiles_y};
    }
  }
  boxes[thread] = box;
  unsigned total;
  const unsigned in_block =
      block_sum_before<TRIANGLE_THREADS>((unsigned)box.count, warp_sums, total);
  if (warp_id() == 0) {
    const unsigned before = look_back(p.lookback, block, total);
    if (lane == 0) blocks_before = before;
  }
  __syncthreads();
  const unsigned start = blocks_before + in_block, capacity = p.instance_capacity;
  if (block == (int)gridDim.x - 1 && thread == 0) {
    p.counters[COUNTER_INSTANCES] = min(blocks_before + total, capacity);
    p.counters[COUNTER_INSTANCES_WANTED] = min(blocks_before + total, STATE_VALUE);
  }
  const auto write = [&](unsigned at, int tile, unsigned what) {
    if (at >= capacity) return;
    ((TileKey *)p.tile_keys)[at] = (TileKey)tile;
    p.values[at] = what;
  };
  // Small faces lane by lane, large ones by the whole warp.
  const bool large = box.count > WARP;
  for (int i = 0; i < box.count && !large; ++i) write(start + i, box.tile(i, p.tiles_x), number);
  for (unsigned rest = __ballot_sync(FULL_WARP, large); rest; rest &= rest - 1) {
    const int from = __ffs((int)rest) - 1;
    const TileBox &wide = boxes[(thread & ~(WARP - 1)) + from];
    const unsigned at = __shfl_sync(FULL_WARP, start, from);
    const unsigned what = __shfl_sync(FULL_WARP, number, from);
    for (int i = lane; i < wide.count; i += WARP) write(at + i, wide.tile(i, p.tiles_x), what);
  }
}

SK_GLOBAL(TRIANGLE_THREADS) triangle_gather(const TriangleGatherParams p) {
  const int per_camera = (int)((p.count + TRIANGLE_THREADS - 1) / TRIANGLE_THREADS);
  const int camera = blockIdx.x / per_camera;
  const long long face = (long long)(blockIdx.x % per_camera) * TRIANGLE_THREADS + threadIdx.x;
  const long long number = camera * p.count + face;
  ViewGradient<double> v_view = {};
  const ScreenTriangle *s = (const ScreenTriangle *)p.screen + number;
  if (face < p.count && s->x_first <= s->x_last) {
    const TriangleCamera view(p.viewmats, p.Ks, camera);
    const float *sums = p.sums + number * SUMMED;
    double planes[9], v_planes[9], v_p[9] = {};
    for (int i = 0; i < 9; ++i) {
      planes[i] = s->planes[i];
      v_planes[i] = __ldg(sums + SUM_PLANES + i);
    }
    triangle_planes_adj(planes, v_planes, v_p);
    const PixelAxes<double> axes = axes_from(view.axes, s->x_first, s->y_first);
    for (int k = 0; k < 3; ++k) {
      const int corner = __ldg(p.faces + 3 * face + k);
      double vertex[3], v_point[3] = {}, v_vertex[3] = {};
      homogeneous_pixel_adj(axes, v_p + 3 * k, v_point);
      load_corner(p.vertices, corner, vertex);
      to_camera_adj(view.view, vertex, v_point, v_vertex, v_view);
      if (p.v_vertices)
        for (int i = 0; i < 3; ++i) atomicAdd(p.v_vertices + 3ll * corner + i, (float)v_vertex[i]);
      if (p.v_opacities) atomicAdd(p.v_opacities + corner, __ldg(sums + SUM_OPACITIES + k));
      if (p.v_normals) atomicAdd(p.v_normals + 3 * face + k, __ldg(sums + SUM_NORMAL + k));
      if (p.v_attributes)
        for (int a = 0; a < ATTRIBUTES; ++a)
          atomicAdd(p.v_attributes + (long long)ATTRIBUTES * corner + a,
                    __ldg(sums + SUM_ATTRIBUTES + ATTRIBUTES * k + a));
    }
  }
  if (!p.view_sums) return;
  int i = 0;
  v_view.each([&](double &value) {
    const double total = warp_sum(value);
    if (lane_id() == 0) atomicAdd(p.view_sums + camera * VIEW_GRADIENT_FLOATS + i, total);
    ++i;
  });
}

SK_GLOBAL(WARP) triangle_view_adj(const TriangleGatherParams p) {
  const int camera = blockIdx.x * WARP + threadIdx.x;
  if (camera >= p.num_cameras) return;
  ViewGradient<double> v_view;
  int i = 0;
  v_view.each([&](double &value) { value = p.view_sums[camera * VIEW_GRADIENT_FLOATS + i++]; });
  const TriangleCamera view(p.viewmats, p.Ks, camera);
  double v_viewmat[16] = {};
  make_view_adj(view.view, v_view, v_viewmat);
  for (int k = 0; k < 16; ++k) p.v_viewmats[16 * camera + k] = (float)v_viewmat[k];
}

}  // namespace splatkit
