// Working memory of one block in finish(): gradients of the values in the layout of the tensors,
// and per record the two factors of its harmonics' gradient, which is their outer product.
#pragma once

#include <cstdint>

#include "finish.h"

namespace splatkit {

// Factors of a record: basis values padded with zeros, then the gradient of the colour.
constexpr int FACTOR_COLOR = 44, FACTOR_SIZE = 48;

struct FinishLayout {
  float *v_means, *v_quats, *v_log_scales, *v_logit_opacities;
  float *factors;  // [C * FINISH_BLOCK][FACTOR_SIZE]
  int32_t *rows;   // [C][FINISH_BLOCK] row of a Gaussian's factors, -1 where it is not visible

  FinishLayout(float *scratch, int cameras) {
    v_means = scratch;
    v_quats = v_means + 3 * FINISH_BLOCK;
    v_log_scales = v_quats + 4 * FINISH_BLOCK;
    v_logit_opacities = v_log_scales + 3 * FINISH_BLOCK;
    factors = v_logit_opacities + FINISH_BLOCK;
    rows = reinterpret_cast<int32_t *>(factors + (int64_t)cameras * FINISH_BLOCK * FACTOR_SIZE);
  }
  static constexpr int GRADIENTS = 11 * FINISH_BLOCK;
  static int64_t size(int cameras) {
    return GRADIENTS + (int64_t)cameras * FINISH_BLOCK * (FACTOR_SIZE + 1);
  }
};

}  // namespace splatkit
