// L1 + SSIM image loss with its gradient.
#pragma once

#include <cstdint>

#include "dispatch.h"

namespace splatkit {

struct ImageLoss {
  const float *rgb;        // [C,H,W,3]
  const uint8_t *targets;  // [C,H,W,3]
  const uint8_t *mask;     // [C,H,W] or null
  float *v_rgb;            // [C,H,W,3], written whole
  int cameras, height, width;
  float ssim_weight;
};

// A piece of one image, in pixels; pieces are independent.
struct ImagePiece {
  int camera, row_begin, row_end, column_begin, column_end;
};

// Per-row sums of a piece, over pixels and channels.
struct RowLoss {
  float difference, similarity;
};

// Widest piece: keeps its rolling rows in a core's second-level cache.
constexpr int SSIM_MAX_COLUMNS = 512;
// Floats of working memory for one piece.
constexpr int64_t SSIM_SCRATCH = 92 * (3 * SSIM_MAX_COLUMNS + 128);

// The loss; v_rgb receives its gradient.
double image_loss(const ImageLoss &arguments);

}  // namespace splatkit

// `rows` has one entry per image row of the piece; `scratch` is aligned to 64 bytes.
SK_KERNEL(image_loss_piece,
          (const ImageLoss &arguments, const ImagePiece &piece, RowLoss *rows, float *scratch));
