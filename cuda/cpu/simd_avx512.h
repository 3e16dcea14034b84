// 16 lanes: AVX-512 F, VL, DQ and BW. See simd.h for the vocabulary.
#pragma once

#include <immintrin.h>

namespace splatkit {
inline namespace SK_ISA {

struct vmask {
  __mmask16 v;
};

struct vint {
  __m512i v;
  vint() = default;
  SK_INLINE vint(int32_t x) : v(_mm512_set1_epi32(x)) {}
  SK_INLINE explicit vint(__m512i x) : v(x) {}
};

struct vfloat {
  static constexpr int size = 16;
  __m512 v;
  vfloat() = default;
  SK_INLINE vfloat(float x) : v(_mm512_set1_ps(x)) {}
  SK_INLINE explicit vfloat(__m512 x) : v(x) {}
};

SK_INLINE vmask operator&(vmask a, vmask b) { return {(__mmask16)(a.v & b.v)}; }
SK_INLINE vmask operator|(vmask a, vmask b) { return {(__mmask16)(a.v | b.v)}; }
SK_INLINE vmask operator!(vmask a) { return {(__mmask16)~a.v}; }
SK_INLINE uint32_t bits(vmask m) { return m.v; }

SK_INLINE vfloat operator+(vfloat a, vfloat b) { return vfloat(_mm512_add_ps(a.v, b.v)); }
SK_INLINE vfloat operator-(vfloat a, vfloat b) { return vfloat(_mm512_sub_ps(a.v, b.v)); }
SK_INLINE vfloat operator*(vfloat a, vfloat b) { return vfloat(_mm512_mul_ps(a.v, b.v)); }
SK_INLINE vfloat operator/(vfloat a, vfloat b) { return vfloat(_mm512_div_ps(a.v, b.v)); }
SK_INLINE vfloat operator-(vfloat a) { return vfloat(_mm512_xor_ps(a.v, _mm512_set1_ps(-0.0f))); }
SK_INLINE vmask operator<(vfloat a, vfloat b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)}; }
SK_INLINE vmask operator<=(vfloat a, vfloat b) {
  return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LE_OQ)};
}
SK_INLINE vmask operator>(vfloat a, vfloat b) { return b < a; }
SK_INLINE vmask operator>=(vfloat a, vfloat b) { return b <= a; }
SK_INLINE vmask operator==(vfloat a, vfloat b) {
  return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_EQ_OQ)};
}

SK_INLINE vint operator+(vint a, vint b) { return vint(_mm512_add_epi32(a.v, b.v)); }
SK_INLINE vint operator-(vint a, vint b) { return vint(_mm512_sub_epi32(a.v, b.v)); }
SK_INLINE vint operator*(vint a, vint b) { return vint(_mm512_mullo_epi32(a.v, b.v)); }
SK_INLINE vint operator&(vint a, vint b) { return vint(_mm512_and_si512(a.v, b.v)); }
SK_INLINE vint operator|(vint a, vint b) { return vint(_mm512_or_si512(a.v, b.v)); }
SK_INLINE vint operator<<(vint a, int n) { return vint(_mm512_slli_epi32(a.v, n)); }
SK_INLINE vint operator>>(vint a, int n) { return vint(_mm512_srai_epi32(a.v, n)); }
SK_INLINE vmask operator<(vint a, vint b) { return {_mm512_cmplt_epi32_mask(a.v, b.v)}; }
SK_INLINE vmask operator>(vint a, vint b) { return b < a; }
SK_INLINE vmask operator==(vint a, vint b) { return {_mm512_cmpeq_epi32_mask(a.v, b.v)}; }

// a b + c, c - a b.
SK_INLINE vfloat fma(vfloat a, vfloat b, vfloat c) {
  return vfloat(_mm512_fmadd_ps(a.v, b.v, c.v));
}
SK_INLINE vfloat fnma(vfloat a, vfloat b, vfloat c) {
  return vfloat(_mm512_fnmadd_ps(a.v, b.v, c.v));
}
// min and max return the second argument where either is NaN.
SK_INLINE vfloat min(vfloat a, vfloat b) { return vfloat(_mm512_min_ps(a.v, b.v)); }
SK_INLINE vfloat max(vfloat a, vfloat b) { return vfloat(_mm512_max_ps(a.v, b.v)); }
SK_INLINE vint min(vint a, vint b) { return vint(_mm512_min_epi32(a.v, b.v)); }
SK_INLINE vint max(vint a, vint b) { return vint(_mm512_max_epi32(a.v, b.v)); }
SK_INLINE vfloat abs(vfloat a) { return vfloat(_mm512_abs_ps(a.v)); }
SK_INLINE vfloat sqrt(vfloat a) { return vfloat(_mm512_sqrt_ps(a.v)); }
SK_INLINE vfloat round(vfloat a) {
  return vfloat(_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
SK_INLINE vfloat floor(vfloat a) {
  return vfloat(_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC));
}

// 1 / x, relative error below 2e-7.
SK_INLINE vfloat reciprocal(vfloat a) {
  const __m512 r = _mm512_rcp14_ps(a.v);
  return vfloat(_mm512_mul_ps(r, _mm512_fnmadd_ps(a.v, r, _mm512_set1_ps(2.0f))));
}
// m ? a : b.
SK_INLINE vfloat select(vmask m, vfloat a, vfloat b) {
  return vfloat(_mm512_mask_blend_ps(m.v, b.v, a.v));
}
SK_INLINE vint select(vmask m, vint a, vint b) {
  return vint(_mm512_mask_blend_epi32(m.v, b.v, a.v));
}

// Truncates towards zero.
SK_INLINE vint to_int(vfloat a) { return vint(_mm512_cvttps_epi32(a.v)); }
SK_INLINE vfloat to_float(vint a) { return vfloat(_mm512_cvtepi32_ps(a.v)); }
SK_INLINE vint bitcast_int(vfloat a) { return vint(_mm512_castps_si512(a.v)); }
SK_INLINE vfloat bitcast_float(vint a) { return vfloat(_mm512_castsi512_ps(a.v)); }
SK_INLINE vint lane_ids() {
  return vint(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}

// 2^n for n in -126..128.
SK_INLINE vfloat power_of_two(vint n) { return bitcast_float((n + vint(127)) << 23); }

// Loads and stores need no alignment; lanes outside a mask load as 0 and are not touched.
SK_INLINE vfloat load(const float *p) { return vfloat(_mm512_loadu_ps(p)); }
SK_INLINE vfloat load(const float *p, vmask m) { return vfloat(_mm512_maskz_loadu_ps(m.v, p)); }
SK_INLINE void store(float *p, vfloat a) { _mm512_storeu_ps(p, a.v); }
SK_INLINE void store(float *p, vfloat a, vmask m) { _mm512_mask_storeu_ps(p, m.v, a.v); }
SK_INLINE vint load(const int32_t *p) { return vint(_mm512_loadu_si512(p)); }
SK_INLINE vint load(const int32_t *p, vmask m) { return vint(_mm512_maskz_loadu_epi32(m.v, p)); }
SK_INLINE void store(int32_t *p, vint a) { _mm512_storeu_si512(p, a.v); }
SK_INLINE void store(int32_t *p, vint a, vmask m) { _mm512_mask_storeu_epi32(p, m.v, a.v); }

// Bytes 0..255 as floats.
SK_INLINE vfloat load_bytes(const uint8_t *p) {
  return vfloat(_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p))));
}

// base[index] by lane, index in floats; lanes outside the mask are 0 and read nothing.
SK_INLINE vfloat gather(const float *base, vint index) {
  return vfloat(_mm512_i32gather_ps(index.v, base, 4));
}
SK_INLINE vfloat gather(const float *base, vint index, vmask m) {
  return vfloat(_mm512_mask_i32gather_ps(_mm512_setzero_ps(), m.v, index.v, base, 4));
}

// table[index] by lane, index 0..size-1.
SK_INLINE vfloat permute(vfloat table, vint index) {
  return vfloat(_mm512_permutexvar_ps(index.v, table.v));
}

// Turns size rows of size lanes into columns.
SK_INLINE void transpose(vfloat rows[16]) {
  __m512 a[16], b[16];
  for (int i = 0; i < 16; i += 2) {
    a[i] = _mm512_unpacklo_ps(rows[i].v, rows[i + 1].v);
    a[i + 1] = _mm512_unpackhi_ps(rows[i].v, rows[i + 1].v);
  }
  for (int i = 0; i < 16; i += 4)
    for (int k = 0; k < 2; ++k) {
      const __m512d low = _mm512_castps_pd(a[i + k]), high = _mm512_castps_pd(a[i + k + 2]);
      b[i + 2 * k] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, high));
      b[i + 2 * k + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, high));
    }
  // b[4 q + c] holds in its four quarters columns c, c + 4, c + 8, c + 12 of rows 4 q .. 4 q + 3.
  for (int c = 0; c < 4; ++c) {
    const __m512 even01 = _mm512_shuffle_f32x4(b[c], b[4 + c], 0x88);
    const __m512 odd01 = _mm512_shuffle_f32x4(b[c], b[4 + c], 0xdd);
    const __m512 even23 = _mm512_shuffle_f32x4(b[8 + c], b[12 + c], 0x88);
    const __m512 odd23 = _mm512_shuffle_f32x4(b[8 + c], b[12 + c], 0xdd);
    rows[c].v = _mm512_shuffle_f32x4(even01, even23, 0x88);
    rows[8 + c].v = _mm512_shuffle_f32x4(even01, even23, 0xdd);
    rows[4 + c].v = _mm512_shuffle_f32x4(odd01, odd23, 0x88);
    rows[12 + c].v = _mm512_shuffle_f32x4(odd01, odd23, 0xdd);
  }
}

// Sum of the lanes by halving: lane i + lane i + size/2, and so on.
SK_INLINE float hsum(vfloat a) {
  const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}
SK_INLINE float hmax(vfloat a) {
  const __m256 half = _mm256_max_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  __m128 s = _mm_max_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
  s = _mm_max_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_max_ss(s, _mm_shuffle_ps(s, s, 1)));
}

// out[i] = hsum(a[i]) for 16 vectors at once: half the work of 16 single sums.
SK_INLINE void hsum16(const vfloat *a, float *out) {
  __m512 quarters[4];
  for (int j = 0; j < 4; ++j) {
    __m512 pairs[2];
    for (int k = 0; k < 2; ++k) {
      const __m512 p = a[j + 8 * k].v, q = a[j + 8 * k + 4].v;
      pairs[k] = _mm512_add_ps(_mm512_shuffle_f32x4(p, q, 0x44), _mm512_shuffle_f32x4(p, q, 0xee));
    }
    quarters[j] = _mm512_add_ps(_mm512_shuffle_f32x4(pairs[0], pairs[1], 0x88),
                                _mm512_shuffle_f32x4(pairs[0], pairs[1], 0xdd));
  }
  // quarters[j] holds in its four quarters what is left of a[j], a[j + 4], a[j + 8], a[j + 12].
  const __m512 left = _mm512_add_ps(_mm512_unpacklo_ps(quarters[0], quarters[1]),
                                    _mm512_unpackhi_ps(quarters[0], quarters[1]));
  const __m512 right = _mm512_add_ps(_mm512_unpacklo_ps(quarters[2], quarters[3]),
                                     _mm512_unpackhi_ps(quarters[2], quarters[3]));
  const __m512d l = _mm512_castps_pd(left), r = _mm512_castps_pd(right);
  _mm512_storeu_ps(out, _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(l, r)),
                                      _mm512_castpd_ps(_mm512_unpackhi_pd(l, r))));
}

}  // namespace SK_ISA
}  // namespace splatkit
