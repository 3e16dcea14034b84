// Vocabulary of the formula headers.
//
// Formulas are templates over T: float, double, or a short vector of floats (cuda/cpu/simd.h), so
// one text serves plain loops, tests in double precision, SIMD and GPU kernels. They are free of
// branches on values: select(mask, a, b) takes a where the mask holds, else b. The adjoint of
// `name` is `name_adj`, right below it; it adds into arguments called v_* (the derivative of a
// loss with respect to *). No standard header is needed under NVRTC.
#pragma once

#if defined(__CUDACC__) || defined(__CUDACC_RTC__)
#define SK_HD __host__ __device__ __forceinline__
#elif defined(_MSC_VER)
#define SK_HD __forceinline
#else
#define SK_HD inline __attribute__((always_inline))
#endif

#if defined(__CUDACC_RTC__)
#define SK_STD
#else
#include <cmath>
#define SK_STD std
#endif

namespace splatkit {
inline namespace SK_ISA {

// What a comparison of two T gives: bool, or one bit a lane.
template <class T>
using mask_of = decltype(T() < T());

SK_HD float sqrt(float x) { return SK_STD::sqrt(x); }
SK_HD double sqrt(double x) { return SK_STD::sqrt(x); }
SK_HD float exp(float x) { return SK_STD::exp(x); }
SK_HD double exp(double x) { return SK_STD::exp(x); }
SK_HD float exp2(float x) { return SK_STD::exp2(x); }
SK_HD double exp2(double x) { return SK_STD::exp2(x); }
SK_HD float log(float x) { return SK_STD::log(x); }
SK_HD double log(double x) { return SK_STD::log(x); }
SK_HD float log2(float x) { return SK_STD::log2(x); }
SK_HD double log2(double x) { return SK_STD::log2(x); }

SK_HD float select(bool m, float a, float b) { return m ? a : b; }
SK_HD double select(bool m, double a, double b) { return m ? a : b; }

// The second argument where either is NaN.
SK_HD float min(float a, float b) { return a < b ? a : b; }
SK_HD double min(double a, double b) { return a < b ? a : b; }
SK_HD float max(float a, float b) { return a > b ? a : b; }
SK_HD double max(double a, double b) { return a > b ? a : b; }

// a b + c: fused where the processor has it as an instruction.
SK_HD float fma(float a, float b, float c) {
#if defined(__CUDACC__) || defined(__FMA__) || defined(__ARM_FEATURE_FMA)
  return SK_STD::fma(a, b, c);
#else
  return a * b + c;
#endif
}
SK_HD double fma(double a, double b, double c) {
#if defined(__CUDACC__) || defined(__FMA__) || defined(__ARM_FEATURE_FMA)
  return SK_STD::fma(a, b, c);
#else
  return a * b + c;
#endif
}

template <class T>
SK_HD T dot3(const T *a, const T *b) {
  return fma(a[0], b[0], fma(a[1], b[1], a[2] * b[2]));
}

// Short vectors of floats have an estimate and a step of Newton's method instead.
SK_HD float reciprocal(float x) { return 1.0f / x; }
SK_HD double reciprocal(double x) { return 1.0 / x; }

// Neither infinite nor NaN.
template <class T>
SK_HD mask_of<T> finite(T x) {
  return x - x == T(0.0f);
}

}  // namespace SK_ISA
}  // namespace splatkit
