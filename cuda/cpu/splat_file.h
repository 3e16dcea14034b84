// Records of .splat files, 32 bytes a Gaussian, and back. The layout: splatkit/io/splat.py.
#pragma once

#include <cstdint>

#include "dispatch.h"

namespace splatkit {

// Bytes 24 to 31 of a record: colour, opacity, quaternion.
constexpr int SPLAT_RECORD = 32, SPLAT_BYTES = 8;

// byte = number * step + offset, rounded and clamped.
struct SplatSteps {
  float step[SPLAT_BYTES], offset[SPLAT_BYTES];
};

struct PackSplats {
  const float *means, *quats, *log_scales;  // [N,3] [N,4] wxyz of any length [N,3]
  const float *logit_opacities;             // [N]
  const float *colors;                      // [N,3] coefficients of degree 0
  int64_t count;
  SplatSteps steps;
  float log_scale_bound;
  uint8_t *records;  // [N,32]
};

struct UnpackSplats {
  const uint8_t *records;
  int64_t count;
  SplatSteps steps;
  const float *logits;    // [256] of an opacity's byte
  float least_log_scale;  // stands for the logarithm of 0
  float *means, *quats, *log_scales, *logit_opacities, *colors;
};

// A record's key: the upper bits of volume times opacity, a float32; sixteen keys an octave.
constexpr int SPLAT_KEY_SHIFT = 19, SPLAT_KEYS = 1 << (32 - 1 - SPLAT_KEY_SHIFT);

// Records in falling order of their keys, equal ones in the order they came in. Returns whether all
// numbers were finite and all log_scales between -log_scale_bound and log_scale_bound.
bool pack_splats(const PackSplats &a);
// A scale of 0 becomes least_log_scale, a negative one NaN, a quaternion of 0 no turn.
void unpack_splats(const UnpackSplats &a);

}  // namespace splatkit

// Gaussians begin..end. fit becomes false when a number read here is not as pack_splats says.
SK_KERNEL(splat_keys, (const PackSplats &a, int64_t begin, int64_t end, uint16_t *keys, bool *fit));
// places: of each key, where the next record goes, and moved on.
SK_KERNEL(pack_splat_rows, (const PackSplats &a, int64_t begin, int64_t end, const uint16_t *keys,
                            int64_t *places, bool *fit));
SK_KERNEL(unpack_splat_rows, (const UnpackSplats &a, int64_t begin, int64_t end));
