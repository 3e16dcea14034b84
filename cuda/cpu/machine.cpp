#include "machine.h"

#include "simd.h"

namespace splatkit {
inline namespace SK_ISA {

void burn_fma(int64_t steps, float *sink, int *lanes) {
  // Enough chains to hide the latency of both multiply-add units.
  constexpr int CHAINS = vfloat::size < 8 ? 8 : 12;
  vfloat x[CHAINS];
  for (int k = 0; k < CHAINS; ++k) x[k] = vfloat((float)k);
  const vfloat factor(0.999f), summand(0.001f);
  for (int64_t i = 0; i < steps; ++i)
    for (int k = 0; k < CHAINS; ++k) x[k] = fma(x[k], factor, summand);
  for (int k = 1; k < CHAINS; ++k) x[0] += x[k];
  *sink = hsum(x[0]);
  *lanes = vfloat::size * CHAINS;
}

void triad(float *a, const float *b, const float *c, int64_t count) {
  for (int64_t i = 0; i + vfloat::size <= count; i += vfloat::size)
    store(a + i, fma(vfloat(3.0f), load(c + i), load(b + i)));
}

}  // namespace SK_ISA
}  // namespace splatkit
