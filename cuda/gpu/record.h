// Records as kernels read them: the 12 floats of splatkit/screen.h, or 32 bytes for rendering only.
#pragma once

#include "gpu.h"
#include "splatkit/screen.h"

#ifndef SK_HALF_RECORDS
#define SK_HALF_RECORDS 0
#endif

namespace splatkit {
inline namespace SK_ISA {

// Places in single precision, because they have to be exact to a fraction of a pixel far from the
// origin; all that is a colour or only bounds something in half.
struct alignas(16) HalfRecord {
  float x, y;                 // centre, pixels
  float xx, xy, yy;           // FoldedConic
  unsigned log2_opacity_red;  // two halves, the first in the low bits
  unsigned green_blue;
  unsigned extents;  // rounded up
};
static_assert(sizeof(HalfRecord) == 32);

// A splat where it is, as the blending loops want it.
struct Splat {
  float x, y;
  FoldedConic<float> conic;
};

SK_DEVICE unsigned two_halves(float low, float high) {
  return half_bits(low) | half_bits(high) << 16;
}

SK_DEVICE HalfRecord half_record(const float record[RECORD_SIZE]) {
  // Half precision rounds by at most 1 in 2048.
  constexpr float up = 1.0f + 1.0f / 1024.0f;
  const FoldedConic<float> f = fold_conic(record + RECORD_CONIC, record[RECORD_OPACITY]);
  return {record[0],
          record[1],
          f.xx,
          f.xy,
          f.yy,
          two_halves(f.log2_opacity, record[RECORD_COLOR]),
          two_halves(record[RECORD_COLOR + 1], record[RECORD_COLOR + 2]),
          two_halves(record[RECORD_EXTENT] * up, record[RECORD_EXTENT + 1] * up)};
}

// One record by its 16-byte parts.
struct LoadedRecord {
  Splat splat;
  float color[3], depth, extent_x, extent_y;

  SK_DEVICE LoadedRecord(const float *records, unsigned row) {
#if SK_HALF_RECORDS
    const uint4 *parts = (const uint4 *)records + 2ull * row;
    const uint4 a = __ldg(parts), b = __ldg(parts + 1);
    splat = {__uint_as_float(a.x),
             __uint_as_float(a.y),
             {half_value(b.y), __uint_as_float(a.z), __uint_as_float(a.w), __uint_as_float(b.x)}};
    color[0] = half_value(b.y >> 16);
    color[1] = half_value(b.z);
    color[2] = half_value(b.z >> 16);
    depth = 0.0f;
    extent_x = half_value(b.w);
    extent_y = half_value(b.w >> 16);
#else
    const float4 *parts = (const float4 *)records + 3ull * row;
    const float4 a = __ldg(parts), b = __ldg(parts + 1), c = __ldg(parts + 2);
    const float conic[3] = {a.z, a.w, b.x};
    splat = {a.x, a.y, fold_conic(conic, b.y)};
    color[0] = b.z;
    color[1] = b.w;
    color[2] = c.x;
    depth = c.y;
    extent_x = c.z;
    extent_y = c.w;
#endif
  }
};

}  // namespace SK_ISA
}  // namespace splatkit
