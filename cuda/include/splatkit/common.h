// What all formula headers share: how functions are marked, and the names of elementary functions.
//
// Formulas are templates over T: float and double (host and device), and vfloat of cuda/cpu/simd.h.
// All code lives in an inline namespace named by SK_ISA, see simd.h.
#pragma once

#ifndef SK_ISA
#define SK_ISA generic
#endif

#if defined(__CUDACC__) || defined(__CUDACC_RTC__)
#define SK_HD __host__ __device__ inline
#elif defined(_MSC_VER)
#define SK_HD __forceinline
#else
#define SK_HD inline __attribute__((always_inline))
#endif

#ifndef __CUDACC_RTC__
#include <cmath>
#endif

namespace splatkit {
inline namespace SK_ISA {

#ifndef __CUDACC_RTC__
using std::exp;
using std::fma;
using std::log;
using std::sqrt;
#endif

// m ? a : b, in the form that vectors can have too.
SK_HD float select(bool m, float a, float b) { return m ? a : b; }
SK_HD double select(bool m, double a, double b) { return m ? a : b; }

}  // namespace SK_ISA
}  // namespace splatkit
