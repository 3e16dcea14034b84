// Gradients of records to gradients of parameters and of cameras, for autograd.

#include "gather.h"

namespace splatkit {

SK_GLOBAL(FINISH_THREADS, FINISH_BLOCKS) project_adj(const FinishParams p) {
  __shared__ WarpMemory memories[FINISH_WARPS];
  WarpMemory &memory = memories[warp_id()];
  const int lane = lane_id();
  const long long first = (long long)blockIdx.x * FINISH_THREADS + warp_id() * WARP;
  const long long i = first + lane;
  const bool alive = i < p.count;
  RawGaussian<float> g = {};
  Gathered sum = {};
  if (alive)
    g = load_gaussian(p.value[MEANS], p.value[QUATS], p.value[LOG_SCALES], p.value[LOGIT_OPACITIES],
                      i);
#if SK_VIEW_GRADIENT
  __shared__ float view_memory[FINISH_WARPS * VIEW_GRADIENT_FLOATS];
  gather(p, first, alive, g, memory, sum, view_memory);
#else
  gather(p, first, alive, g, memory, sum);
#endif
  stage_vectors(sum.v, memory.staged);
  const int count = (int)max(0ll, min(p.count - first, (long long)WARP));
  for (int flat = lane; flat < 3 * count; flat += WARP) {
    if (p.gradient[MEANS]) p.gradient[MEANS][3 * first + flat] = memory.staged[flat];
    if (p.gradient[LOG_SCALES])
      p.gradient[LOG_SCALES][3 * first + flat] = memory.staged[3 * WARP + flat];
  }
  if (alive && p.gradient[QUATS])
    ((float4 *)p.gradient[QUATS])[i] =
        make_float4(sum.v.quat[0], sum.v.quat[1], sum.v.quat[2], sum.v.quat[3]);
  if (alive && p.gradient[LOGIT_OPACITIES]) p.gradient[LOGIT_OPACITIES][i] = sum.v.logit_opacity;
  if (p.gradient[SH])
    for (int flat = lane; flat < 3 * BASES * count; flat += WARP)
      p.gradient[SH][3 * BASES * first + flat] = HarmonicGradients::get(
          memory.harmonics + flat / (3 * BASES) * HarmonicGradients::PITCH, flat % (3 * BASES));
}

SK_GLOBAL(WARP) view_adj(const FinishParams p) {
  const int camera = blockIdx.x, lane = threadIdx.x, half = lane / VIEW_GRADIENT_FLOATS;
  const int blocks = (int)((p.count + FINISH_THREADS - 1) / FINISH_THREADS);
  const float *sums = p.view_sums + (long long)camera * blocks * VIEW_GRADIENT_FLOATS;
  // The 16th value of a row is padding and stays unread.
  const int column = lane % VIEW_GRADIENT_FLOATS;
  double sum = 0.0;
  if (column < VIEW_GRADIENT_FLOATS - 1)
    for (int b = half; b < blocks; b += 2)
      sum += sums[(long long)b * VIEW_GRADIENT_FLOATS + column];
  sum += __shfl_xor_sync(FULL_WARP, sum, VIEW_GRADIENT_FLOATS);
  ViewGradient<double> v_view;
  int i = 0;
  v_view.each([&](double &value) { value = __shfl_sync(FULL_WARP, sum, i++); });
  if (lane != 0) return;
  float v_viewmat[16] = {};
  make_view_adj(make_view(p.viewmats + 16 * camera), v_view, v_viewmat);
  for (int k = 0; k < 16; ++k) p.v_viewmats[16 * camera + k] = v_viewmat[k];
}

}  // namespace splatkit
