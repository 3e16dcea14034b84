// What blending a tile forward and backward share: blocks of pixels, and which of them a splat
// touches. Included by kernel sources only.
#pragma once

#include "blend.h"
#include "simd.h"
#include "splatkit/blend.h"

namespace splatkit {
inline namespace SK_ISA {

constexpr int L = vfloat::size;
// A vector is a block of 8x2 pixels where it has 16 lanes: square blocks waste fewer lanes.
constexpr int BLOCK_WIDTH = L < 8 ? L : 8, BLOCK_HEIGHT = L / BLOCK_WIDTH;
constexpr int COLUMNS = TILE_WIDTH / BLOCK_WIDTH, ROWS = TILE_HEIGHT / BLOCK_HEIGHT;
constexpr int BLOCKS = COLUMNS * ROWS;
static_assert(BLOCK_WIDTH * COLUMNS == TILE_WIDTH && BLOCK_HEIGHT * ROWS == TILE_HEIGHT);
static_assert(BLOCKS <= 256);

// How many list entries ahead splats are fetched into the cache.
constexpr int PREFETCH = 12;

SK_INLINE void prefetch(const void *p) {
#if defined(__GNUC__) || defined(__clang__)
  __builtin_prefetch(p);
#elif defined(SK_ISA_AVX2) || defined(SK_ISA_AVX512)
  _mm_prefetch((const char *)p, _MM_HINT_T0);
#else
  (void)p;
#endif
}

// Where a tile lies.
struct TilePlace {
  int camera, x, y;    // first pixel
  int width, height;   // pixels inside the image
  int64_t begin, end;  // entries
};

SK_INLINE TilePlace tile_place(const Bins &bins, int tile) {
  const int per_image = bins.tiles_x * bins.tiles_y, inside = tile % per_image;
  const int x = inside % bins.tiles_x * TILE_WIDTH, y = inside / bins.tiles_x * TILE_HEIGHT;
  const int width = bins.width - x, height = bins.height - y;
  return {tile / per_image,
          x,
          y,
          width < TILE_WIDTH ? width : TILE_WIDTH,
          height < TILE_HEIGHT ? height : TILE_HEIGHT,
          bins.tile_begin[tile],
          bins.tile_begin[tile + 1]};
}

// Calls f(place in the tile's arrays, pixel of all images) for the tile's pixels, row by row.
template <class F>
SK_INLINE void each_pixel(const Bins &bins, const TilePlace &t, F &&f) {
  for (int y = 0; y < t.height; ++y) {
    const int64_t line = ((int64_t)t.camera * bins.height + t.y + y) * bins.width + t.x;
    const int row = y / BLOCK_HEIGHT * COLUMNS * L + y % BLOCK_HEIGHT * BLOCK_WIDTH;
    for (int x = 0; x < t.width; ++x) f(row + x / BLOCK_WIDTH * L + x % BLOCK_WIDTH, line + x);
  }
}

// Per-pixel exponent below which a splat is skipped: the cut-off, or infinity where a pixel has
// ended or lies outside the image, so that one comparison tells all.
struct Cuts {
  alignas(64) float value[BLOCKS * L];

  // The number of pixels that are open.
  SK_INLINE int open(const TilePlace &t) {
    const vfloat never = bitcast_float(vint(0x7f800000));
    for (int b = 0; b < BLOCKS; ++b) {
      const vint x = block_x() + vint(b % COLUMNS * BLOCK_WIDTH);
      const vint y = block_y() + vint(b / COLUMNS * BLOCK_HEIGHT);
      const vmask inside = (x < vint(t.width)) & (y < vint(t.height));
      store(value + b * L, select(inside, vfloat((float)LOG2_ALPHA_MIN), never));
    }
    return t.width * t.height;
  }

  // Ends pixels of a block.
  SK_INLINE void close(int block, vmask pixels) {
    float *place = value + block * L;
    store(place, select(pixels, bitcast_float(vint(0x7f800000)), load(place)));
  }

  static SK_INLINE vint block_x() { return lane_ids() & vint(BLOCK_WIDTH - 1); }
  static SK_INLINE vint block_y() { return BLOCK_HEIGHT == 1 ? vint(0) : lane_ids() >> 3; }
};

// The blocks that a splat touches, in order, with the exponents and offsets of their pixels.
struct Touched {
  int count;
  uint8_t block[BLOCKS + 8];
  alignas(64) float exponent[BLOCKS * L];
  alignas(64) float dx[COLUMNS * L], dy[ROWS * L];
};

SK_INLINE int clamp_int(int x, int low, int high) { return x < low ? low : x > high ? high : x; }

SK_INLINE void find_touched(const PackedSplat &p, const TilePlace &t, const Cuts &cuts,
                            Touched &touched) {
  const int column_begin = clamp_int(p.x_first - t.x, 0, TILE_WIDTH - 1) / BLOCK_WIDTH;
  const int column_end = clamp_int(p.x_last - t.x, 0, TILE_WIDTH - 1) / BLOCK_WIDTH + 1;
  const int row_begin = clamp_int(p.y_first - t.y, 0, TILE_HEIGHT - 1) / BLOCK_HEIGHT;
  const int row_end = clamp_int(p.y_last - t.y, 0, TILE_HEIGHT - 1) / BLOCK_HEIGHT + 1;
  const vfloat x0 = to_float(Cuts::block_x()) + vfloat((float)t.x + 0.5f - p.x);
  const vfloat y0 = to_float(Cuts::block_y()) + vfloat((float)t.y + 0.5f - p.y);
  const FoldedConic<vfloat> conic = {p.log2_opacity, p.xx, p.xy, p.yy};
  ColumnExponent<vfloat> columns[COLUMNS];
  for (int c = column_begin; c < column_end; ++c) {
    const vfloat dx = x0 + vfloat((float)(c * BLOCK_WIDTH));
    store(touched.dx + c * L, dx);
    columns[c] = exponent_column(conic, dx);
  }
  int count = 0;
  for (int r = row_begin; r < row_end; ++r) {
    const vfloat dy = y0 + vfloat((float)(r * BLOCK_HEIGHT));
    store(touched.dy + r * L, dy);
    for (int c = column_begin; c < column_end; ++c) {
      const int block = r * COLUMNS + c;
      const vfloat e = exponent_at(conic, columns[c], dy);
      store(touched.exponent + count * L, e);
      touched.block[count] = (uint8_t)block;
      count += any(e >= load(cuts.value + block * L));
    }
  }
  touched.count = count;
}

}  // namespace SK_ISA
}  // namespace splatkit
