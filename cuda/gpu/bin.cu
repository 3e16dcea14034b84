// Records in order of depth to pairs of tile and splat, and where each tile's pairs begin.

#include "tiles.h"

namespace splatkit {
inline namespace SK_ISA {

// First and last pixel whose centre lies in low..high, clipped to 0..size-1; first > last: none.
struct PixelRange {
  int first, last;
};
SK_DEVICE PixelRange pixel_range(float low, float high, int size) {
  const float from = min(max(low - 0.5f, 0.0f), (float)size);
  const float to = min(max(high - 0.5f, -1.0f), (float)(size - 1));
  return {(int)::ceilf(from), (int)::floorf(to)};
}

// The ellipse a dx^2 + 2 b dx dy + c dy^2 <= reach in which alpha can reach ALPHA_MIN, and the
// tiles around it.
struct Footprint {
  float x, y, a, b, c, reach, extent_x, tip_y;
  int x_first, x_last, y_first, y_last;  // pixels; none where a first is behind its last
  int tile_base;                         // of the camera

  SK_DEVICE int first_row() const { return y_first / TILE_HEIGHT; }
  SK_DEVICE int rows() const {
    return x_first > x_last || y_first > y_last ? 0 : y_last / TILE_HEIGHT - first_row() + 1;
  }

  // Tile columns that the ellipse reaches in a row of tiles; their number may be 0.
  SK_DEVICE int columns(int row, int &first) const {
    const float low = (float)max(row * TILE_HEIGHT, y_first) + 0.5f - y;
    const float high = (float)min((row + 1) * TILE_HEIGHT - 1, y_last) + 0.5f - y;
    const float right = edge(max(low, min(high, tip_y)), tip_y, 1.0f);
    const float left = edge(max(low, min(high, -tip_y)), -tip_y, -1.0f);
    // The box has been cut to the image already.
    const int from = max(x_first, (int)::ceilf(max(x + left - 0.5f, 0.0f)));
    const int to = (int)::floorf(min(x + right - 0.5f, (float)x_last));
    first = from / TILE_WIDTH;
    return from > to ? 0 : to / TILE_WIDTH - first + 1;
  }

 private:
  // The outermost dx at height dy; `tip` is where the ellipse is widest.
  SK_DEVICE float edge(float dy, float tip, float side) const {
    if (dy == tip) return side * extent_x;
    const float root = sqrt(max(0.0f, b * b * dy * dy - a * (c * dy * dy - reach)));
    return (side * root - b * dy) / a + side * 1e-3f;
  }
};

SK_DEVICE Footprint footprint(const EmitParams &p, unsigned row) {
  const LoadedRecord r(p.records, row);
  const FoldedConic<float> &f = r.splat.conic;
  // A little more than exact, so that rounding never drops a pixel.
  const float extent_x = fma(r.extent_x, 1.0f + 1e-4f, 1e-3f);
  const float extent_y = fma(r.extent_y, 1.0f + 1e-4f, 1e-3f);
  const PixelRange across = pixel_range(r.splat.x - extent_x, r.splat.x + extent_x, p.width);
  const PixelRange down = pixel_range(r.splat.y - extent_y, r.splat.y + extent_y, p.height);
  const int camera = p.camera_ids ? p.camera_ids[row] : 0;
  return {r.splat.x,
          r.splat.y,
          -f.xx,
          -0.5f * f.xy,
          -f.yy,
          (f.log2_opacity - (float)LOG2_ALPHA_MIN) * 1.0002f,
          extent_x,
          0.5f * f.xy / -f.yy * extent_x,
          across.first,
          across.last,
          down.first,
          down.last,
          camera * p.tiles_x * p.tiles_y};
}

// Instances that one splat adds, written where there is room.
struct Writer {
  const EmitParams &p;
  unsigned row;

  SK_DEVICE void write(unsigned at, int tile) const {
    if (at >= (unsigned)p.instance_capacity) return;
    ((TileKey *)p.tile_keys)[at] = (TileKey)tile;
#if SK_DETERMINISTIC
    p.instance_rows[at] = row;
#else
    p.values[at] = row;
#endif
  }
};

}  // namespace SK_ISA

SK_GLOBAL(EMIT_THREADS) emit(const EmitParams p) {
  __shared__ unsigned warp_sums[WARP];
  __shared__ unsigned ticket, blocks_before;
  __shared__ Footprint shared_footprints[EMIT_THREADS];
  const int thread = threadIdx.x, lane = lane_id();
  if (thread == 0) ticket = atomicAdd(p.counters + COUNTER_TICKET_EMIT, 1u);
  __syncthreads();
  const unsigned records = p.counters[COUNTER_RECORDS];
  const unsigned block = ticket, place = block * EMIT_THREADS + thread;
  if (block * EMIT_THREADS >= records) return;
  const bool alive = place < records;
  const unsigned row = alive ? p.order[place] : 0;

  unsigned count = 0;
  int rows = 0;
  if (alive) {
    const Footprint f = footprint(p, row);
    shared_footprints[thread] = f;
    rows = f.rows();
    const int first_row = rows ? f.first_row() : 0;
    for (int i = 0; i < rows; ++i) {
      int first;
      count += f.columns(first_row + i, first);
    }
  }
  unsigned total;
  const unsigned in_block = block_sum_before<EMIT_THREADS>(count, warp_sums, total);
  if (warp_id() == 0) {
    const unsigned before = look_back(p.lookback, block, total);
    if (lane == 0) blocks_before = before;
  }
  __syncthreads();
  const unsigned start = blocks_before + in_block;
  const unsigned capacity = p.instance_capacity;
  if (place == records - 1) {
    p.counters[COUNTER_INSTANCES] = min(start + count, capacity);
    p.counters[COUNTER_INSTANCES_WANTED] = min(start + count, STATE_VALUE);
  }
#if SK_DETERMINISTIC
  if (alive) p.first_instance[place] = min(start, capacity);
  if (place == records - 1) p.first_instance[records] = min(start + count, capacity);
#endif

  // Small splats lane by lane, large ones by the whole warp.
  const bool large = count > WARP;
  if (count && !large) {
    const Footprint &f = shared_footprints[thread];
    const Writer out = {p, row};
    unsigned at = start;
    for (int i = 0; i < rows; ++i) {
      const int tile_row = f.first_row() + i;
      int first;
      const int columns = f.columns(tile_row, first);
      for (int c = 0; c < columns; ++c)
        out.write(at++, f.tile_base + tile_row * p.tiles_x + first + c);
    }
  }
  __syncwarp();
  for (unsigned rest = __ballot_sync(FULL_WARP, large); rest; rest &= rest - 1) {
    const int from = __ffs((int)rest) - 1;
    const Footprint &f = shared_footprints[(thread & ~(WARP - 1)) + from];
    const Writer out = {p, __shfl_sync(FULL_WARP, row, from)};
    unsigned at = __shfl_sync(FULL_WARP, start, from);
    const int first_row = f.first_row(), end_row = first_row + f.rows();
    for (int base = first_row; base < end_row; base += WARP) {
      int first = 0;
      const int columns = base + lane < end_row ? f.columns(base + lane, first) : 0;
      for (int i = 0; i < WARP && base + i < end_row; ++i) {
        const int n = __shfl_sync(FULL_WARP, columns, i);
        const int tile = f.tile_base + (base + i) * p.tiles_x + __shfl_sync(FULL_WARP, first, i);
        for (int c = lane; c < n; c += WARP) out.write(at + c, tile + c);
        at += n;
      }
    }
  }
}

SK_GLOBAL(EMIT_THREADS) tile_ranges(const RangesParams p) {
  const int tile = blockIdx.x * EMIT_THREADS + threadIdx.x;
  if (tile > p.tiles) return;
  const TileKey *keys = (const TileKey *)p.tile_keys;
  unsigned low = 0, high = p.counters[COUNTER_INSTANCES];
  while (low < high) {
    const unsigned middle = low + (high - low) / 2;
    if ((int)keys[middle] < tile)
      low = middle + 1;
    else
      high = middle;
  }
  p.tile_begin[tile] = low;
}

}  // namespace splatkit
