// Numbers to the bytes of .splat files and back, a few hundred Gaussians at a time.

#include "splat_file.h"

#include <cfloat>

#include "simd.h"

namespace splatkit {
inline namespace SK_ISA {
namespace {

constexpr int ROWS = 256;
constexpr int FLOATS = 6;  // of a record: centre and standard deviations
constexpr float SHORTEST = 1e-12f;

SK_INLINE int rows_from(int64_t i, int64_t end) { return (int)(end - i < ROWS ? end - i : ROWS); }

SK_INLINE void exp_all(const float *x, int n, float *out) {
  for (int i = 0; i < n; i += vfloat::size)
    store_first(out + i, exp(load_first(x + i, n - i)), n - i);
}

SK_INLINE void sigmoid_all(const float *x, int n, float *out) {
  for (int i = 0; i < n; i += vfloat::size) {
    const vfloat e = exp(-load_first(x + i, n - i));
    store_first(out + i, vfloat(1.0f) / (vfloat(1.0f) + e), n - i);
  }
}

// Whether n numbers lie between -bound and bound; NaN does not.
SK_INLINE bool within(const float *x, int n, float bound) {
  vmask good = first_lanes(vfloat::size);
  for (int i = 0; i < n; i += vfloat::size)
    good = good & (abs(load_first(x + i, n - i)) < vfloat(bound));
  return all(good);
}

// 1 / length of n quaternions.
SK_INLINE void inverse_lengths(const float *quats, int n, float *out) {
  for (int i = 0; i < n; ++i) {
    const float *q = quats + 4 * i;
    out[i] = q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3];
  }
  for (int i = 0; i < n; i += vfloat::size) {
    const vfloat length = sqrt(load_first(out + i, n - i));
    store_first(out + i, vfloat(1.0f) / max(length, vfloat(SHORTEST)), n - i);
  }
}

// The bytes of n records from their numbers; both have room for whole vectors.
SK_INLINE void round_all(const SplatSteps &steps, const float *values, int n, uint8_t *bytes) {
  constexpr int most = vfloat::size > SPLAT_BYTES ? vfloat::size : SPLAT_BYTES;
  float step[most], offset[most];
  for (int k = 0; k < most; ++k) {
    step[k] = steps.step[k % SPLAT_BYTES];
    offset[k] = steps.offset[k % SPLAT_BYTES];
  }
  int32_t rounded[most];
  for (int i = 0; i < SPLAT_BYTES * n; i += most) {
    for (int k = 0; k < most; k += vfloat::size) {
      const vfloat v = load(values + i + k) * load(step + k) + load(offset + k);
      store(rounded + k, to_int(min(max(round(v), vfloat(0.0f)), vfloat(255.0f))));
    }
    for (int k = 0; k < most; ++k) bytes[i + k] = (uint8_t)rounded[k];
  }
}

}  // namespace

void splat_keys(const PackSplats &a, int64_t begin, int64_t end, uint16_t *keys, bool *fit) {
  float sums[ROWS], opacities[ROWS];
  int32_t raw[ROWS + vfloat::size];
  for (int64_t i = begin; i < end; i += ROWS) {
    const int n = rows_from(i, end);
    const float *s = a.log_scales + 3 * i;
    for (int k = 0; k < n; ++k) sums[k] = s[3 * k] + s[3 * k + 1] + s[3 * k + 2];
    sigmoid_all(a.logit_opacities + i, n, opacities);
    for (int k = 0; k < n; k += vfloat::size) {
      const vfloat bulk = exp(load_first(sums + k, n - k)) * load_first(opacities + k, n - k);
      store(raw + k, bitcast_int(bulk) >> SPLAT_KEY_SHIFT & vint(SPLAT_KEYS - 1));
    }
    for (int k = 0; k < n; ++k) keys[i - begin + k] = (uint16_t)raw[k];
    *fit &= within(s, 3 * n, a.log_scale_bound) && within(a.logit_opacities + i, n, FLT_MAX);
  }
}

void pack_splat_rows(const PackSplats &a, int64_t begin, int64_t end, const uint16_t *keys,
                     int64_t *places, bool *fit) {
  float scales[3 * ROWS], opacities[ROWS], inverse[ROWS], values[SPLAT_BYTES * ROWS];
  uint8_t bytes[SPLAT_BYTES * ROWS], *records[ROWS];
  for (int64_t i = begin; i < end; i += ROWS) {
    const int n = rows_from(i, end);
    const float *quats = a.quats + 4 * i;
    // Places lie far apart: they come into the cache while the numbers are worked out.
    for (int k = 0; k < n; ++k) {
      records[k] = a.records + SPLAT_RECORD * places[keys[i - begin + k]]++;
      prefetch<true>(records[k]);
    }
    *fit &= within(a.means + 3 * i, 3 * n, FLT_MAX) && within(quats, 4 * n, FLT_MAX) &&
            within(a.colors + 3 * i, 3 * n, FLT_MAX);
    exp_all(a.log_scales + 3 * i, 3 * n, scales);
    sigmoid_all(a.logit_opacities + i, n, opacities);
    inverse_lengths(quats, n, inverse);
    for (int k = 0; k < n; ++k) {
      float *v = values + SPLAT_BYTES * k;
      const float *color = a.colors + 3 * (i + k);
      for (int c = 0; c < 3; ++c) v[c] = color[c];
      v[3] = opacities[k];
      for (int c = 0; c < 4; ++c) v[4 + c] = quats[4 * k + c] * inverse[k];
    }
    round_all(a.steps, values, n, bytes);
    for (int k = 0; k < n; ++k) {
      uint8_t *record = records[k];
      std::memcpy(record, a.means + 3 * (i + k), 3 * sizeof(float));
      std::memcpy(record + 3 * sizeof(float), scales + 3 * k, 3 * sizeof(float));
      std::memcpy(record + FLOATS * sizeof(float), bytes + SPLAT_BYTES * k, SPLAT_BYTES);
    }
  }
}

void unpack_splat_rows(const UnpackSplats &a, int64_t begin, int64_t end) {
  float scales[3 * ROWS], values[SPLAT_BYTES * ROWS], inverse[ROWS], turns[4 * ROWS];
  float steps[SPLAT_BYTES];
  for (int c = 0; c < SPLAT_BYTES; ++c) steps[c] = 1.0f / a.steps.step[c];
  const vfloat least(a.least_log_scale), none = bitcast_float(vint(0x7fc00000));
  for (int64_t i = begin; i < end; i += ROWS) {
    const int n = rows_from(i, end);
    const uint8_t *records = a.records + SPLAT_RECORD * i;
    for (int k = 0; k < n; ++k) {
      const uint8_t *record = records + SPLAT_RECORD * k, *bytes = record + FLOATS * sizeof(float);
      std::memcpy(a.means + 3 * (i + k), record, 3 * sizeof(float));
      std::memcpy(scales + 3 * k, record + 3 * sizeof(float), 3 * sizeof(float));
      for (int c = 0; c < SPLAT_BYTES; ++c)
        values[SPLAT_BYTES * k + c] = ((float)bytes[c] - a.steps.offset[c]) * steps[c];
      a.logit_opacities[i + k] = a.logits[bytes[3]];
    }
    for (int k = 0; k < 3 * n; k += vfloat::size) {
      const vfloat scale = load_first(scales + k, 3 * n - k), zero(0.0f);
      const vfloat other = select(scale == zero, least, none);
      store_first(a.log_scales + 3 * i + k, select(scale > zero, max(log(scale), least), other),
                  3 * n - k);
    }
    for (int k = 0; k < n; ++k) {
      const float *v = values + SPLAT_BYTES * k;
      for (int c = 0; c < 3; ++c) a.colors[3 * (i + k) + c] = v[c];
      for (int c = 0; c < 4; ++c) turns[4 * k + c] = v[4 + c];
      if (v[4] == 0 && v[5] == 0 && v[6] == 0 && v[7] == 0) turns[4 * k] = 1;
    }
    inverse_lengths(turns, n, inverse);
    for (int k = 0; k < n; ++k)
      for (int c = 0; c < 4; ++c) a.quats[4 * (i + k) + c] = turns[4 * k + c] * inverse[k];
  }
}

}  // namespace SK_ISA
}  // namespace splatkit
