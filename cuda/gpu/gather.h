// From gradients of records to gradients of the Gaussians they show: a warp takes 32 neighbours and
// works alone; each lane adds up what its own Gaussian's records say. The gradient of harmonics is
// an outer product (basis times colour) for each camera: with one camera only the factors pass
// through shared memory.
#pragma once

#include "gpu.h"
#include "splatkit/screen.h"
#include "splatkit/sh.h"
#include "staging.h"

#ifndef SK_MANY_CAMERAS
#define SK_MANY_CAMERAS 0
#endif
#ifndef SK_VIEW_GRADIENT
#define SK_VIEW_GRADIENT 0
#endif

namespace splatkit {
inline namespace SK_ISA {

constexpr int FINISH_WARPS = FINISH_THREADS / WARP;
// Blocks a processor shall hold: 128 registers a thread are enough.
constexpr int FINISH_BLOCKS = 4;

// Order of the parameter tensors.
enum Parameter { MEANS, QUATS, LOG_SCALES, LOGIT_OPACITIES, SH };

// The gradient of a warp's harmonics in shared memory; rows have an odd length, so that lanes that
// write rows of their own meet different banks.
struct HarmonicGradients {
#if SK_MANY_CAMERAS
  static constexpr int PITCH = 3 * USED | 1;

  static SK_DEVICE void clear(float *own) {
#pragma unroll
    for (int i = 0; i < 3 * USED; ++i) own[i] = 0.0f;
  }
  static SK_DEVICE void add(float *own, const float basis[USED], const float v_color[3]) {
#pragma unroll
    for (int k = 0; k < USED; ++k)
      for (int c = 0; c < 3; ++c) own[3 * k + c] = fma(basis[k], v_color[c], own[3 * k + c]);
  }
  // Of value j of a row.
  static SK_DEVICE float get(const float *row, int j) { return j < 3 * USED ? row[j] : 0.0f; }
#else
  static constexpr int PITCH = (USED + 3) | 1;  // basis, then colour

  static SK_DEVICE void clear(float *own) {
#pragma unroll
    for (int i = 0; i < USED + 3; ++i) own[i] = 0.0f;
  }
  static SK_DEVICE void add(float *own, const float basis[USED], const float v_color[3]) {
#pragma unroll
    for (int k = 0; k < USED; ++k) own[k] = basis[k];
    for (int c = 0; c < 3; ++c) own[USED + c] = v_color[c];
  }
  static SK_DEVICE float get(const float *row, int j) {
    return j < 3 * USED ? row[j / 3] * row[USED + j % 3] : 0.0f;
  }
#endif
  static constexpr int SIZE = WARP * PITCH;
};

// A warp's shared memory.
struct WarpMemory {
  float staged[StagedRows::SIZE];  // harmonics, then gradients of means and scales
  float harmonics[HarmonicGradients::SIZE];
};
static_assert(StagedRows::SIZE >= 6 * WARP);

// What one Gaussian's records add up to.
struct Gathered {
  RawGaussian<float> v;
  bool seen;
  float gradient, count, extent, score, weight;
};

// Adds what camera `camera` saw of the warp's Gaussians first..first+31; the whole warp calls it.
// `v_view` gets the lane's share of the view's gradient.
SK_DEVICE void gather_camera(const FinishParams &p, int camera, long long first, bool alive,
                             const RawGaussian<float> &g, WarpMemory &memory, Gathered &sum,
                             ViewGradient<float> &v_view) {
  const int lane = lane_id();
  const int row = alive ? p.rows[camera * p.count + first + lane] : -1;
  const bool seen = row >= 0;
  const unsigned rows = __ballot_sync(FULL_WARP, seen);
  if (rows == 0) return;
  const PreparedCamera &options = ((const PreparedCamera *)p.cameras)[camera];
  float v_color[3] = {}, basis[USED], direction[3];
  const float4 *v_parts = (const float4 *)p.v_records + 3ll * row;
  const float4 *parts = (const float4 *)p.records + 3ll * row;
  const float inverse = splat_direction(options.view, g.mean, direction);
  if (seen) {
    const float4 b = __ldg(v_parts + 1), rb = __ldg(parts + 1), rc = __ldg(parts + 2);
    // None passes where the clamp at 0 held.
    v_color[0] = rb.z > 0.0f ? b.z : 0.0f;
    v_color[1] = rb.w > 0.0f ? b.w : 0.0f;
    v_color[2] = rc.x > 0.0f ? __ldg((const float *)(v_parts + 2)) : 0.0f;
    sum.extent = max(sum.extent, max(rc.z, rc.w) / max(options.width, options.height));
  }
  sh_basis<DEGREE>(direction[0], direction[1], direction[2], basis);
  if (seen)
    HarmonicGradients::add(memory.harmonics + lane * HarmonicGradients::PITCH, basis, v_color);
  if constexpr (DEGREE > 0) {
    float v_basis[USED], v_direction[3] = {0.0f, 0.0f, 0.0f};
#pragma unroll
    for (int base = 0; base < USED; base += StagedRows::PIECE) {
      StagedRows::load(p.value[SH], first, rows, base, memory.staged);
      const float *own = memory.staged + lane * StagedRows::PITCH;
#pragma unroll
      for (int k = base; k < base + StagedRows::PIECE && k < USED; ++k)
        v_basis[k] = seen ? dot3(v_color, own + 3 * (k - base)) : 0.0f;
    }
    sh_basis_adj<DEGREE>(direction[0], direction[1], direction[2], v_basis, v_direction);
    if (seen) splat_direction_adj(direction, inverse, v_direction, sum.v.mean, v_view);
  }
  if (!seen) return;
  // Read only now: there are registers for it when those of the harmonics are free.
  const float4 a = __ldg(v_parts), b = __ldg(v_parts + 1), c = __ldg(v_parts + 2);
  const float v_record[RECORD_SIZE] = {a.x, a.y, a.z, a.w, b.x, b.y, 0.0f, 0.0f, 0.0f, c.y};
  project_splat_adj(g, options, v_record, sum.v, v_view);
  const float x = a.x * (0.5f * options.width), y = a.y * (0.5f * options.height);
  sum.seen = true;
  sum.gradient += sqrt(fma(x, x, y * y));
  sum.count += 1.0f;
  if (p.score_sums) {
    sum.score += __ldg(p.score_sums + 2ll * row);
    sum.weight += __ldg(p.score_sums + 2ll * row + 1);
  }
}

// Adds up all cameras, and where wanted writes the block's sums of the views' gradients;
// `view_memory` [FINISH_WARPS,VIEW_GRADIENT_FLOATS] is shared by the block.
SK_DEVICE void gather(const FinishParams &p, long long first, bool alive,
                      const RawGaussian<float> &g, WarpMemory &memory, Gathered &sum,
                      [[maybe_unused]] float *view_memory = nullptr) {
  HarmonicGradients::clear(memory.harmonics + lane_id() * HarmonicGradients::PITCH);
  for (int camera = 0; camera < p.num_cameras; ++camera) {
    ViewGradient<float> v_view = {};
    gather_camera(p, camera, first, alive, g, memory, sum, v_view);
#if SK_VIEW_GRADIENT
    int i = 0;
    v_view.each([&](float &value) {
      const float total = warp_sum(value);
      if (lane_id() == 0) view_memory[warp_id() * VIEW_GRADIENT_FLOATS + i] = total;
      ++i;
    });
    __syncthreads();
    if (threadIdx.x < VIEW_GRADIENT_FLOATS - 1) {
      float total = 0.0f;
      for (int w = 0; w < FINISH_WARPS; ++w)
        total += view_memory[w * VIEW_GRADIENT_FLOATS + threadIdx.x];
      const long long block = (long long)camera * gridDim.x + blockIdx.x;
      p.view_sums[block * VIEW_GRADIENT_FLOATS + threadIdx.x] = total;
    }
    __syncthreads();
#endif
  }
}

// Gradients of means and scales from lanes into the order of memory.
SK_DEVICE void stage_vectors(const RawGaussian<float> &v, float *staged) {
  __syncwarp();
  for (int c = 0; c < 3; ++c) {
    staged[3 * lane_id() + c] = v.mean[c];
    staged[3 * WARP + 3 * lane_id() + c] = v.log_scale[c];
  }
  __syncwarp();
}

}  // namespace SK_ISA
}  // namespace splatkit
