// Projection of float parameters: SIMD over splats, threads over blocks of splats.
#pragma once

#include <vector>

#include "buffer.h"
#include "dispatch.h"
#include "raster.h"

namespace splatkit {

// Splats of a block; a piece of work is one block seen by one camera.
constexpr int64_t PROJECT_BLOCK = 512;
// Floats that a block of records may be written beyond its end.
constexpr int64_t RECORD_SLACK = 16;
// Derivatives of a view: rotation, translation, position.
constexpr int VIEW_SUMS = 15;

// Records of all blocks, each in its own place, until their number is known.
struct Projected {
  Buffer<float> records;
  Buffer<int32_t> ids;
  std::vector<int64_t> counts;  // by camera, then block
};

// Projects into `staged`; the number of visible pairs.
int64_t project(const ProjectArguments<float> &a, Projected &staged);

// Moves the visible pairs of the last `project`, of `count` Gaussians, into [M,12], [M], [M].
void take_projected(const Projected &staged, int64_t count, float *records, int32_t *gaussian_ids,
                    int32_t *camera_ids);

void project_adj(const ProjectArguments<float> &a, const ProjectGradients<float> &g);

}  // namespace splatkit

// Writes the records and ids of the visible splats of begin..end, and their number.
SK_KERNEL(project_block, (const ProjectArguments<float> &a, int camera, int64_t begin, int64_t end,
                          float *records, int32_t *ids, int64_t *count));

// Adds the gradients of rows begin..end, all of one camera; sums those of the view.
SK_KERNEL(project_adj_block, (const ProjectArguments<float> &a, const ProjectGradients<float> &g,
                              int camera, int64_t begin, int64_t end, double *view_sums));
