// Depth pictures fused to truncated signed distances (Curless and Levoy 1996) on blocks of voxels.
#pragma once

#include <cstdint>

namespace splatkit {

constexpr int FUSION_BLOCK = 8;

struct FusionView {
  const float *depth;  // [height,width] camera z; infinite: nothing is there; 0: not known
  int width, height;
  float K[9];         // row by row
  float viewmat[12];  // the first three rows
};

struct FusionArguments {
  const int32_t *places;  // [B,3] of blocks: voxel v of block p is at voxel * (8 p + v), warped
  int64_t num_blocks;
  const FusionView *views;
  int num_views;
  float voxel;       // distance between voxels, warped
  float truncation;  // voxels
  // A warped place at the distance s from the origin is at center + radius exp(s / radius - 1) in
  // its direction where s > radius, and unchanged within (splatkit/mesh/warp.py).
  float center[3], radius;
  // [B,8,8,8] out: mean distance over the truncation, at most 1; sum of weights, 0 where no view
  // saw the voxel; standard deviation of the distances.
  float *distance, *weight, *deviation;
};

void fuse_depth(const FusionArguments &arguments);

}  // namespace splatkit
