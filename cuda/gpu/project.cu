// Gaussians to screen records, in the order of cameras, then Gaussians.

#include "record.h"
#include "splatkit/sh.h"
#include "staging.h"

namespace splatkit {

SK_GLOBAL(WARP) prepare_cameras(const PrepareParams p) {
  const int camera = blockIdx.x * WARP + threadIdx.x;
  if (camera >= p.num_cameras) return;
  const float frame[] = {p.left, p.top, p.right, p.bottom};
  ((PreparedCamera *)p.cameras)[camera] = {
      make_view(p.viewmats + 16 * camera),
      Pinhole<float>::make(p.Ks + 9 * camera, p.offset_x, p.offset_y, frame, (float)FRUSTUM_MARGIN),
      (float)p.width,
      (float)p.height,
      p.eps2d,
      p.near,
      p.antialiased != 0};
}

SK_GLOBAL(PROJECT_THREADS) project(const ProjectParams p) {
  constexpr int warps = PROJECT_THREADS / WARP;
  __shared__ float staged[warps][StagedRows::SIZE];
  __shared__ unsigned warp_sums[WARP];
  __shared__ unsigned ticket, blocks_before;
  const int thread = threadIdx.x, lane = lane_id();
  if (thread == 0) ticket = atomicAdd(p.counters + COUNTER_TICKET_PROJECT, 1u);
  __syncthreads();
  const int per_camera = (int)((p.count + PROJECT_THREADS - 1) / PROJECT_THREADS);
  const int block = (int)ticket, camera = block / per_camera;
  const long long first = (long long)(block % per_camera) * PROJECT_THREADS;
  const long long gaussian = first + thread;
  const bool alive = gaussian < p.count;
  const PreparedCamera &options = ((const PreparedCamera *)p.cameras)[camera];

  float record[RECORD_SIZE], direction[3] = {0.0f, 0.0f, 0.0f};
  for (float &value : record) value = 0.0f;
  bool visible = false;
  if (alive) {
    const RawGaussian<float> g =
        load_gaussian(p.means, p.quats, p.log_scales, p.logit_opacities, gaussian);
    visible = project_splat(g, options, record);
    splat_direction(options.view, g.mean, direction);
  }
  if (__any_sync(FULL_WARP, visible)) {
    float *color = record + RECORD_COLOR;
    warp_sh_color(p.sh, first + (thread - lane), visible, direction, staged[warp_id()], color);
    visible = visible && finite(color[0] + color[1] + color[2]);
    for (int c = 0; c < 3; ++c) color[c] = max(color[c], 0.0f);
  }

  unsigned total;
  const unsigned in_block = block_sum_before<PROJECT_THREADS>(visible, warp_sums, total);
  if (warp_id() == 0) {
    const unsigned before = look_back(p.lookback, block, total);
    if (lane == 0) blocks_before = before;
  }
  __syncthreads();
  const unsigned row = blocks_before + in_block;
  const unsigned capacity = p.record_capacity;
  if (block == (int)gridDim.x - 1 && thread == 0) {
    p.counters[COUNTER_RECORDS] = min(blocks_before + total, capacity);
    p.counters[COUNTER_RECORDS_WANTED] = blocks_before + total;
  }
  const bool kept = visible && row < capacity;
  if (alive && p.rows) p.rows[camera * p.count + gaussian] = kept ? (int)row : -1;
  if (!kept) return;
  p.gaussian_ids[row] = (int)gaussian;
  if (p.camera_ids) p.camera_ids[row] = camera;
  if (p.depth_keys) {
    // Sorts like the depth, negative ones included.
    const unsigned bits = __float_as_uint(record[RECORD_DEPTH]);
    p.depth_keys[row] = bits ^ (bits >> 31 ? 0xffffffffu : 0x80000000u);
  }
#if SK_HALF_RECORDS
  ((HalfRecord *)p.records)[row] = half_record(record);
#else
  float4 *out = (float4 *)p.records + 3ull * row;
  for (int i = 0; i < 3; ++i)
    out[i] = make_float4(record[4 * i], record[4 * i + 1], record[4 * i + 2], record[4 * i + 3]);
#endif
}

}  // namespace splatkit
