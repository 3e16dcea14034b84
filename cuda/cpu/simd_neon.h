// 4 lanes: 64-bit ARM. See simd.h for the vocabulary, simd_avx512.h for what each name does.
#pragma once

#include <arm_neon.h>

namespace splatkit {
inline namespace SK_ISA {

// All bits of a lane are set where the mask holds.
struct vmask {
  uint32x4_t v;
};

struct vint {
  int32x4_t v;
  vint() = default;
  SK_INLINE vint(int32_t x) : v(vdupq_n_s32(x)) {}
  SK_INLINE explicit vint(int32x4_t x) : v(x) {}
};

struct vfloat {
  static constexpr int size = 4;
  float32x4_t v;
  vfloat() = default;
  SK_INLINE vfloat(float x) : v(vdupq_n_f32(x)) {}
  SK_INLINE explicit vfloat(float32x4_t x) : v(x) {}
};

SK_INLINE vmask operator&(vmask a, vmask b) { return {vandq_u32(a.v, b.v)}; }
SK_INLINE vmask operator|(vmask a, vmask b) { return {vorrq_u32(a.v, b.v)}; }
SK_INLINE vmask operator!(vmask a) { return {vmvnq_u32(a.v)}; }
SK_INLINE uint32_t bits(vmask m) {
  const uint32_t weights[4] = {1, 2, 4, 8};
  return vaddvq_u32(vandq_u32(m.v, vld1q_u32(weights)));
}

SK_INLINE vfloat operator+(vfloat a, vfloat b) { return vfloat(vaddq_f32(a.v, b.v)); }
SK_INLINE vfloat operator-(vfloat a, vfloat b) { return vfloat(vsubq_f32(a.v, b.v)); }
SK_INLINE vfloat operator*(vfloat a, vfloat b) { return vfloat(vmulq_f32(a.v, b.v)); }
SK_INLINE vfloat operator/(vfloat a, vfloat b) { return vfloat(vdivq_f32(a.v, b.v)); }
SK_INLINE vfloat operator-(vfloat a) { return vfloat(vnegq_f32(a.v)); }
SK_INLINE vmask operator<(vfloat a, vfloat b) { return {vcltq_f32(a.v, b.v)}; }
SK_INLINE vmask operator<=(vfloat a, vfloat b) { return {vcleq_f32(a.v, b.v)}; }
SK_INLINE vmask operator>(vfloat a, vfloat b) { return b < a; }
SK_INLINE vmask operator>=(vfloat a, vfloat b) { return b <= a; }
SK_INLINE vmask operator==(vfloat a, vfloat b) { return {vceqq_f32(a.v, b.v)}; }

SK_INLINE vint operator+(vint a, vint b) { return vint(vaddq_s32(a.v, b.v)); }
SK_INLINE vint operator-(vint a, vint b) { return vint(vsubq_s32(a.v, b.v)); }
SK_INLINE vint operator*(vint a, vint b) { return vint(vmulq_s32(a.v, b.v)); }
SK_INLINE vint operator&(vint a, vint b) { return vint(vandq_s32(a.v, b.v)); }
SK_INLINE vint operator|(vint a, vint b) { return vint(vorrq_s32(a.v, b.v)); }
SK_INLINE vint operator<<(vint a, int n) { return vint(vshlq_s32(a.v, vdupq_n_s32(n))); }
SK_INLINE vint operator>>(vint a, int n) { return vint(vshlq_s32(a.v, vdupq_n_s32(-n))); }
SK_INLINE vmask operator<(vint a, vint b) { return {vcltq_s32(a.v, b.v)}; }
SK_INLINE vmask operator>(vint a, vint b) { return b < a; }
SK_INLINE vmask operator==(vint a, vint b) { return {vceqq_s32(a.v, b.v)}; }

SK_INLINE vfloat fma(vfloat a, vfloat b, vfloat c) { return vfloat(vfmaq_f32(c.v, a.v, b.v)); }
SK_INLINE vfloat fnma(vfloat a, vfloat b, vfloat c) { return vfloat(vfmsq_f32(c.v, a.v, b.v)); }
SK_INLINE vfloat reciprocal(vfloat a) {
  float32x4_t r = vrecpeq_f32(a.v);
  r = vmulq_f32(r, vrecpsq_f32(a.v, r));
  return vfloat(vmulq_f32(r, vrecpsq_f32(a.v, r)));
}
SK_INLINE vfloat select(vmask m, vfloat a, vfloat b) { return vfloat(vbslq_f32(m.v, a.v, b.v)); }
SK_INLINE vint select(vmask m, vint a, vint b) { return vint(vbslq_s32(m.v, a.v, b.v)); }
// By comparison, so that the second argument comes back where either is NaN, as on the others.
SK_INLINE vfloat min(vfloat a, vfloat b) { return select(a < b, a, b); }
SK_INLINE vfloat max(vfloat a, vfloat b) { return select(b < a, a, b); }
SK_INLINE vint min(vint a, vint b) { return vint(vminq_s32(a.v, b.v)); }
SK_INLINE vint max(vint a, vint b) { return vint(vmaxq_s32(a.v, b.v)); }
SK_INLINE vfloat abs(vfloat a) { return vfloat(vabsq_f32(a.v)); }
SK_INLINE vfloat sqrt(vfloat a) { return vfloat(vsqrtq_f32(a.v)); }
SK_INLINE vfloat round(vfloat a) { return vfloat(vrndnq_f32(a.v)); }
SK_INLINE vfloat floor(vfloat a) { return vfloat(vrndmq_f32(a.v)); }

SK_INLINE vint to_int(vfloat a) { return vint(vcvtq_s32_f32(a.v)); }
SK_INLINE vfloat to_float(vint a) { return vfloat(vcvtq_f32_s32(a.v)); }
SK_INLINE vint bitcast_int(vfloat a) { return vint(vreinterpretq_s32_f32(a.v)); }
SK_INLINE vfloat bitcast_float(vint a) { return vfloat(vreinterpretq_f32_s32(a.v)); }
SK_INLINE vint lane_ids() {
  const int32_t ids[4] = {0, 1, 2, 3};
  return vint(vld1q_s32(ids));
}
SK_INLINE vfloat power_of_two(vint n) { return bitcast_float((n + vint(127)) << 23); }

// Masks are of the form "first lanes" or scattered; either way only masked lanes are touched.
SK_INLINE vfloat load(const float *p) { return vfloat(vld1q_f32(p)); }
SK_INLINE vfloat load(const float *p, vmask m) {
  const uint32_t set = bits(m);
  float lanes[4] = {0.0f, 0.0f, 0.0f, 0.0f};
  for (int i = 0; i < 4; ++i)
    if (set >> i & 1u) lanes[i] = p[i];
  return load(lanes);
}
SK_INLINE void store(float *p, vfloat a) { vst1q_f32(p, a.v); }
SK_INLINE void store(float *p, vfloat a, vmask m) {
  const uint32_t set = bits(m);
  float lanes[4];
  store(lanes, a);
  for (int i = 0; i < 4; ++i)
    if (set >> i & 1u) p[i] = lanes[i];
}
SK_INLINE vint load(const int32_t *p) { return vint(vld1q_s32(p)); }
SK_INLINE vint load(const int32_t *p, vmask m) {
  const uint32_t set = bits(m);
  int32_t lanes[4] = {0, 0, 0, 0};
  for (int i = 0; i < 4; ++i)
    if (set >> i & 1u) lanes[i] = p[i];
  return load(lanes);
}
SK_INLINE void store(int32_t *p, vint a) { vst1q_s32(p, a.v); }
SK_INLINE void store(int32_t *p, vint a, vmask m) {
  const uint32_t set = bits(m);
  int32_t lanes[4];
  store(lanes, a);
  for (int i = 0; i < 4; ++i)
    if (set >> i & 1u) p[i] = lanes[i];
}
SK_INLINE vfloat load_bytes(const uint8_t *p) {
  const float lanes[4] = {(float)p[0], (float)p[1], (float)p[2], (float)p[3]};
  return load(lanes);
}

SK_INLINE vfloat gather(const float *base, vint index) {
  int32_t at[4];
  store(at, index);
  const float lanes[4] = {base[at[0]], base[at[1]], base[at[2]], base[at[3]]};
  return load(lanes);
}
SK_INLINE vfloat gather(const float *base, vint index, vmask m) {
  const uint32_t set = bits(m);
  int32_t at[4];
  store(at, index);
  float lanes[4] = {0.0f, 0.0f, 0.0f, 0.0f};
  for (int i = 0; i < 4; ++i)
    if (set >> i & 1u) lanes[i] = base[at[i]];
  return load(lanes);
}

SK_INLINE vfloat permute(vfloat table, vint index) {
  float lanes[4];
  store(lanes, table);
  return gather(lanes, index);
}

SK_INLINE void transpose(vfloat rows[4]) {
  const float32x4x2_t a = vtrnq_f32(rows[0].v, rows[1].v), b = vtrnq_f32(rows[2].v, rows[3].v);
  rows[0].v = vcombine_f32(vget_low_f32(a.val[0]), vget_low_f32(b.val[0]));
  rows[1].v = vcombine_f32(vget_low_f32(a.val[1]), vget_low_f32(b.val[1]));
  rows[2].v = vcombine_f32(vget_high_f32(a.val[0]), vget_high_f32(b.val[0]));
  rows[3].v = vcombine_f32(vget_high_f32(a.val[1]), vget_high_f32(b.val[1]));
}

SK_INLINE float hsum(vfloat a) {
  const float32x2_t s = vadd_f32(vget_low_f32(a.v), vget_high_f32(a.v));
  return vget_lane_f32(s, 0) + vget_lane_f32(s, 1);
}
SK_INLINE float hmax(vfloat a) { return vmaxvq_f32(a.v); }

}  // namespace SK_ISA
}  // namespace splatkit
