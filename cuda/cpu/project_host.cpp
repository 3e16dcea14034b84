// Cuts projection into pieces for the threads, and puts the pieces together in order.

#include <algorithm>
#include <vector>

#include "project.h"
#include "splatkit/camera.h"
#include "thread_pool.h"

namespace splatkit {
namespace {

int64_t blocks_of(int64_t count) { return (count + PROJECT_BLOCK - 1) / PROJECT_BLOCK; }

// Floats from one block's records to the next one's.
constexpr int64_t BLOCK_FLOATS = PROJECT_BLOCK * 12 + RECORD_SLACK;

}  // namespace

int64_t project(const ProjectArguments<float> &a, Projected &staged) {
  const int64_t blocks = blocks_of(a.count), pieces = blocks * a.cameras;
  staged.records.resize(pieces * BLOCK_FLOATS);
  staged.ids.resize(pieces * PROJECT_BLOCK);
  staged.counts.assign(pieces, 0);
  const auto kernel = SK_BEST(project_block);
  parallel_for(pieces, 4, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i % blocks * PROJECT_BLOCK;
      kernel(a, (int)(i / blocks), first, std::min(first + PROJECT_BLOCK, a.count),
             staged.records.data() + i * BLOCK_FLOATS, staged.ids.data() + i * PROJECT_BLOCK,
             &staged.counts[i]);
    }
  });
  int64_t total = 0;
  for (const int64_t count : staged.counts) total += count;
  return total;
}

void take_projected(const Projected &staged, int64_t count, float *records, int32_t *gaussian_ids,
                    int32_t *camera_ids) {
  const int64_t pieces = (int64_t)staged.counts.size(), blocks = blocks_of(count);
  std::vector<int64_t> starts(pieces + 1, 0);
  for (int64_t i = 0; i < pieces; ++i) starts[i + 1] = starts[i] + staged.counts[i];
  parallel_for(pieces, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      std::copy_n(staged.records.data() + i * BLOCK_FLOATS, 12 * staged.counts[i],
                  records + 12 * starts[i]);
      std::copy_n(staged.ids.data() + i * PROJECT_BLOCK, staged.counts[i],
                  gaussian_ids + starts[i]);
      std::fill_n(camera_ids + starts[i], staged.counts[i], (int32_t)(i / blocks));
    }
  });
}

void project_adj(const ProjectArguments<float> &a, const ProjectGradients<float> &g) {
  const auto kernel = SK_BEST(project_adj_block);
  for (int camera = 0; camera < a.cameras; ++camera) {
    const auto range = std::equal_range(g.camera_ids, g.camera_ids + g.rows, camera);
    const int64_t first = range.first - g.camera_ids, last = range.second - g.camera_ids;
    const int64_t blocks = blocks_of(last - first);
    std::vector<double> sums(blocks * VIEW_SUMS);
    // Within a camera every row has its own Gaussian, so blocks never add to the same place.
    parallel_for(blocks, 2, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i)
        kernel(a, g, camera, first + i * PROJECT_BLOCK,
               std::min(first + (i + 1) * PROJECT_BLOCK, last), &sums[i * VIEW_SUMS]);
    });
    if (!g.v_viewmats) continue;
    ViewGradient<double> v_view = {};
    for (int64_t i = 0; i < blocks; ++i) {
      const double *sum = &sums[i * VIEW_SUMS];
      v_view.each([&](double &value) { value += *sum++; });
    }
    make_view_adj(make_view(a.viewmats + 16 * camera), v_view, g.v_viewmats + 16 * camera);
  }
}

}  // namespace splatkit
