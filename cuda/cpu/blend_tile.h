// What blending a tile forward and backward share: blocks of pixels, and lists of the blocks that
// splats may touch. Included by kernel sources only.
#pragma once

#include "blend.h"
#include "simd.h"
#include "splatkit/blend.h"

namespace splatkit {
inline namespace SK_ISA {

constexpr int L = vfloat::size;
// A vector is a block of 4x4, 4x2 or 2x2 pixels: the squarer, the fewer lanes are wasted.
constexpr int BLOCK_WIDTH = L < 8 ? 2 : 4, BLOCK_HEIGHT = L / BLOCK_WIDTH;
constexpr int COLUMNS = TILE_WIDTH / BLOCK_WIDTH, ROWS = TILE_HEIGHT / BLOCK_HEIGHT;
constexpr int BLOCKS = COLUMNS * ROWS;
static_assert(BLOCK_WIDTH * COLUMNS == TILE_WIDTH && BLOCK_HEIGHT * ROWS == TILE_HEIGHT);
static_assert(BLOCKS <= 256);

// Splats whose blocks are listed at once, before any of them is blended: the processor then runs
// through long plain lists rather than through short loops of unforeseeable length.
constexpr int BATCH = 32;
// How many entries ahead splats are fetched into the cache.
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

// The pixels of a tile: where they are, and which still take part.
struct TilePixels {
  // Pixel centres by column and row of blocks.
  alignas(64) float x[COLUMNS * L], y[ROWS * L];
  // Exponent below which a splat is skipped: the cut-off, or infinity where a pixel has ended or
  // lies outside the image, so that one comparison tells all.
  alignas(64) float cut[BLOCKS * L];
  int open;  // pixels that take part

  SK_INLINE explicit TilePixels(const TilePlace &t) : open(t.width * t.height) {
    const vint lane_x = lane_ids() & vint(BLOCK_WIDTH - 1);
    const vint lane_y = lane_ids() >> (BLOCK_WIDTH == 4 ? 2 : 1);
    for (int c = 0; c < COLUMNS; ++c)
      store(x + c * L, to_float(lane_x + vint(t.x + c * BLOCK_WIDTH)) + vfloat(0.5f));
    for (int r = 0; r < ROWS; ++r)
      store(y + r * L, to_float(lane_y + vint(t.y + r * BLOCK_HEIGHT)) + vfloat(0.5f));
    for (int b = 0; b < BLOCKS; ++b) {
      const vmask inside = (lane_x + vint(b % COLUMNS * BLOCK_WIDTH) < vint(t.width)) &
                           (lane_y + vint(b / COLUMNS * BLOCK_HEIGHT) < vint(t.height));
      store(cut + b * L, select(inside, vfloat((float)LOG2_ALPHA_MIN), never()));
    }
  }

  // Ends pixels of a block.
  SK_INLINE void close(int block, vmask pixels) {
    open -= popcount(bits(pixels));
    store(cut + block * L, select(pixels, never(), load(cut + block * L)));
  }

  static SK_INLINE vfloat never() { return bitcast_float(vint(0x7f800000)); }
};

// A splat at the pixels of a block.
struct BlockAlpha {
  vfloat dx, dy;  // from its centre
  vfloat raw;     // alpha before the clamp; meaningless where the splat is skipped
  vfloat alpha;   // 0 where the splat is skipped
};

SK_INLINE BlockAlpha block_alpha(const PackedSplat &p, const TilePixels &pixels, int block) {
  BlockAlpha a;
  a.dx = load(pixels.x + block % COLUMNS * L) - vfloat(p.x);
  a.dy = load(pixels.y + block / COLUMNS * L) - vfloat(p.y);
  const FoldedConic<vfloat> conic = {p.log2_opacity, p.xx, p.xy, p.yy};
  const vfloat e = exponent_at(conic, exponent_column(conic, a.dx), a.dy);
  a.raw = exp2_small(e);
  a.alpha =
      select(e >= load(pixels.cut + block * L), min(a.raw, vfloat((float)ALPHA_MAX)), vfloat(0.0f));
  return a;
}

// Transmittance behind a splat. Where it would end a pixel, the pixel is closed and the splat not
// blended there.
SK_INLINE vfloat pass_through(TilePixels &pixels, int block, vfloat before, vfloat &alpha) {
  vfloat after = before * (vfloat(1.0f) - alpha);
  // Open pixels stay above the minimum, so only those that end now are at or below it.
  const vmask ends = after <= vfloat((float)TRANSMITTANCE_MIN);
  if (any(ends)) {
    pixels.close(block, ends);
    alpha = select(ends, vfloat(0.0f), alpha);
    after = select(ends, before, after);
  }
  return after;
}

// A few consecutive splats of a tile and the blocks in the boxes around them.
struct Batch {
  int count;
  const PackedSplat *splat[BATCH];
  int32_t id[BATCH];                     // of each splat in Bins::packed
  int32_t end[BATCH];                    // of each splat's part of the list
  int32_t list[BATCH * BLOCKS + 2 * L];  // splat << 8 | block

  SK_INLINE void fill(const Bins &bins, const TilePlace &t, int64_t begin) {
    count = (int)(t.end - begin < BATCH ? t.end - begin : BATCH);
    int items = 0;
    for (int k = 0; k < count; ++k) {
      const int64_t i = begin + k;
      if (i + PREFETCH < t.end) prefetch(&bins.packed[bins.entries[i + PREFETCH]]);
      id[k] = bins.entries[i];
      const PackedSplat &p = bins.packed[id[k]];
      splat[k] = &p;
      items += list_blocks(p, t, k << 8, list + items);
      end[k] = items;
    }
  }

 private:
  static SK_INLINE int clamp(int x, int high) { return x < 0 ? 0 : x > high ? high : x; }

  // Lists the blocks by rows; may write up to a vector beyond the end.
  static SK_INLINE int list_blocks(const PackedSplat &p, const TilePlace &t, int base,
                                   int32_t *out) {
    const int column = clamp(p.x_first - t.x, TILE_WIDTH - 1) / BLOCK_WIDTH;
    const int width = clamp(p.x_last - t.x, TILE_WIDTH - 1) / BLOCK_WIDTH - column + 1;
    const int row_begin = clamp(p.y_first - t.y, TILE_HEIGHT - 1) / BLOCK_HEIGHT;
    const int row_end = clamp(p.y_last - t.y, TILE_HEIGHT - 1) / BLOCK_HEIGHT + 1;
    int items = 0;
    for (int r = row_begin; r < row_end; ++r) {
      const vint ids = lane_ids() + vint(base + r * COLUMNS + column);
      for (int c = 0; c < COLUMNS; c += L)
        if (c == 0 || c < width) store(out + items + c, ids + vint(c));
      items += width;
    }
    return items;
  }
};

}  // namespace SK_ISA
}  // namespace splatkit
