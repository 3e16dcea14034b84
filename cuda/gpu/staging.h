// Parameters of Gaussians on their way into registers, a warp's 32 neighbours at a time.
#pragma once

#include "gpu.h"
#include "splatkit/screen.h"
#include "splatkit/sh.h"

#ifndef SK_SH_DEGREE
#define SK_SH_DEGREE 0
#endif
#ifndef SK_BASES
#define SK_BASES 1
#endif

namespace splatkit {
inline namespace SK_ISA {

using PreparedCamera = ScreenOptions<float, Pinhole<float>>;
static_assert(sizeof(PreparedCamera) == CAMERA_FLOATS * sizeof(float));

constexpr int DEGREE = SK_SH_DEGREE, BASES = SK_BASES;
constexpr int USED = sh_count(DEGREE);
static_assert(USED <= BASES, "more harmonics in use than there are");

SK_DEVICE RawGaussian<float> load_gaussian(const float *means, const float *quats,
                                           const float *log_scales, const float *logit_opacities,
                                           long long i) {
  const float4 q = __ldg((const float4 *)quats + i);
  return {{__ldg(means + 3 * i), __ldg(means + 3 * i + 1), __ldg(means + 3 * i + 2)},
          {q.x, q.y, q.z, q.w},
          {__ldg(log_scales + 3 * i), __ldg(log_scales + 3 * i + 1), __ldg(log_scales + 3 * i + 2)},
          __ldg(logit_opacities + i)};
}

// Rows of harmonics pass through shared memory in pieces of a few bases, so that a warp reads what
// lies side by side although each lane wants a row of its own.
struct StagedRows {
  static constexpr int PIECE = 4;           // bases
  static constexpr int FLOATS = 3 * PIECE;  // of a row in a piece
  static constexpr int PITCH = FLOATS + 1;  // odd: lanes meet different banks
  static constexpr int SIZE = WARP * PITCH;

  // Bases base..base+PIECE-1 of the rows of the lanes in `wanted`, of which lane 0's is row
  // `first`.
  static SK_DEVICE void load(const float *sh, long long first, unsigned wanted, int base,
                             float *staged) {
    const int lane = lane_id();
    const int floats = 3 * (BASES - base < PIECE ? BASES - base : PIECE);
    __syncwarp();
    if constexpr (BASES % PIECE == 0) {
#pragma unroll
      for (int i = 0; i < FLOATS / 4; ++i) {
        const int quad = i * WARP + lane, row = quad / (FLOATS / 4), column = quad % (FLOATS / 4);
        if (wanted >> row & 1) {
          const float4 v =
              __ldg((const float4 *)(sh + (first + row) * (3 * BASES) + 3 * base) + column);
          float *to = staged + row * PITCH + 4 * column;
          to[0] = v.x;
          to[1] = v.y;
          to[2] = v.z;
          to[3] = v.w;
        }
      }
    } else {
      // Not all at once: what is under way takes registers, and these rows are not the usual ones.
#pragma unroll 2
      for (int i = 0; i < FLOATS; ++i) {
        const int flat = i * WARP + lane, row = flat / FLOATS, column = flat % FLOATS;
        if ((wanted >> row & 1) && column < floats)
          staged[row * PITCH + column] =
              __ldg(sh + (first + row) * (3 * BASES) + 3 * base + column);
      }
    }
    __syncwarp();
  }
};

// Colours of the lanes that want one, before the clamp, along the unit vectors from the camera; by
// the whole warp.
SK_DEVICE void warp_sh_color(const float *sh, long long first, bool wanted,
                             const float direction[3], float *staged, float color[3]) {
  const unsigned rows = __ballot_sync(FULL_WARP, wanted);
  float basis[USED];
  sh_basis<DEGREE>(direction[0], direction[1], direction[2], basis);
  for (int c = 0; c < 3; ++c) color[c] = 0.5f;
#pragma unroll
  for (int base = 0; base < USED; base += StagedRows::PIECE) {
    StagedRows::load(sh, first, rows, base, staged);
    const float *own = staged + lane_id() * StagedRows::PITCH;
    if (wanted) {
#pragma unroll
      for (int k = base; k < base + StagedRows::PIECE && k < USED; ++k)
        for (int c = 0; c < 3; ++c) color[c] = fma(basis[k], own[3 * (k - base) + c], color[c]);
    }
  }
}

}  // namespace SK_ISA
}  // namespace splatkit
