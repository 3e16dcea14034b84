// Tiles of pixels, and which of them a splat can reach.
//
// A tile consists of sub-tiles of 8x4 pixels, one a lane, numbered down its columns; a pixel's
// place in the tile's arrays is 32 * sub-tile + lane.
#pragma once

#include "gpu.h"
#include "record.h"

#ifndef SK_TILE_WIDTH
#define SK_TILE_WIDTH 16
#endif
#ifndef SK_TILE_HEIGHT
#define SK_TILE_HEIGHT 16
#endif
#ifndef SK_KEY_BITS
#define SK_KEY_BITS 32
#endif
#ifndef SK_DETERMINISTIC
#define SK_DETERMINISTIC 0
#endif

namespace splatkit {
inline namespace SK_ISA {

constexpr int TILE_WIDTH = SK_TILE_WIDTH, TILE_HEIGHT = SK_TILE_HEIGHT;
constexpr int TILE_PIXELS = TILE_WIDTH * TILE_HEIGHT;
constexpr int SUB_WIDTH = 8, SUB_HEIGHT = 4;
constexpr int SUB_ROWS = TILE_HEIGHT / SUB_HEIGHT;
static_assert(TILE_WIDTH % SUB_WIDTH == 0 && TILE_HEIGHT % SUB_HEIGHT == 0);

#if SK_KEY_BITS == 16
using TileKey = unsigned short;
#else
using TileKey = unsigned;
#endif

SK_DEVICE int sub_tile_x(int sub) { return sub / SUB_ROWS * SUB_WIDTH; }
SK_DEVICE int sub_tile_y(int sub) { return sub % SUB_ROWS * SUB_HEIGHT; }
SK_DEVICE int lane_x(int lane) { return lane & (SUB_WIDTH - 1); }
SK_DEVICE int lane_y(int lane) { return lane / SUB_WIDTH; }

// The largest exponent of a splat over a rectangle of points, given relative to its centre. The
// exponent falls along every ray from the centre, so if that is outside, the largest value is on an
// edge that faces it; along an edge it is a parabola.
SK_DEVICE float largest_exponent(const FoldedConic<float> &f, float left, float right, float top,
                                 float bottom) {
  const float dx = max(left, min(right, 0.0f)), dy = max(top, min(bottom, 0.0f));
  if (dx == 0.0f && dy == 0.0f) return f.log2_opacity;
  float largest = -1e30f;
  if (dx != 0.0f) {
    const float y = max(top, min(bottom, f.xy * dx * (-0.5f * reciprocal_fast(f.yy))));
    largest = exponent_at(f, exponent_column(f, dx), y);
  }
  if (dy != 0.0f) {
    const float x = max(left, min(right, f.xy * dy * (-0.5f * reciprocal_fast(f.xx))));
    largest = max(largest, exponent_at(f, exponent_column(f, x), dy));
  }
  return largest;
}

// Whether a splat can reach the cut-off at a pixel of the sub-tile whose first pixel's centre lies
// at x, y; a little more than exact, so that rounding drops no pixel. Forward and backward ask the
// same question and get the same answer.
SK_DEVICE bool reaches(const Splat &s, float x, float y) {
  const float left = x - s.x, top = y - s.y;
  return largest_exponent(s.conic, left, left + (float)(SUB_WIDTH - 1), top,
                          top + (float)(SUB_HEIGHT - 1)) >= (float)LOG2_ALPHA_MIN - 2e-3f;
}

}  // namespace SK_ISA
}  // namespace splatkit
