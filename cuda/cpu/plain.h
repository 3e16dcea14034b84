// The rasterizer as plain loops in double precision: one thread, no tiles, no vectors.
#pragma once

#include <vector>

#include "raster.h"

namespace splatkit {

struct PlainRecords {
  std::vector<double> records;
  std::vector<int32_t> gaussian_ids, camera_ids;
};

PlainRecords project_plain(const ProjectArguments<double> &a);
void project_plain_adj(const ProjectArguments<double> &a, const ProjectGradients<double> &g);
void blend_plain(const BlendArguments<double> &a);
void blend_plain_adj(const BlendArguments<double> &a, const BlendGradients<double> &g);

}  // namespace splatkit
