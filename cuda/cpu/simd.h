// Short vectors of floats: one interface, four instruction sets.
//
// vfloat, vint and vmask hold `vfloat::size` lanes (16 with AVX-512, 8 with AVX2, 4 with NEON and
// in the portable build). Formula headers are templates over T and run unchanged with T = vfloat:
// the same names (select, fma, min, max, sqrt, exp2, ...) exist for float and double in common.h.
//
// Every source that includes this file is compiled once per instruction set, with SK_ISA set to
// its name by CMake. Everything lives in an inline namespace of that name, so the linker can never
// mix code of two sets. Such sources use no standard containers: their inline functions would be
// compiled with the wider instructions and could be chosen by the linker for all.
//
// Floating-point contraction is off; fma() is a fused multiply-add where the set has one
// (AVX-512, AVX2, NEON) and a multiply followed by an add in the portable build. So results are
// the same for any number of threads and differ between sets in the last bits only.
#pragma once

#include <cstdint>
#include <cstring>

#ifndef SK_ISA
#error "simd.h: compile with SK_ISA defined (avx512, avx2, neon or portable); see CMakeLists.txt"
#endif

#if defined(_MSC_VER)
#define SK_INLINE __forceinline
#define SK_RESTRICT __restrict
#else
#define SK_INLINE inline __attribute__((always_inline))
#define SK_RESTRICT __restrict__
#endif

#if defined(SK_ISA_AVX512)
#include "simd_avx512.h"
#elif defined(SK_ISA_AVX2)
#include "simd_avx2.h"
#elif defined(SK_ISA_NEON)
#include "simd_neon.h"
#else
#include "simd_portable.h"
#endif

namespace splatkit {
inline namespace SK_ISA {

// Starts to bring a line of memory into the cache, to be read or written soon.
template <bool WRITTEN = false>
SK_INLINE void prefetch(const void *p) {
#if defined(__GNUC__) || defined(__clang__)
  __builtin_prefetch(p, WRITTEN);
#elif defined(SK_ISA_AVX2) || defined(SK_ISA_AVX512)
  _mm_prefetch((const char *)p, _MM_HINT_T0);
#else
  (void)p;
#endif
}

SK_INLINE vfloat operator+=(vfloat &a, vfloat b) { return a = a + b; }
SK_INLINE vfloat operator-=(vfloat &a, vfloat b) { return a = a - b; }
SK_INLINE vfloat operator*=(vfloat &a, vfloat b) { return a = a * b; }
SK_INLINE vfloat operator/=(vfloat &a, vfloat b) { return a = a / b; }

// The first n lanes, n from 0 to vfloat::size.
SK_INLINE vmask first_lanes(int n) { return lane_ids() < vint(n); }

// The first n lanes from or to memory; n may exceed size. Whole vectors take the plain
// instruction: masked stores are slow on some processors.
SK_INLINE vfloat load_first(const float *p, int64_t n) {
  return n >= vfloat::size ? load(p) : load(p, first_lanes((int)n));
}
SK_INLINE void store_first(float *p, vfloat a, int64_t n) {
  if (n >= vfloat::size)
    store(p, a);
  else
    store(p, a, first_lanes((int)n));
}

// Number of set bits among the lowest 16; no library function, see above.
SK_INLINE int popcount(uint32_t x) {
  x = x - (x >> 1 & 0x5555u);
  x = (x & 0x3333u) + (x >> 2 & 0x3333u);
  x = (x + (x >> 4)) & 0x0f0fu;
  return (int)((x + (x >> 8)) & 0x1fu);
}

SK_INLINE bool any(vmask m) { return bits(m) != 0; }
SK_INLINE bool none(vmask m) { return bits(m) == 0; }
SK_INLINE bool all(vmask m) { return bits(m) == (1u << vfloat::size) - 1u; }

#if !defined(SK_ISA_AVX512)
// out[i] = hsum(a[i]) for 16 vectors at once.
SK_INLINE void hsum16(const vfloat *a, float *out) {
  constexpr int n = vfloat::size;
  for (int i = 0; i < 16; i += n) {
    vfloat rows[n];
    for (int k = 0; k < n; ++k) rows[k] = a[i + k];
    transpose(rows);
    for (int k = 1; k < n; ++k) rows[0] += rows[k];
    store(out + i, rows[0]);
  }
}
#endif

// Exactly rounded division after an exactly rounded root, not the hardware's estimate.
SK_INLINE vfloat rsqrt(vfloat x) { return vfloat(1.0f) / sqrt(x); }

// 2^x: relative error below 2e-7; 0 below -126, infinity from 128, NaN stays NaN.
SK_INLINE vfloat exp2(vfloat x) {
  const vfloat whole = round(min(max(x, vfloat(-126.0f)), vfloat(128.0f)));
  const vfloat f = x - whole;
  vfloat p = fma(vfloat(1.53458122e-4f), f, vfloat(1.33999311e-3f));
  p = fma(p, f, vfloat(9.61848896e-3f));
  p = fma(p, f, vfloat(5.55032878e-2f));
  p = fma(p, f, vfloat(0.240226469f));
  p = fma(p, f, vfloat(0.693147206f));
  p = fma(p, f, vfloat(1.0f));
  const vfloat result = p * power_of_two(to_int(whole));
  return select(x < vfloat(-126.0f), vfloat(0.0f), result);
}

// 2^x for x in -126..127, relative error below 1.2e-7; anything but a trap elsewhere. Several at
// once, step by step, because each step waits for the one before.
template <int n>
SK_INLINE void exp2_small(const vfloat (&x)[n], vfloat (&result)[n]) {
  vfloat whole[n], f[n];
  for (int i = 0; i < n; ++i) whole[i] = round(x[i]);
  for (int i = 0; i < n; ++i) f[i] = x[i] - whole[i];
  vfloat(&p)[n] = result;
  for (int i = 0; i < n; ++i) p[i] = fma(vfloat(1.32764818e-3f), f[i], vfloat(9.67554562e-3f));
  for (const float c : {5.55071346e-2f, 0.240221202f, 0.693146944f, 1.00000012f})
    for (int i = 0; i < n; ++i) p[i] = fma(p[i], f[i], vfloat(c));
  for (int i = 0; i < n; ++i) p[i] = bitcast_float(bitcast_int(p[i]) + (to_int(whole[i]) << 23));
}

// e^x, relative error below 3e-7 for |x| < 80.
SK_INLINE vfloat exp(vfloat x) {
  // log2(e) in two parts keeps the fraction exact for large x.
  const vfloat high(1.44269502f), low(1.92596303e-8f);
  const vfloat whole = round(min(max(x * high, vfloat(-126.0f)), vfloat(128.0f)));
  const vfloat f = fma(x, low, fma(x, high, -whole));
  return exp2(f) * power_of_two(to_int(whole));
}

// Base-2 logarithm of positive normal numbers, error below 2e-7 of max(1, |result|); others: NaN.
SK_INLINE vfloat log2(vfloat x) {
  const vint raw = bitcast_int(x);
  // Take the mantissa in [sqrt(1/2), sqrt(2)), so that t below stays under 0.172.
  const vint shifted = raw - vint(0x3f3504f3);
  const vfloat exponent = to_float(shifted >> 23);
  const vfloat m = bitcast_float((shifted & vint(0x007fffff)) + vint(0x3f3504f3));
  const vfloat t = (m - vfloat(1.0f)) / (m + vfloat(1.0f));
  const vfloat tt = t * t;
  // 2/ln 2 (t + t^3/3 + t^5/5 + ...), the series of log2((1+t)/(1-t)).
  vfloat p = fma(vfloat(0.320598905f), tt, vfloat(0.412198584f));
  p = fma(p, tt, vfloat(0.577078016f));
  p = fma(p, tt, vfloat(0.961796694f));
  p = fma(p, tt, vfloat(2.88539004f));
  const vfloat bad = bitcast_float(vint(0x7fc00000));
  return select(x > vfloat(0.0f), fma(p, t, exponent), bad);
}

SK_INLINE vfloat log(vfloat x) { return log2(x) * vfloat(0.693147181f); }

}  // namespace SK_ISA
}  // namespace splatkit
