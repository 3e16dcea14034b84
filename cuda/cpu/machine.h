// What the machine can do at most: the scale that measured times are read on.
#pragma once

#include <cstdint>

#include "dispatch.h"

namespace splatkit {

// Fused multiply-adds in float32 on all threads, 10^9 floating-point operations a second.
double measure_fma();
// a[i] = b[i] + s c[i] in float32 on all threads over arrays that no cache holds, 10^9 bytes a
// second (12 bytes an element).
double measure_triad();

}  // namespace splatkit

// Independent chains of multiply-adds, `steps` long; `lanes` is the number of numbers in them.
SK_KERNEL(burn_fma, (int64_t steps, float *sink, int *lanes));
SK_KERNEL(triad, (float *a, const float *b, const float *c, int64_t count));
