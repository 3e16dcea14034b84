// One Adam update (Kingma and Ba 2015, algorithm 1) of one value.
#pragma once

#include "common.h"

namespace splatkit {
inline namespace SK_ISA {

// What all values of one update share; `step` counts from 1.
struct AdamConstants {
  float beta1, beta2;
  float rest1, rest2;        // 1 - beta1, 1 - beta2: rounded once, from double
  float inverse_bias1;       // 1 / (1 - beta1^step)
  float inverse_root_bias2;  // 1 / sqrt(1 - beta2^step)
  float epsilon;
};

// Moves `parameter` against its gradient and keeps the running moments.
template <class T>
SK_HD void adam_update(const AdamConstants &c, T rate, T gradient, T &parameter, T &first,
                       T &second) {
  first = fma(T(c.beta1), first, T(c.rest1) * gradient);
  second = fma(T(c.beta2), second, T(c.rest2) * (gradient * gradient));
  const T deviation = fma(sqrt(second), T(c.inverse_root_bias2), T(c.epsilon));
  parameter = parameter - (rate * T(c.inverse_bias1)) * (first / deviation);
}

}  // namespace SK_ISA
}  // namespace splatkit
