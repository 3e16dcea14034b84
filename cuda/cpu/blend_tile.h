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

// Pairs whose alphas are computed in step: what one waits for, others fill.
constexpr int UNROLL = 4;
// How many entries ahead splats are fetched into the cache.
constexpr int PREFETCH = 12;

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
    int column = 0;
    for (; (column + 1) * BLOCK_WIDTH <= t.width; ++column)
      for (int x = 0; x < BLOCK_WIDTH; ++x)
        f(row + column * L + x, line + column * BLOCK_WIDTH + x);
    for (int x = column * BLOCK_WIDTH; x < t.width; ++x)
      f(row + column * L + x % BLOCK_WIDTH, line + x);
  }
}

// The pixels of a tile: where they are, and which still take part.
struct TilePixels {
  // Transmittance in front of the next splat, negative where a pixel has ended.
  alignas(64) float transmittance[BLOCKS * L];
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
      store(transmittance + b * L, vfloat(1.0f));
      store(cut + b * L, select(inside, vfloat((float)LOG2_ALPHA_MIN), never()));
    }
  }

  // From the splat's centre to the pixels of a block.
  SK_INLINE vfloat dx(const PackedSplat &p, unsigned block) const {
    return load(x + block % COLUMNS * L) - vfloat(p.x);
  }
  SK_INLINE vfloat dy(const PackedSplat &p, unsigned block) const {
    return load(y + block / COLUMNS * L) - vfloat(p.y);
  }

  // Transmittance of a block, see above.
  SK_INLINE vfloat through(unsigned block) const { return load(transmittance + block * L); }
  SK_INLINE void keep(unsigned block, vfloat through) { store(transmittance + block * L, through); }

  // Lets light through a splat; returns the transmittance in front of it. Where it would end a
  // pixel, or the pixel had ended, the splat is not blended: alpha becomes 0.
  SK_INLINE vfloat pass(unsigned block, vfloat &through, vfloat &alpha) {
    const vfloat before = through;
    const vmask open_before = before > vfloat(0.0f);
    alpha = select(open_before, alpha, vfloat(0.0f));
    through = before * (vfloat(1.0f) - alpha);
    const vmask ends = (through <= vfloat((float)TRANSMITTANCE_MIN)) & open_before;
    if (any(ends)) {
      open -= popcount(bits(ends));
      store(cut + block * L, select(ends, never(), load(cut + block * L)));
      alpha = select(ends, vfloat(0.0f), alpha);
      through = select(ends, -before, through);
    }
    return before;
  }

  static SK_INLINE vfloat never() { return bitcast_float(vint(0x7f800000)); }
};

// Of a batch whose pairs are gone through in the order of splats.
constexpr int FEW_SPLATS = 32, FEW_ITEMS = 64;

// Consecutive splats of a tile, at most SPLATS, and all (splat, block) pairs of theirs with a pixel
// in it that the splat may be blended on: first listed by boxes, then thinned out by evaluate().
// Listed at once, before any is blended: the processor then runs through long plain lists rather
// than through short loops of unforeseeable length. It is full with ENOUGH_ITEMS pairs; those of
// one splat more may be in it.
template <int SPLATS, int ENOUGH_ITEMS>
struct Batch {
  static constexpr int MAX_ITEMS = ENOUGH_ITEMS + BLOCKS;
  int count;  // splats
  const PackedSplat *splat[SPLATS];
  int32_t id[SPLATS];  // of each splat in Bins::packed
  int items;           // pairs
  // splat << 8 | block, by splats; behind the last pair a splat that does not exist.
  int32_t list[MAX_ITEMS + 2 * L + UNROLL];
  // What alpha would be but for the clamp, 0 where the splat is skipped.
  alignas(64) float raw[(MAX_ITEMS + UNROLL) * L];

  SK_INLINE void fill(const Bins &bins, const TilePlace &t, int64_t begin) {
    items = 0;
    for (count = 0; count < SPLATS && items <= ENOUGH_ITEMS && begin + count < t.end; ++count) {
      const int64_t i = begin + count;
      if (i + PREFETCH < t.end) prefetch(&bins.packed[bins.entries[i + PREFETCH]]);
      id[count] = bins.entries[i];
      const PackedSplat &p = bins.packed[id[count]];
      splat[count] = &p;
      items += list_blocks(p, t, count << 8, list + items);
    }
  }

  // Computes alpha for all pairs, and forgets those that are skipped on all pixels. Pairs do not
  // depend on each other, so several are on their way at once.
  SK_INLINE void evaluate(const TilePixels &pixels) {
    for (int u = 0; u < UNROLL; ++u) list[items + u] = 0;
    unsigned kept = 0;
    for (int i = 0; i < items; i += UNROLL) {
      vfloat e[UNROLL], value[UNROLL];
      vmask blended[UNROLL];
      int32_t item[UNROLL];
      for (int u = 0; u < UNROLL; ++u) {
        item[u] = list[i + u];
        const PackedSplat &p = *splat[(uint32_t)item[u] >> 8];
        const unsigned block = item[u] & 0xff;
        const FoldedConic<vfloat> conic = {p.log2_opacity, p.xx, p.xy, p.yy};
        e[u] = exponent_at(conic, exponent_column(conic, pixels.dx(p, block)), pixels.dy(p, block));
        blended[u] = e[u] >= load(pixels.cut + block * L);
      }
      exp2_small(e, value);
      for (int u = 0; u < UNROLL; ++u) {
        store(raw + kept * L, select(blended[u], value[u], vfloat(0.0f)));
        list[kept] = item[u];
        kept += any(blended[u]) & (i + u < items);
      }
    }
    items = (int)kept;
    list[items] = SPLATS << 8;
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
