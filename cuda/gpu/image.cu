// Photos on the device at the size that a training step wants.

#include "gpu.h"

namespace splatkit {

// Each new pixel is the mean of the old ones that it covers, those at its border by their share.
SK_GLOBAL(256) shrink_image(const ShrinkParams p) {
  const long long i = blockIdx.x * 256ll + threadIdx.x;
  if (i >= (long long)p.width * p.height) return;
  const int column = (int)(i % p.width), row = (int)(i / p.width);
  const double across = (double)p.from_width / p.width, down = (double)p.from_height / p.height;
  const double left = column * across, right = left + across;
  const double top = row * down, bottom = top + down;
  const int x_end = min((int)::ceil(right - 1e-6), p.from_width);
  const int y_end = min((int)::ceil(bottom - 1e-6), p.from_height);
  float sums[4] = {}, weights = 0.0f;
  for (int y = (int)top; y < y_end; ++y) {
    const float part_y = (float)(min((double)(y + 1), bottom) - max((double)y, top));
    for (int x = (int)left; x < x_end; ++x) {
      const float weight = part_y * (float)(min((double)(x + 1), right) - max((double)x, left));
      const unsigned char *from = p.from + ((long long)y * p.from_width + x) * p.channels;
      weights += weight;
      for (int c = 0; c < p.channels; ++c) sums[c] = fma(weight, (float)from[c], sums[c]);
    }
  }
  for (int c = 0; c < p.channels; ++c)
    p.to[i * p.channels + c] = (unsigned char)::rintf(sums[c] / weights);
}

}  // namespace splatkit
