// Large images from small ones: Hermite reconstruction with exact gradients, its accumulation over
// frames, FSR 1 and sharpening. Images are float, interleaved.
#pragma once

#include <cstdint>

#include "dispatch.h"

namespace splatkit {

// How a large image lies on a small one: pixel x of the large image has its centre at
// (x + 0.5) step - origin of the small one, in small pixels from the centre of the first.
struct SmallGrid {
  int width, height;  // small image
  float step;         // small pixels a large one
  float origin_x, origin_y;
};

struct HermiteArguments {
  const float *rgb, *dx, *dy;  // [h,w,3] and its derivatives, 1 / small pixel
  SmallGrid grid;
  int width, height;  // large image
  float *out;         // [H,W,3]
};

// What earlier frames left, and how this frame adds to it.
struct HistoryArguments {
  HermiteArguments now;
  const float *inverse_depth, *alpha;            // [h,w]
  const float *past_rgb, *past_weight;           // [H,W,3] [H,W]; null: there is no past
  const float *past_inverse_depth, *past_alpha;  // small images of the frame before
  SmallGrid past_grid;
  // [3,4]: a large pixel's place (x, y, 1, 1 / z) to its place in the frame before, times z ratio.
  float motion[12];
  bool resting;           // nothing has moved: the past is taken as it is
  float most_weight;      // that the past may have while something moves, times `decay`
  float decay;            // of the past's weight a frame in motion
  float color_tolerance;  // difference of colour at which the past counts half
  float *weight;          // [H,W] out
};

struct FsrArguments {
  const float *rgb;  // [h,w,3]
  SmallGrid grid;
  int width, height;
  float *out;  // [H,W,3]
};

struct SharpenArguments {
  const float *rgb;  // [H,W,3]
  int width, height;
  float sharpness;  // 0..1
  float *out;       // [H,W,3]
};

void upscale_hermite(const HermiteArguments &a);
void upscale_history(const HistoryArguments &a);
void upscale_fsr(const FsrArguments &a);
void sharpen_image(const SharpenArguments &a);

// Floats of working memory for rows of a Hermite reconstruction, and the part of it that says where
// columns lie.
constexpr int64_t columns_scratch(int width) { return 2 * (3 * (int64_t)width + 16); }
constexpr int64_t hermite_scratch(int small_width, int width) {
  return columns_scratch(width) + 3 * (3 * (int64_t)small_width + 64);
}

}  // namespace splatkit

// Rows begin..end of the large image.
SK_KERNEL(hermite_rows, (const HermiteArguments &a, int begin, int end, float *scratch));
SK_KERNEL(history_rows, (const HistoryArguments &a, int begin, int end, float *scratch));
SK_KERNEL(fsr_rows, (const FsrArguments &a, int begin, int end));
SK_KERNEL(sharpen_rows, (const SharpenArguments &a, int begin, int end));
