// Triangles drawn camera after camera: binned, tiles on the threads, sums put together in order.

#include "triangles.h"

#include <algorithm>

#include "thread_pool.h"
#include "triangles_tile.h"

namespace splatkit {
namespace {

void run_tile(const TrianglePass<float> &pass, int tile) { SK_BEST(triangle_tile)(pass, tile); }
void run_tile(const TrianglePass<double> &pass, int tile) { triangle_tile_plain(pass, tile); }
void run_tile_adj(const TrianglePass<float> &pass, int tile) {
  SK_BEST(triangle_tile_adj)(pass, tile);
}
void run_tile_adj(const TrianglePass<double> &pass, int tile) {
  triangle_tile_adj_plain(pass, tile);
}

template <class S>
TrianglePass<S> pass_of(const TriangleArguments<S> &a, int camera, const TriangleBins<S> &bins) {
  return {&a,
          bins.faces.data(),
          bins.entries.data(),
          bins.tile_begin.data(),
          camera,
          bins.tiles_x,
          nullptr,
          nullptr,
          nullptr};
}

template <class S>
void gather_statistics(const TriangleArguments<S> &a, const TriangleBins<S> &bins,
                       const TriangleStatistics<S> *statistics) {
  parallel_for(a.num_faces, 4096, [&](int64_t begin, int64_t end, int) {
    for (int64_t face = begin; face < end; ++face)
      for (int64_t i = bins.faces[face].first_instance; i < bins.faces[face + 1].first_instance;
           ++i) {
        const TriangleStatistics<S> &s = statistics[bins.places[i]];
        a.weight_sum[face] += s.weight_sum;
        a.weight_max[face] = std::max(a.weight_max[face], s.weight_max);
        a.weight_count[face] += s.count;
      }
  });
}

}  // namespace

void triangle_tile_plain(const TrianglePass<double> &pass, int tile) {
  triangle_tile_of<double>(pass, tile);
}

void triangle_tile_adj_plain(const TrianglePass<double> &pass, int tile) {
  triangle_tile_adj_of<double>(pass, tile);
}

template <class S>
void draw_triangles(const TriangleArguments<S> &a, TriangleWorkspace<S> &work) {
  if (a.weight_sum) {
    std::fill_n(a.weight_sum, a.num_faces, (S)0);
    std::fill_n(a.weight_max, a.num_faces, (S)0);
    std::fill_n(a.weight_count, a.num_faces, 0);
  }
  for (int camera = 0; camera < a.cameras; ++camera) {
    bin_triangles(a, camera, work.bins);
    TrianglePass<S> pass = pass_of(a, camera, work.bins);
    if (a.weight_sum) pass.statistics = work.statistics.resize(work.bins.instances);
    parallel_for((int64_t)work.bins.tile_begin.size() - 1, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t tile = begin; tile < end; ++tile) run_tile(pass, (int)tile);
    });
    if (a.weight_sum) gather_statistics(a, work.bins, pass.statistics);
  }
}

template <class S>
void draw_triangles_adj(const TriangleArguments<S> &a, const TriangleGradients<S> &g,
                        TriangleWorkspace<S> &work) {
  for (int camera = 0; camera < a.cameras; ++camera) {
    bin_triangles(a, camera, work.bins);
    TrianglePass<S> pass = pass_of(a, camera, work.bins);
    pass.gradients = &g;
    pass.slots = work.slots.resize(work.bins.instances * triangle_slot_size(a.num_attributes));
    parallel_for((int64_t)work.bins.tile_begin.size() - 1, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t tile = begin; tile < end; ++tile) run_tile_adj(pass, (int)tile);
    });
    gather_triangles(a, g, camera, work.bins, pass.slots);
  }
}

template void draw_triangles(const TriangleArguments<float> &, TriangleWorkspace<float> &);
template void draw_triangles(const TriangleArguments<double> &, TriangleWorkspace<double> &);
template void draw_triangles_adj(const TriangleArguments<float> &, const TriangleGradients<float> &,
                                 TriangleWorkspace<float> &);
template void draw_triangles_adj(const TriangleArguments<double> &,
                                 const TriangleGradients<double> &, TriangleWorkspace<double> &);

}  // namespace splatkit
