#include "fusion.h"

#include <algorithm>
#include <cmath>

#include "thread_pool.h"

namespace splatkit {
namespace {

constexpr int VOXELS = FUSION_BLOCK * FUSION_BLOCK * FUSION_BLOCK;
constexpr float DEPTH_MIN = 1e-6f;

// Voxels of one block in the world, and what has been seen of them.
struct Block {
  float x[VOXELS], y[VOXELS], z[VOXELS], truncation[VOXELS];
  float sum[VOXELS], squares[VOXELS], weight[VOXELS];
  float middle[3], reach;
};

void place_voxels(const FusionArguments &a, const int32_t *place, Block &block) {
  double middle[3] = {};
  for (int i = 0; i < VOXELS; ++i) {
    const int at[3] = {i / (FUSION_BLOCK * FUSION_BLOCK), i / FUSION_BLOCK % FUSION_BLOCK,
                       i % FUSION_BLOCK};
    float p[3];
    for (int k = 0; k < 3; ++k) p[k] = a.voxel * (float)(FUSION_BLOCK * place[k] + at[k]);
    const float s = std::sqrt(p[0] * p[0] + p[1] * p[1] + p[2] * p[2]);
    const float stretch = std::exp(std::clamp(s / a.radius - 1.0f, 0.0f, 40.0f));
    const float scale = s > a.radius ? a.radius * stretch / s : 1.0f;
    block.x[i] = a.center[0] + scale * p[0];
    block.y[i] = a.center[1] + scale * p[1];
    block.z[i] = a.center[2] + scale * p[2];
    block.truncation[i] = a.truncation * a.voxel * stretch;
    block.sum[i] = block.squares[i] = block.weight[i] = 0.0f;
    middle[0] += block.x[i], middle[1] += block.y[i], middle[2] += block.z[i];
  }
  float radius = 0.0f, truncation = 0.0f;
  for (int k = 0; k < 3; ++k) block.middle[k] = (float)(middle[k] / VOXELS);
  for (int i = 0; i < VOXELS; ++i) {
    const float d[3] = {block.x[i] - block.middle[0], block.y[i] - block.middle[1],
                        block.z[i] - block.middle[2]};
    radius = std::max(radius, d[0] * d[0] + d[1] * d[1] + d[2] * d[2]);
    truncation = std::max(truncation, block.truncation[i]);
  }
  block.reach = std::sqrt(radius) + truncation;
}

// Whether the view can say anything about the block, `deepest` being its largest depth.
bool concerns(const FusionView &v, float deepest, const Block &block) {
  float c[3];
  for (int k = 0; k < 3; ++k)
    c[k] = v.viewmat[4 * k] * block.middle[0] + v.viewmat[4 * k + 1] * block.middle[1] +
           v.viewmat[4 * k + 2] * block.middle[2] + v.viewmat[4 * k + 3];
  if (!(c[2] > -block.reach && c[2] < deepest + block.reach)) return false;
  if (c[2] < 2 * block.reach) return true;
  const float x = v.K[0] * c[0] / c[2] + v.K[2], y = v.K[4] * c[1] / c[2] + v.K[5];
  const float spread = 2 * block.reach / c[2] * std::max(v.K[0], v.K[4]);
  return x > -spread && x < (float)v.width + spread && y > -spread && y < (float)v.height + spread;
}

void add_view(const FusionView &v, Block &block) {
  const float *m = v.viewmat;
  for (int i = 0; i < VOXELS; ++i) {
    const float x = block.x[i], y = block.y[i], z = block.z[i];
    const float depth_of_voxel = m[8] * x + m[9] * y + m[10] * z + m[11];
    if (!(depth_of_voxel > DEPTH_MIN)) continue;
    const float inverse = 1.0f / depth_of_voxel;
    const float column = v.K[0] * (m[0] * x + m[1] * y + m[2] * z + m[3]) * inverse + v.K[2];
    const float row = v.K[4] * (m[4] * x + m[5] * y + m[6] * z + m[7]) * inverse + v.K[5];
    if (!(column >= 0 && row >= 0 && column < (float)v.width && row < (float)v.height)) continue;
    const float depth = v.depth[(int64_t)row * v.width + (int64_t)column];
    if (!(depth > DEPTH_MIN)) continue;
    const float distance = (depth - depth_of_voxel) / block.truncation[i];
    if (!(distance > -1.0f)) continue;
    // Errors of depth grow with its square. Where nothing is, all that is in front of it counts.
    const float far = std::isfinite(depth) ? depth : depth_of_voxel;
    const float weight = 1.0f / (far * far), cut = std::min(distance, 1.0f);
    block.weight[i] += weight;
    block.sum[i] += weight * cut;
    block.squares[i] += weight * cut * cut;
  }
}

}  // namespace

void fuse_depth(const FusionArguments &a) {
  float *deepest = thread_scratch(a.num_views);
  for (int view = 0; view < a.num_views; ++view) {
    const FusionView &v = a.views[view];
    const int64_t pixels = (int64_t)v.width * v.height;
    deepest[view] = pixels ? *std::max_element(v.depth, v.depth + pixels) : 0.0f;
  }
  parallel_for(a.num_blocks, 16, [&](int64_t begin, int64_t end, int) {
    Block block;
    for (int64_t b = begin; b < end; ++b) {
      place_voxels(a, a.places + 3 * b, block);
      for (int view = 0; view < a.num_views; ++view)
        if (concerns(a.views[view], deepest[view], block)) add_view(a.views[view], block);
      for (int i = 0; i < VOXELS; ++i) {
        const int64_t at = VOXELS * b + i;
        const bool seen = block.weight[i] > 0;
        const float mean = seen ? block.sum[i] / block.weight[i] : 0.0f;
        const float square = seen ? block.squares[i] / block.weight[i] : 0.0f;
        a.distance[at] = mean;
        a.weight[at] = block.weight[i];
        a.deviation[at] = std::sqrt(std::max(square - mean * mean, 0.0f));
      }
    }
  });
}

}  // namespace splatkit
