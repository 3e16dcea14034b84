// Binning and blending of float records: tiles, SIMD over blocks of pixels, threads over tiles.
#pragma once

#include <vector>

#include "buffer.h"
#include "dispatch.h"
#include "raster.h"

namespace splatkit {

// Pixels of a tile. A tile is a whole number of vectors of 8x2, 8x1 or 4x1 pixels.
constexpr int TILE_WIDTH = 32;
constexpr int TILE_HEIGHT = 32;
constexpr int TILE_PIXELS = TILE_WIDTH * TILE_HEIGHT;

// A splat as the inner loops read it: one cache line.
struct PackedSplat {
  float x, y;                      // centre, pixels
  float log2_opacity, xx, xy, yy;  // FoldedConic
  float color[3];
  float depth;
  uint16_t x_first, x_last, y_first, y_last;  // pixels that it can reach, inclusive
  int32_t row;                                // of the records
  int32_t gaussian;
  int32_t first_instance;  // its instances, one a tile, have consecutive numbers
  float extent_x;          // half the width of what it reaches, pixels
};
static_assert(sizeof(PackedSplat) == 64);

// What one instance adds to its splat's gradients: moments, score and weight sums, then values.
constexpr int SLOT_MOMENTS = 0, SLOT_SCORE = 6, SLOT_WEIGHT = 7, SLOT_VALUES = 8;
// Whole cache lines.
constexpr int slot_size(int values) { return (SLOT_VALUES + values + 15) / 16 * 16; }

// What one instance adds to its splat's statistics.
struct InstanceStatistics {
  float weight_sum, weight_max;
  int32_t count;
};

// Splats sorted into tiles.
struct Bins {
  int cameras = 0, width = 0, height = 0, tiles_x = 0, tiles_y = 0;
  int64_t splats = 0, instances = 0;
  Buffer<PackedSplat> packed;         // in depth order, camera after camera
  Buffer<int32_t> entries;            // places in `packed`, tile after tile, front to back
  Buffer<int32_t> places;             // of each instance among the entries
  std::vector<int64_t> tile_begin;    // [tiles + 1]
  std::vector<int32_t> schedule;      // tiles, most entries first
  std::vector<int64_t> camera_begin;  // [cameras + 1]
  Buffer<float> values;               // [splats, values] where there are more than colours

  // One beyond the splat's last instance.
  int64_t instance_end(int64_t splat) const {
    return splat + 1 < splats ? packed[splat + 1].first_instance : instances;
  }
  int64_t tiles() const { return (int64_t)cameras * tiles_x * tiles_y; }

  // Working memory of the binning itself.
  Buffer<uint64_t> keys, keys_swap;
  Buffer<int32_t> order, order_swap;
  std::vector<std::vector<int32_t>> pieces;
  std::vector<int32_t> histograms;
};

// One pass over tiles: `values` (3, 4, 8 or 16) numbers per splat are blended at once, colours
// first in the first pass, then channels; further channels take further passes.
struct BlendPass {
  const BlendArguments<float> *arguments;
  const Bins *bins;
  const float *values;  // [splats, count], or null: the packed colours
  int count;            // 3, 4, 8 or 16
  bool first;
  int channel_begin, channel_count;  // of the channels in this pass; they follow the colours
  InstanceStatistics *statistics;    // [instances] or null
  // Backward only.
  const BlendGradients<float> *gradients;
  float *slots;  // [instances, slot_size(count)]
};

struct BlendWorkspace {
  Bins bins;
  Buffer<float> slots;
  Buffer<InstanceStatistics> statistics;
};

// Sorts the records into tiles.
void bin(const BlendArguments<float> &a, Bins &bins);
// Blends what was binned.
void blend(const BlendArguments<float> &a, BlendWorkspace &work);
// Of the same arguments, workspace and outputs.
void blend_adj(const BlendArguments<float> &a, const BlendGradients<float> &g,
               BlendWorkspace &work);

}  // namespace splatkit

// Packs splats begin..end of `order`, rows of one camera; all but first_instance.
SK_KERNEL(pack_splats, (const BlendArguments<float> &a, const int32_t *order, int64_t begin,
                        int64_t end, PackedSplat *packed));
SK_KERNEL(blend_tile, (const BlendPass &pass, int tile));
SK_KERNEL(blend_adj_tile, (const BlendPass &pass, int tile));
// Sums the slots of splats begin..end into their records' gradients.
SK_KERNEL(gather_gradients, (const BlendPass &pass, int64_t begin, int64_t end));
