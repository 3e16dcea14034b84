// 8 lanes: AVX2 with FMA. See simd.h for the vocabulary, simd_avx512.h for what each name does.
#pragma once

#include <immintrin.h>

namespace splatkit {
inline namespace SK_ISA {

// All bits of a lane are set where the mask holds.
struct vmask {
  __m256 v;
};

struct vint {
  __m256i v;
  vint() = default;
  SK_INLINE vint(int32_t x) : v(_mm256_set1_epi32(x)) {}
  SK_INLINE explicit vint(__m256i x) : v(x) {}
};

struct vfloat {
  static constexpr int size = 8;
  __m256 v;
  vfloat() = default;
  SK_INLINE vfloat(float x) : v(_mm256_set1_ps(x)) {}
  SK_INLINE explicit vfloat(__m256 x) : v(x) {}
};

SK_INLINE vmask operator&(vmask a, vmask b) { return {_mm256_and_ps(a.v, b.v)}; }
SK_INLINE vmask operator|(vmask a, vmask b) { return {_mm256_or_ps(a.v, b.v)}; }
SK_INLINE vmask operator!(vmask a) {
  return {_mm256_xor_ps(a.v, _mm256_castsi256_ps(_mm256_set1_epi32(-1)))};
}
SK_INLINE uint32_t bits(vmask m) { return (uint32_t)_mm256_movemask_ps(m.v); }

SK_INLINE vfloat operator+(vfloat a, vfloat b) { return vfloat(_mm256_add_ps(a.v, b.v)); }
SK_INLINE vfloat operator-(vfloat a, vfloat b) { return vfloat(_mm256_sub_ps(a.v, b.v)); }
SK_INLINE vfloat operator*(vfloat a, vfloat b) { return vfloat(_mm256_mul_ps(a.v, b.v)); }
SK_INLINE vfloat operator/(vfloat a, vfloat b) { return vfloat(_mm256_div_ps(a.v, b.v)); }
SK_INLINE vfloat operator-(vfloat a) { return vfloat(_mm256_xor_ps(a.v, _mm256_set1_ps(-0.0f))); }
SK_INLINE vmask operator<(vfloat a, vfloat b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_LT_OQ)}; }
SK_INLINE vmask operator<=(vfloat a, vfloat b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_LE_OQ)}; }
SK_INLINE vmask operator>(vfloat a, vfloat b) { return b < a; }
SK_INLINE vmask operator>=(vfloat a, vfloat b) { return b <= a; }
SK_INLINE vmask operator==(vfloat a, vfloat b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_EQ_OQ)}; }

SK_INLINE vint operator+(vint a, vint b) { return vint(_mm256_add_epi32(a.v, b.v)); }
SK_INLINE vint operator-(vint a, vint b) { return vint(_mm256_sub_epi32(a.v, b.v)); }
SK_INLINE vint operator*(vint a, vint b) { return vint(_mm256_mullo_epi32(a.v, b.v)); }
SK_INLINE vint operator&(vint a, vint b) { return vint(_mm256_and_si256(a.v, b.v)); }
SK_INLINE vint operator|(vint a, vint b) { return vint(_mm256_or_si256(a.v, b.v)); }
SK_INLINE vint operator<<(vint a, int n) { return vint(_mm256_slli_epi32(a.v, n)); }
SK_INLINE vint operator>>(vint a, int n) { return vint(_mm256_srai_epi32(a.v, n)); }
SK_INLINE vmask operator<(vint a, vint b) {
  return {_mm256_castsi256_ps(_mm256_cmpgt_epi32(b.v, a.v))};
}
SK_INLINE vmask operator>(vint a, vint b) { return b < a; }
SK_INLINE vmask operator==(vint a, vint b) {
  return {_mm256_castsi256_ps(_mm256_cmpeq_epi32(a.v, b.v))};
}

SK_INLINE vfloat fma(vfloat a, vfloat b, vfloat c) {
  return vfloat(_mm256_fmadd_ps(a.v, b.v, c.v));
}
SK_INLINE vfloat fnma(vfloat a, vfloat b, vfloat c) {
  return vfloat(_mm256_fnmadd_ps(a.v, b.v, c.v));
}
SK_INLINE vfloat min(vfloat a, vfloat b) { return vfloat(_mm256_min_ps(a.v, b.v)); }
SK_INLINE vfloat max(vfloat a, vfloat b) { return vfloat(_mm256_max_ps(a.v, b.v)); }
SK_INLINE vint min(vint a, vint b) { return vint(_mm256_min_epi32(a.v, b.v)); }
SK_INLINE vint max(vint a, vint b) { return vint(_mm256_max_epi32(a.v, b.v)); }
SK_INLINE vfloat abs(vfloat a) { return vfloat(_mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.v)); }
SK_INLINE vfloat sqrt(vfloat a) { return vfloat(_mm256_sqrt_ps(a.v)); }
SK_INLINE vfloat round(vfloat a) {
  return vfloat(_mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
SK_INLINE vfloat floor(vfloat a) { return vfloat(_mm256_floor_ps(a.v)); }

SK_INLINE vfloat reciprocal(vfloat a) {
  const __m256 r = _mm256_rcp_ps(a.v);
  return vfloat(_mm256_mul_ps(r, _mm256_fnmadd_ps(a.v, r, _mm256_set1_ps(2.0f))));
}
SK_INLINE vfloat select(vmask m, vfloat a, vfloat b) {
  return vfloat(_mm256_blendv_ps(b.v, a.v, m.v));
}
SK_INLINE vint select(vmask m, vint a, vint b) {
  return vint(_mm256_castps_si256(
      _mm256_blendv_ps(_mm256_castsi256_ps(b.v), _mm256_castsi256_ps(a.v), m.v)));
}

SK_INLINE vint to_int(vfloat a) { return vint(_mm256_cvttps_epi32(a.v)); }
SK_INLINE vfloat to_float(vint a) { return vfloat(_mm256_cvtepi32_ps(a.v)); }
SK_INLINE vint bitcast_int(vfloat a) { return vint(_mm256_castps_si256(a.v)); }
SK_INLINE vfloat bitcast_float(vint a) { return vfloat(_mm256_castsi256_ps(a.v)); }
SK_INLINE vint lane_ids() { return vint(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)); }
SK_INLINE vfloat power_of_two(vint n) { return bitcast_float((n + vint(127)) << 23); }

SK_INLINE vfloat load(const float *p) { return vfloat(_mm256_loadu_ps(p)); }
SK_INLINE vfloat load(const float *p, vmask m) {
  return vfloat(_mm256_maskload_ps(p, _mm256_castps_si256(m.v)));
}
SK_INLINE void store(float *p, vfloat a) { _mm256_storeu_ps(p, a.v); }
SK_INLINE void store(float *p, vfloat a, vmask m) {
  _mm256_maskstore_ps(p, _mm256_castps_si256(m.v), a.v);
}
SK_INLINE vint load(const int32_t *p) { return vint(_mm256_loadu_si256((const __m256i *)p)); }
SK_INLINE vint load(const int32_t *p, vmask m) {
  return vint(_mm256_maskload_epi32(p, _mm256_castps_si256(m.v)));
}
SK_INLINE void store(int32_t *p, vint a) { _mm256_storeu_si256((__m256i *)p, a.v); }
SK_INLINE void store(int32_t *p, vint a, vmask m) {
  _mm256_maskstore_epi32(p, _mm256_castps_si256(m.v), a.v);
}
SK_INLINE vfloat load_bytes(const uint8_t *p) {
  return vfloat(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p))));
}

SK_INLINE vfloat gather(const float *base, vint index) {
  return vfloat(_mm256_i32gather_ps(base, index.v, 4));
}
SK_INLINE vfloat gather(const float *base, vint index, vmask m) {
  return vfloat(_mm256_mask_i32gather_ps(_mm256_setzero_ps(), base, index.v, m.v, 4));
}

SK_INLINE vfloat permute(vfloat table, vint index) {
  return vfloat(_mm256_permutevar8x32_ps(table.v, index.v));
}

SK_INLINE void transpose(vfloat rows[8]) {
  __m256 a[8], b[8];
  for (int i = 0; i < 8; i += 2) {
    a[i] = _mm256_unpacklo_ps(rows[i].v, rows[i + 1].v);
    a[i + 1] = _mm256_unpackhi_ps(rows[i].v, rows[i + 1].v);
  }
  for (int i = 0; i < 8; i += 4)
    for (int k = 0; k < 2; ++k) {
      b[i + 2 * k] = _mm256_shuffle_ps(a[i + k], a[i + k + 2], 0x44);
      b[i + 2 * k + 1] = _mm256_shuffle_ps(a[i + k], a[i + k + 2], 0xee);
    }
  // b[4 h + c] holds in its two halves columns c and c + 4 of rows 4 h .. 4 h + 3.
  for (int c = 0; c < 4; ++c) {
    rows[c].v = _mm256_permute2f128_ps(b[c], b[4 + c], 0x20);
    rows[4 + c].v = _mm256_permute2f128_ps(b[c], b[4 + c], 0x31);
  }
}

SK_INLINE float hsum(vfloat a) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}
SK_INLINE float hmax(vfloat a) {
  __m128 s = _mm_max_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  s = _mm_max_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_max_ss(s, _mm_shuffle_ps(s, s, 1)));
}

}  // namespace SK_ISA
}  // namespace splatkit
