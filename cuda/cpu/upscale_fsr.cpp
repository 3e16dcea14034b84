// FSR 1 pixel by pixel.

#include "splatkit/fsr.h"

#include "simd.h"
#include "splatkit/upscale.h"
#include "upscale.h"

namespace splatkit {
inline namespace SK_ISA {

void fsr_rows(const FsrArguments &a, int begin, int end) {
  const SmallGrid &g = a.grid;
  for (int y = begin; y < end; ++y)
    for (int x = 0; x < a.width; ++x)
      easu(a.rgb, g.width, g.height, place_of(x, g.step, g.origin_x),
           place_of(y, g.step, g.origin_y), a.out + 3 * ((int64_t)y * a.width + x));
}

void sharpen_rows(const SharpenArguments &a, int begin, int end) {
  for (int y = begin; y < end; ++y)
    for (int x = 0; x < a.width; ++x)
      sharpen_pixel(a.rgb, a.width, a.height, x, y, a.sharpness,
                    a.out + 3 * ((int64_t)y * a.width + x));
}

}  // namespace SK_ISA
}  // namespace splatkit
