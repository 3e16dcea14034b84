// One update of every Gaussian: adjoint of projection, harmonics and activations, Adam, density
// statistics, in one pass. When a warp's lanes have added up their gradients, the warp walks along
// the tensors' memory, so that every access is a whole line.

#include "gather.h"
#include "splatkit/adam.h"

#ifndef SK_MOVING_BASES
#define SK_MOVING_BASES SK_BASES
#endif

namespace splatkit {
inline namespace SK_ISA {

constexpr int MOVING = SK_MOVING_BASES;
static_assert(USED <= MOVING && MOVING <= BASES);

SK_DEVICE void update(const AdamConstants &c, float rate, float gradient, float *value,
                      float *first, float *second) {
  float x = *value, m = *first, v = *second;
  adam_update(c, rate, gradient, x, m, v);
  *value = x;
  *first = m;
  *second = v;
}

SK_DEVICE void update4(const AdamConstants &c, const float rate[4], const float gradient[4],
                       float *value, float *first, float *second) {
  float4 x = *(const float4 *)value, m = *(const float4 *)first, v = *(const float4 *)second;
  adam_update(c, rate[0], gradient[0], x.x, m.x, v.x);
  adam_update(c, rate[1], gradient[1], x.y, m.y, v.y);
  adam_update(c, rate[2], gradient[2], x.z, m.z, v.z);
  adam_update(c, rate[3], gradient[3], x.w, m.w, v.w);
  *(float4 *)value = x;
  *(float4 *)first = m;
  *(float4 *)second = v;
}

// Moves the harmonics of the warp's Gaussians first..first+count-1.
SK_DEVICE void update_harmonics(const FinishParams &p, const AdamConstants &c, long long first,
                                int count, const float *harmonics) {
  constexpr int moved = 3 * MOVING, stored = 3 * BASES;
  constexpr int width = moved % 4 == 0 && stored % 4 == 0 ? 4 : 1;  // values at once
  constexpr int per_row = moved / width;
  const float rate_first = p.rates[SH], rate_rest = p.rates[SH + 1];
#pragma unroll 4
  for (int i = 0; i < per_row; ++i) {
    const int flat = i * WARP + lane_id(), row = flat / per_row, j = flat % per_row * width;
    if (row >= count) continue;
    const float *gradients = harmonics + row * HarmonicGradients::PITCH;
    const long long place = (first + row) * stored + j;
    float rate[width], gradient[width];
    for (int n = 0; n < width; ++n) {
      rate[n] = j + n < 3 ? rate_first : rate_rest;
      gradient[n] = HarmonicGradients::get(gradients, j + n);
    }
    if constexpr (width == 4)
      update4(c, rate, gradient, p.value[SH] + place, p.first[SH] + place, p.second[SH] + place);
    else
      update(c, rate[0], gradient[0], p.value[SH] + place, p.first[SH] + place,
             p.second[SH] + place);
  }
}

SK_DEVICE void add_statistics(const FinishParams &p, long long i, const Gathered &sum) {
  p.gradient_sum[i] += sum.gradient;
  p.visible_count[i] += sum.count;
  p.extent_max[i] = max(p.extent_max[i], sum.extent);
  if (p.score_sums) {
    p.score_sum[i] += sum.score;
    p.weight_sum[i] += sum.weight;
  }
}

}  // namespace SK_ISA

SK_GLOBAL(FINISH_THREADS, FINISH_BLOCKS) finish(const FinishParams p) {
  __shared__ WarpMemory memories[FINISH_WARPS];
  WarpMemory &memory = memories[warp_id()];
  const int lane = lane_id();
  const long long first = (long long)blockIdx.x * FINISH_THREADS + warp_id() * WARP;
  const long long i = first + lane;
  const bool alive = i < p.count;
  if (first >= p.count) return;
  RawGaussian<float> g = {};
  Gathered sum = {};
  if (alive)
    g = load_gaussian(p.value[MEANS], p.value[QUATS], p.value[LOG_SCALES], p.value[LOGIT_OPACITIES],
                      i);
  gather(p, first, alive, g, memory, sum);
  if (alive && sum.seen && p.gradient_sum) add_statistics(p, i, sum);

  sigmoid_adj(sigmoid(g.logit_opacity), p.opacity_weight, sum.v.logit_opacity);
  for (int k = 0; k < 3; ++k)
    sum.v.log_scale[k] = fma(exp(g.log_scale[k]), p.scale_weight, sum.v.log_scale[k]);
  const AdamConstants c = {
      p.beta1, p.beta2, p.rest1, p.rest2, p.inverse_bias1, p.inverse_root_bias2, p.epsilon};
  const int count = (int)(p.count - first < WARP ? p.count - first : WARP);
  stage_vectors(sum.v, memory.staged);
  for (int flat = lane; flat < 3 * count; flat += WARP) {
    const long long at = 3 * first + flat;
    update(c, p.rates[MEANS], memory.staged[flat], p.value[MEANS] + at, p.first[MEANS] + at,
           p.second[MEANS] + at);
    update(c, p.rates[LOG_SCALES], memory.staged[3 * WARP + flat], p.value[LOG_SCALES] + at,
           p.first[LOG_SCALES] + at, p.second[LOG_SCALES] + at);
  }
  if (alive) {
    const float rate[4] = {p.rates[QUATS], p.rates[QUATS], p.rates[QUATS], p.rates[QUATS]};
    update4(c, rate, sum.v.quat, p.value[QUATS] + 4 * i, p.first[QUATS] + 4 * i,
            p.second[QUATS] + 4 * i);
    update(c, p.rates[LOGIT_OPACITIES], sum.v.logit_opacity, p.value[LOGIT_OPACITIES] + i,
           p.first[LOGIT_OPACITIES] + i, p.second[LOGIT_OPACITIES] + i);
  }
  update_harmonics(p, c, first, count, memory.harmonics);
}

}  // namespace splatkit
