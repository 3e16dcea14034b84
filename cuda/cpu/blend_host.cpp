// Runs the tiles of an image on the threads, and puts per-instance results together per splat.

#include <algorithm>

#include "blend.h"
#include "splatkit/screen.h"
#include "thread_pool.h"

namespace splatkit {
namespace {

constexpr int WIDTHS[] = {3, 4, 8, 16};

// Calls f(pass) for each pass that the channels need, with the values that it blends.
template <class F>
void for_passes(const BlendArguments<float> &a, Bins &bins, F &&f) {
  int channel = 0;
  for (bool first = true; first || channel < a.num_channels; first = false) {
    BlendPass pass = {};
    pass.arguments = &a;
    pass.bins = &bins;
    pass.first = first;
    pass.channel_begin = channel;
    const int colors = first ? 3 : 0, wanted = colors + a.num_channels - channel;
    pass.count = *std::find_if(std::begin(WIDTHS), std::end(WIDTHS) - 1,
                               [&](int width) { return width >= wanted; });
    pass.channel_count = std::min(pass.count, wanted) - colors;
    if (pass.count > 3 || !first) {
      float *values = bins.values.resize(bins.splats * pass.count);
      parallel_for(bins.splats, 4096, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t row = bins.packed[i].row;
          float *out = values + i * pass.count;
          std::copy_n(bins.packed[i].color, colors, out);
          std::copy_n(a.channels + row * a.num_channels + channel, pass.channel_count,
                      out + colors);
          std::fill(out + colors + pass.channel_count, out + pass.count, 0.0f);
        }
      });
      pass.values = values;
    }
    channel += pass.channel_count;
    f(pass);
  }
}

void for_tiles(const Bins &bins, const BlendPass &pass, void (*kernel)(const BlendPass &, int)) {
  parallel_for(bins.tiles(), 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) kernel(pass, bins.schedule[i]);
  });
}

// Per-Gaussian statistics: instances of a splat in order, then cameras in order.
void gather_statistics(const BlendArguments<float> &a, const Bins &bins,
                       const InstanceStatistics *statistics) {
  std::fill_n(a.weight_sum, a.gaussians, 0.0f);
  std::fill_n(a.weight_max, a.gaussians, 0.0f);
  std::fill_n(a.weight_count, a.gaussians, 0);
  for (int camera = 0; camera < bins.cameras; ++camera) {
    const int64_t first = bins.camera_begin[camera];
    parallel_for(bins.camera_begin[camera + 1] - first, 4096, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = first + begin; i < first + end; ++i) {
        const PackedSplat &p = bins.packed[i];
        for (int64_t k = p.first_instance; k < bins.instance_end(i); ++k) {
          const InstanceStatistics &s = statistics[bins.places[k]];
          a.weight_sum[p.gaussian] += s.weight_sum;
          a.weight_max[p.gaussian] = std::max(a.weight_max[p.gaussian], s.weight_max);
          a.weight_count[p.gaussian] += s.count;
        }
      }
    });
  }
}

}  // namespace

void blend(const BlendArguments<float> &a, BlendWorkspace &work) {
  Bins &bins = work.bins;
  for_passes(a, bins, [&](BlendPass &pass) {
    if (pass.first && a.weight_sum) pass.statistics = work.statistics.resize(bins.instances);
    for_tiles(bins, pass, SK_BEST(blend_tile));
    if (pass.statistics) gather_statistics(a, bins, pass.statistics);
  });
}

void blend_adj(const BlendArguments<float> &a, const BlendGradients<float> &g,
               BlendWorkspace &work) {
  Bins &bins = work.bins;
  for_passes(a, bins, [&](BlendPass &pass) {
    pass.gradients = &g;
    pass.slots = work.slots.resize(bins.instances * slot_size(pass.count));
    for_tiles(bins, pass, SK_BEST(blend_adj_tile));
    const auto kernel = SK_BEST(gather_gradients);
    parallel_for(bins.splats, 2048,
                 [&](int64_t begin, int64_t end, int) { kernel(pass, begin, end); });
  });
}

}  // namespace splatkit
