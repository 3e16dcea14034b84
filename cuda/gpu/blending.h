// What blending forward and backward share: passes over values, staged splats, checkpoints.
#pragma once

#include "tiles.h"

#ifndef SK_COLORS
#define SK_COLORS 3
#endif
#ifndef SK_VALUES
#define SK_VALUES 3
#endif
#ifndef SK_BUCKET
#define SK_BUCKET 128
#endif

namespace splatkit {
inline namespace SK_ISA {

constexpr int COLORS = SK_COLORS, VALUES = SK_VALUES, CHANNELS = VALUES - COLORS;
constexpr int BUCKET = SK_BUCKET;
static_assert(COLORS == 0 || COLORS == 3);
static_assert(BUCKET % WARP == 0);

// Values of a splat in 16-byte parts.
constexpr int VALUE_QUADS = (VALUES + 3) / 4;

// Exponent that no splat reaches, for pixels that have ended or lie outside the image: then one
// comparison tells all.
SK_DEVICE float never() { return __int_as_float(0x7f800000); }

// A pass over some of the channels; colours are the first values of the first pass.
template <class Params>
SK_DEVICE void load_values(const Params &p, unsigned row, const float color[3],
                           float values[4 * VALUE_QUADS]) {
  for (int d = 0; d < COLORS; ++d) values[d] = color[d];
#pragma unroll
  for (int c = 0; c < CHANNELS; ++c)
    values[COLORS + c] =
        c < p.channel_count
            ? __ldg(p.channels + (long long)row * p.num_channels + p.channel_begin + c)
            : 0.0f;
  for (int d = VALUES; d < 4 * VALUE_QUADS; ++d) values[d] = 0.0f;
}

// Splats of a batch in shared memory; all lanes of a warp read the same one.
template <int size>
struct StagedSplats {
  float4 place[size];  // x, y, log2_opacity, xx
  float2 shape[size];  // xy, yy
  float4 values[size * VALUE_QUADS];

  SK_DEVICE void put(int i, const Splat &s, const float v[4 * VALUE_QUADS]) {
    place[i] = make_float4(s.x, s.y, s.conic.log2_opacity, s.conic.xx);
    shape[i] = make_float2(s.conic.xy, s.conic.yy);
#pragma unroll
    for (int q = 0; q < VALUE_QUADS; ++q)
      values[i * VALUE_QUADS + q] = make_float4(v[4 * q], v[4 * q + 1], v[4 * q + 2], v[4 * q + 3]);
  }
  SK_DEVICE Splat splat(int i) const {
    const float4 a = place[i];
    const float2 b = shape[i];
    return {a.x, a.y, {a.z, a.w, b.x, b.y}};
  }
  SK_DEVICE void get_values(int i, float v[4 * VALUE_QUADS]) const {
#pragma unroll
    for (int q = 0; q < VALUE_QUADS; ++q) {
      const float4 part = values[i * VALUE_QUADS + q];
      v[4 * q] = part.x;
      v[4 * q + 1] = part.y;
      v[4 * q + 2] = part.z;
      v[4 * q + 3] = part.w;
    }
  }
};

// Where a tile lies.
struct TilePlace {
  int camera, x, y;     // first pixel
  unsigned begin, end;  // entries
};

template <class Params>
SK_DEVICE TilePlace tile_place(const Params &p, int tile) {
  const int per_image = p.tiles_x * p.tiles_y, inside = tile % per_image;
  return {tile / per_image, inside % p.tiles_x * TILE_WIDTH, inside / p.tiles_x * TILE_HEIGHT,
          p.tile_begin[tile], p.tile_begin[tile + 1]};
}

// A pixel of a tile, by lane and sub-tile.
struct Pixel {
  int x, y;
  float center_x, center_y;
  bool inside;
  long long index;  // among the pixels of all images

  template <class Params>
  SK_DEVICE Pixel(const Params &p, const TilePlace &t, int sub, int lane) {
    x = t.x + sub_tile_x(sub) + lane_x(lane);
    y = t.y + sub_tile_y(sub) + lane_y(lane);
    center_x = (float)x + 0.5f;
    center_y = (float)y + 0.5f;
    inside = x < p.width && y < p.height;
    index = ((long long)t.camera * p.height + y) * p.width + x;
  }
};

// Whether a splat reaches the sub-tile `sub` of a tile.
SK_DEVICE bool reaches_sub_tile(const Splat &s, const TilePlace &t, int sub) {
  return reaches(s, (float)(t.x + sub_tile_x(sub)) + 0.5f, (float)(t.y + sub_tile_y(sub)) + 0.5f);
}

// Place of a checkpoint's transmittances; its values follow, each TILE_PIXELS further.
SK_DEVICE long long checkpoint_place(unsigned checkpoint) {
  return (long long)checkpoint * ((VALUES + 1) * TILE_PIXELS);
}

SK_DEVICE float exponent(const Splat &s, float dx, float dy) {
  return exponent_at(s.conic, exponent_column(s.conic, dx), dy);
}

}  // namespace SK_ISA
}  // namespace splatkit
