// Last stage of a training step: gradients of screen records become an update of the Gaussians.
#pragma once

#include <cstdint>

#include "dispatch.h"

namespace splatkit {

// Order of the five parameter tensors.
enum Parameter { MEANS, QUATS, LOG_SCALES, LOGIT_OPACITIES, SH, PARAMETERS };

struct FinishJob {
  // The N Gaussians and Adam's moments, updated in place: [N,3] [N,4] [N,3] [N] [N,K,3].
  float *value[PARAMETERS], *first[PARAMETERS], *second[PARAMETERS];
  int64_t count;
  int num_bases;  // K

  // M records by camera, then by Gaussian; layout in splatkit/render/screen.py.
  const float *records, *v_records;  // [M,12]
  const int32_t *gaussian_ids;       // [M]
  const int64_t *camera_begin;       // [C+1] first record of each camera

  const float *viewmats, *Ks;  // [C,4,4], [C,3,3]
  int cameras, width, height;
  int sh_degree;     // harmonics in use; at most the stored ones
  int moving_bases;  // harmonics from here on have neither gradient nor moments: they stay
  bool antialiased;
  float eps2d;

  float rates[PARAMETERS], rate_sh_rest;
  float beta1, beta2, rest1, rest2, inverse_bias1, inverse_root_bias2, epsilon;
  float opacity_weight, scale_weight;  // per value: already divided by N and 3 N

  // Running statistics [N], all null or none.
  float *gradient_sum, *visible_count, *extent_max, *score_sum, *weight_sum;
  const float *record_sums;  // [M,2] of weight times score and of weight, or null
};

// Gaussians that are worked on together, so that their gradients stay in the nearest cache.
constexpr int FINISH_BLOCK = 64;

void finish(const FinishJob &job);

}  // namespace splatkit

SK_KERNEL(finish_block, (const FinishJob &job, int64_t begin, int64_t end, float *scratch));
