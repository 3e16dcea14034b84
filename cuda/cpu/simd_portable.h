// 4 lanes as plain arrays: any processor. See simd.h for the vocabulary, simd_avx512.h for what
// each name does. Compilers turn these loops into whatever short vectors the machine has.
#pragma once

#include <cmath>

namespace splatkit {
inline namespace SK_ISA {

struct vmask {
  int32_t v[4];  // -1 where the mask holds, else 0
};

struct vint {
  int32_t v[4];
  vint() = default;
  SK_INLINE vint(int32_t x) : v{x, x, x, x} {}
};

struct vfloat {
  static constexpr int size = 4;
  float v[4];
  vfloat() = default;
  SK_INLINE vfloat(float x) : v{x, x, x, x} {}
};

#define SK_LANES(result, expression)                 \
  result r;                                          \
  for (int i = 0; i < 4; ++i) r.v[i] = (expression); \
  return r

SK_INLINE vmask operator&(vmask a, vmask b) { SK_LANES(vmask, a.v[i] & b.v[i]); }
SK_INLINE vmask operator|(vmask a, vmask b) { SK_LANES(vmask, a.v[i] | b.v[i]); }
SK_INLINE vmask operator!(vmask a) { SK_LANES(vmask, ~a.v[i]); }
SK_INLINE uint32_t bits(vmask m) {
  return (m.v[0] & 1u) | (m.v[1] & 2u) | (m.v[2] & 4u) | (m.v[3] & 8u);
}

SK_INLINE vfloat operator+(vfloat a, vfloat b) { SK_LANES(vfloat, a.v[i] + b.v[i]); }
SK_INLINE vfloat operator-(vfloat a, vfloat b) { SK_LANES(vfloat, a.v[i] - b.v[i]); }
SK_INLINE vfloat operator*(vfloat a, vfloat b) { SK_LANES(vfloat, a.v[i] * b.v[i]); }
SK_INLINE vfloat operator/(vfloat a, vfloat b) { SK_LANES(vfloat, a.v[i] / b.v[i]); }
SK_INLINE vfloat operator-(vfloat a) { SK_LANES(vfloat, -a.v[i]); }
SK_INLINE vmask operator<(vfloat a, vfloat b) { SK_LANES(vmask, -(int32_t)(a.v[i] < b.v[i])); }
SK_INLINE vmask operator<=(vfloat a, vfloat b) { SK_LANES(vmask, -(int32_t)(a.v[i] <= b.v[i])); }
SK_INLINE vmask operator>(vfloat a, vfloat b) { return b < a; }
SK_INLINE vmask operator>=(vfloat a, vfloat b) { return b <= a; }
SK_INLINE vmask operator==(vfloat a, vfloat b) { SK_LANES(vmask, -(int32_t)(a.v[i] == b.v[i])); }

SK_INLINE vint operator+(vint a, vint b) { SK_LANES(vint, a.v[i] + b.v[i]); }
SK_INLINE vint operator-(vint a, vint b) { SK_LANES(vint, a.v[i] - b.v[i]); }
SK_INLINE vint operator*(vint a, vint b) { SK_LANES(vint, a.v[i] * b.v[i]); }
SK_INLINE vint operator&(vint a, vint b) { SK_LANES(vint, a.v[i] & b.v[i]); }
SK_INLINE vint operator|(vint a, vint b) { SK_LANES(vint, a.v[i] | b.v[i]); }
SK_INLINE vint operator<<(vint a, int n) { SK_LANES(vint, (int32_t)((uint32_t)a.v[i] << n)); }
SK_INLINE vint operator>>(vint a, int n) { SK_LANES(vint, a.v[i] >> n); }
SK_INLINE vmask operator<(vint a, vint b) { SK_LANES(vmask, -(int32_t)(a.v[i] < b.v[i])); }
SK_INLINE vmask operator>(vint a, vint b) { return b < a; }
SK_INLINE vmask operator==(vint a, vint b) { SK_LANES(vmask, -(int32_t)(a.v[i] == b.v[i])); }

SK_INLINE vfloat fma(vfloat a, vfloat b, vfloat c) { return a * b + c; }
SK_INLINE vfloat fnma(vfloat a, vfloat b, vfloat c) { return c - a * b; }
SK_INLINE vfloat reciprocal(vfloat a) { return vfloat(1.0f) / a; }
SK_INLINE vfloat select(vmask m, vfloat a, vfloat b) { SK_LANES(vfloat, m.v[i] ? a.v[i] : b.v[i]); }
SK_INLINE vint select(vmask m, vint a, vint b) { SK_LANES(vint, m.v[i] ? a.v[i] : b.v[i]); }
SK_INLINE vfloat min(vfloat a, vfloat b) { SK_LANES(vfloat, a.v[i] < b.v[i] ? a.v[i] : b.v[i]); }
SK_INLINE vfloat max(vfloat a, vfloat b) { SK_LANES(vfloat, a.v[i] > b.v[i] ? a.v[i] : b.v[i]); }
SK_INLINE vint min(vint a, vint b) { SK_LANES(vint, a.v[i] < b.v[i] ? a.v[i] : b.v[i]); }
SK_INLINE vint max(vint a, vint b) { SK_LANES(vint, a.v[i] > b.v[i] ? a.v[i] : b.v[i]); }
SK_INLINE vfloat abs(vfloat a) { SK_LANES(vfloat, std::fabs(a.v[i])); }
SK_INLINE vfloat sqrt(vfloat a) { SK_LANES(vfloat, std::sqrt(a.v[i])); }
// Adding 1.5 2^23 leaves no room for a fraction: rounds to nearest even for |a| < 2^22; larger
// values than that are whole for every use in this project.
SK_INLINE vfloat round(vfloat a) {
  SK_LANES(vfloat, std::fabs(a.v[i]) < 4194304.0f ? (a.v[i] + 12582912.0f) - 12582912.0f : a.v[i]);
}
SK_INLINE vfloat floor(vfloat a) { SK_LANES(vfloat, std::floor(a.v[i])); }

SK_INLINE vint to_int(vfloat a) { SK_LANES(vint, (int32_t)a.v[i]); }
SK_INLINE vfloat to_float(vint a) { SK_LANES(vfloat, (float)a.v[i]); }
SK_INLINE vint bitcast_int(vfloat a) {
  vint r;
  std::memcpy(r.v, a.v, sizeof r.v);
  return r;
}
SK_INLINE vfloat bitcast_float(vint a) {
  vfloat r;
  std::memcpy(r.v, a.v, sizeof r.v);
  return r;
}
SK_INLINE vint lane_ids() { SK_LANES(vint, i); }
SK_INLINE vfloat power_of_two(vint n) { return bitcast_float((n + vint(127)) << 23); }

SK_INLINE vfloat load(const float *p) { SK_LANES(vfloat, p[i]); }
SK_INLINE vfloat load(const float *p, vmask m) { SK_LANES(vfloat, m.v[i] ? p[i] : 0.0f); }
SK_INLINE void store(float *p, vfloat a) {
  for (int i = 0; i < 4; ++i) p[i] = a.v[i];
}
SK_INLINE void store(float *p, vfloat a, vmask m) {
  for (int i = 0; i < 4; ++i)
    if (m.v[i]) p[i] = a.v[i];
}
SK_INLINE vint load(const int32_t *p) { SK_LANES(vint, p[i]); }
SK_INLINE vint load(const int32_t *p, vmask m) { SK_LANES(vint, m.v[i] ? p[i] : 0); }
SK_INLINE void store(int32_t *p, vint a) {
  for (int i = 0; i < 4; ++i) p[i] = a.v[i];
}
SK_INLINE void store(int32_t *p, vint a, vmask m) {
  for (int i = 0; i < 4; ++i)
    if (m.v[i]) p[i] = a.v[i];
}
SK_INLINE vfloat load_bytes(const uint8_t *p) { SK_LANES(vfloat, (float)p[i]); }

SK_INLINE vfloat gather(const float *base, vint index) { SK_LANES(vfloat, base[index.v[i]]); }
SK_INLINE vfloat gather(const float *base, vint index, vmask m) {
  SK_LANES(vfloat, m.v[i] ? base[index.v[i]] : 0.0f);
}

SK_INLINE vfloat permute(vfloat table, vint index) { SK_LANES(vfloat, table.v[index.v[i]]); }

SK_INLINE void transpose(vfloat rows[4]) {
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < i; ++j) {
      const float t = rows[i].v[j];
      rows[i].v[j] = rows[j].v[i];
      rows[j].v[i] = t;
    }
}

SK_INLINE float hsum(vfloat a) { return (a.v[0] + a.v[2]) + (a.v[1] + a.v[3]); }
SK_INLINE float hmax(vfloat a) {
  const float x = a.v[0] > a.v[2] ? a.v[0] : a.v[2], y = a.v[1] > a.v[3] ? a.v[1] : a.v[3];
  return x > y ? x : y;
}

#undef SK_LANES

}  // namespace SK_ISA
}  // namespace splatkit
