// The rasterizer's operations on plain pointers. Shapes are the caller's to check.
//
// N Gaussians with K harmonics each, C cameras of one image size, M records of visible pairs in
// the order of cameras, then Gaussians. S is float (SIMD, threads) or double (the plain loops of
// plain.cpp, for tests and for whoever needs the digits).
#pragma once

#include <cstdint>

namespace splatkit {

template <class S>
struct ProjectArguments {
  const S *means, *quats, *log_scales, *logit_opacities, *sh;  // [N,3] [N,4] [N,3] [N] [N,K,3]
  const S *viewmats, *Ks;                                      // [C,4,4] [C,3,3]
  int64_t count;                                               // N
  int harmonics;                                               // K
  int sh_degree;                                               // used; at most the stored one
  int cameras, width, height;
  S eps2d, near, offset_x, offset_y;
  S frame[4];  // see Pinhole
  bool antialiased;
};

// Null outputs are not wanted; the others hold zeros, or what shall be added to.
template <class S>
struct ProjectGradients {
  const S *v_records;                        // [M,12]
  const int32_t *gaussian_ids, *camera_ids;  // [M]
  int64_t rows;                              // M
  S *v_means, *v_quats, *v_log_scales, *v_logit_opacities, *v_sh;
  S *v_viewmats;
};

template <class S>
struct BlendArguments {
  const S *records;                          // [M,12]
  const int32_t *gaussian_ids, *camera_ids;  // [M]
  const S *channels;                         // [M,F] or null
  const S *background;                       // [C,3]
  int64_t rows, gaussians;                   // M, N
  int cameras, width, height, num_channels, top_k;
  bool smooth_cutoff;  // tests only, see blend.h; doubles only
  S *rgb, *alpha;      // [C,H,W,3] [C,H,W]
  // Null where not wanted.
  S *channel_image;            // [C,H,W,F]
  S *depth_median;             // [C,H,W]
  S *weight_sum, *weight_max;  // [N]
  int32_t *weight_count;       // [N]
  int32_t *top_ids;            // [C,H,W,k]
  S *top_weights;              // [C,H,W,k]
  S *rgb_dx, *rgb_dy;          // [C,H,W,3]; both or neither
};

template <class S>
struct BlendGradients {
  const S *v_rgb;            // [C,H,W,3]
  const S *v_alpha;          // [C,H,W] or null
  const S *v_channel_image;  // [C,H,W,F], null without channels
  const S *scores;           // [C,H,W] or null
  S *v_records;              // [M,12], written whole
  S *v_channels;             // [M,F], written whole; null without channels
  S *score_sums;             // [M,2] sums of weight times score and of weight; null without scores
};

}  // namespace splatkit
