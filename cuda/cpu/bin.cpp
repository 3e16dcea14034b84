// Splats into tiles: depth sort, exact coverage, counting sort. All orders are total (depth, then
// row), so neither threads nor pieces change the result.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>

#include "blend.h"
#include "splatkit/screen.h"
#include "thread_pool.h"

namespace splatkit {
namespace {

constexpr int DIGIT_BITS = 11, DIGITS = 1 << DIGIT_BITS;

// An integer that sorts like the depth, negative ones included.
uint32_t sort_key(float depth) {
  uint32_t raw;
  std::memcpy(&raw, &depth, sizeof raw);
  return raw ^ (raw >> 31 ? 0xffffffffu : 0x80000000u);
}

int pieces_for(int64_t count) {
  return (int)std::max<int64_t>(1, std::min<int64_t>(num_threads(), count / 2048));
}

// Calls f(piece, begin, end) for `pieces` nearly equal parts of 0..count.
template <class F>
void for_pieces(int pieces, int64_t count, F &&f) {
  parallel_for(pieces, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) f((int)i, count * i / pieces, count * (i + 1) / pieces);
  });
}

// Rows first..first+count in order of depth, ties by row, into bins.order: a radix sort.
void sort_by_depth(const float *records, int64_t first, int64_t count, Bins &bins) {
  uint64_t *from = bins.keys.resize(count), *to = bins.keys_swap.resize(count);
  const int pieces = pieces_for(count);
  bins.histograms.resize((size_t)pieces * DIGITS);
  for_pieces(pieces, count, [&](int, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      from[i] =
          (uint64_t)sort_key(records[RECORD_SIZE * (first + i) + RECORD_DEPTH]) << 32 | (uint64_t)i;
  });
  for (int shift = 32; shift < 64; shift += DIGIT_BITS) {
    for_pieces(pieces, count, [&](int piece, int64_t begin, int64_t end) {
      int32_t *histogram = &bins.histograms[(size_t)piece * DIGITS];
      std::fill_n(histogram, DIGITS, 0);
      for (int64_t i = begin; i < end; ++i) ++histogram[from[i] >> shift & (DIGITS - 1)];
    });
    int32_t total = 0;
    for (int digit = 0; digit < DIGITS; ++digit)
      for (int piece = 0; piece < pieces; ++piece) {
        int32_t &place = bins.histograms[(size_t)piece * DIGITS + digit];
        const int32_t n = place;
        place = total;
        total += n;
      }
    for_pieces(pieces, count, [&](int piece, int64_t begin, int64_t end) {
      int32_t *place = &bins.histograms[(size_t)piece * DIGITS];
      for (int64_t i = begin; i < end; ++i) to[place[from[i] >> shift & (DIGITS - 1)]++] = from[i];
    });
    std::swap(from, to);
  }
  int32_t *order = bins.order.resize(count);
  for_pieces(pieces, count, [&](int, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) order[i] = (int32_t)(first + (uint32_t)from[i]);
  });
}

// First and last pixel whose centre lies in low..high, clipped to 0..size-1; first > last: none.
void pixel_range(float low, float high, int size, int &first, int &last) {
  const float from = std::min(std::max(low - 0.5f, 0.0f), (float)size);
  const float to = std::min(std::max(high - 0.5f, -1.0f), (float)(size - 1));
  // Rounded up and down; conversion to int cuts towards 0.
  first = (int)from;
  first += (float)first < from;
  last = (int)to;
  last -= (float)last > to;
}

// The ellipse a dx^2 + 2 b dx dy + c dy^2 <= reach in which alpha can reach ALPHA_MIN.
struct Ellipse {
  float a, b, c, reach;
  float extent_x, tip_y;  // rightmost point; the leftmost is opposite

  explicit Ellipse(const PackedSplat &p)
      : a(-p.xx),
        b(-0.5f * p.xy),
        c(-p.yy),
        // A little more than exact, so that rounding never drops a pixel.
        reach((p.log2_opacity - (float)LOG2_ALPHA_MIN) * 1.0002f),
        extent_x(p.extent_x),
        tip_y(-b / c * extent_x) {}

  // Smallest and largest dx of the points with low <= dy <= high.
  void span(float low, float high, float &left, float &right) const {
    right = edge(std::min(std::max(tip_y, low), high), tip_y, 1.0f);
    left = edge(std::min(std::max(-tip_y, low), high), -tip_y, -1.0f);
  }

 private:
  float edge(float dy, float tip, float side) const {
    if (dy == tip) return side * extent_x;
    const float root = std::sqrt(std::max(0.0f, b * b * dy * dy - a * (c * dy * dy - reach)));
    return (side * root - b * dy) / a + side * 1e-3f;
  }
};

// Pairs of tile and splat in the order of splats, grown as needed.
struct EntryList {
  std::vector<int32_t> &memory;
  int64_t used = 0;

  // Room for `count` more pairs.
  int32_t *reserve(int64_t count) {
    const size_t needed = (size_t)(used + 2 * count);
    if (memory.size() < needed) memory.resize(needed + needed / 2 + 4096);
    return memory.data() + used;
  }
};

// Lists the tiles that splats begin..end reach; returns the number of pairs.
int64_t list_tiles(Bins &bins, int camera, int64_t begin, int64_t end, std::vector<int32_t> &memory,
                   int32_t *histogram) {
  EntryList list = {memory};
  const int32_t first_tile = camera * bins.tiles_x * bins.tiles_y;
  for (int64_t i = begin; i < end; ++i) {
    PackedSplat &p = bins.packed[i];
    p.first_instance = (int32_t)(list.used / 2);
    if (p.x_first > p.x_last || p.y_first > p.y_last) continue;
    const int tx0 = p.x_first / TILE_WIDTH, tx1 = p.x_last / TILE_WIDTH;
    const int ty0 = p.y_first / TILE_HEIGHT, ty1 = p.y_last / TILE_HEIGHT;
    int32_t *out = list.reserve((int64_t)(tx1 - tx0 + 1) * (ty1 - ty0 + 1)), *const start = out;
    const auto emit = [&](int tx, int ty) {
      const int32_t tile = first_tile + ty * bins.tiles_x + tx;
      *out++ = tile;
      *out++ = (int32_t)i;
      ++histogram[tile];
    };
    if (tx0 == tx1) {
      for (int ty = ty0; ty <= ty1; ++ty) emit(tx0, ty);
    } else if (ty0 == ty1) {
      for (int tx = tx0; tx <= tx1; ++tx) emit(tx, ty0);
    } else {
      const Ellipse ellipse(p);
      for (int ty = ty0; ty <= ty1; ++ty) {
        const int y_first = std::max(ty * TILE_HEIGHT, (int)p.y_first);
        const int y_last = std::min((ty + 1) * TILE_HEIGHT - 1, (int)p.y_last);
        float left, right;
        ellipse.span((float)y_first + 0.5f - p.y, (float)y_last + 0.5f - p.y, left, right);
        int x_first, x_last;
        pixel_range(p.x + left, p.x + right, bins.width, x_first, x_last);
        x_first = std::max(x_first, (int)p.x_first);
        x_last = std::min(x_last, (int)p.x_last);
        if (x_first > x_last) continue;
        for (int tx = x_first / TILE_WIDTH; tx <= x_last / TILE_WIDTH; ++tx) emit(tx, ty);
      }
    }
    list.used += out - start;
  }
  return list.used / 2;
}

}  // namespace

void bin(const BlendArguments<float> &a, Bins &bins) {
  bins.cameras = a.cameras;
  bins.width = a.width;
  bins.height = a.height;
  bins.tiles_x = (a.width + TILE_WIDTH - 1) / TILE_WIDTH;
  bins.tiles_y = (a.height + TILE_HEIGHT - 1) / TILE_HEIGHT;
  bins.splats = a.rows;
  const int64_t tiles = bins.tiles();
  bins.packed.resize(a.rows);
  bins.tile_begin.assign(tiles + 1, 0);
  bins.camera_begin.assign(a.cameras + 1, 0);

  // Pieces of all cameras, in order; each lists its entries by itself.
  struct Piece {
    int64_t begin, end, pairs;
  };
  const auto pack = SK_BEST(pack_splats);
  std::vector<Piece> pieces;
  std::vector<int32_t> counts;
  for (int camera = 0; camera < a.cameras; ++camera) {
    const auto range = std::equal_range(a.camera_ids, a.camera_ids + a.rows, camera);
    const int64_t first = range.first - a.camera_ids, count = range.second - range.first;
    bins.camera_begin[camera] = first;
    bins.camera_begin[camera + 1] = first + count;
    sort_by_depth(a.records, first, count, bins);
    const int parts = pieces_for(count);
    const size_t base = pieces.size();
    pieces.resize(base + parts);
    if (bins.pieces.size() < base + parts) bins.pieces.resize(base + parts);
    counts.resize((base + parts) * tiles, 0);
    for_pieces(parts, count, [&](int part, int64_t begin, int64_t end) {
      pieces[base + part] = {first + begin, first + end, 0};
      pack(a, bins.order.data(), begin, end, bins.packed.data() + first);
      pieces[base + part].pairs =
          list_tiles(bins, camera, first + begin, first + end, bins.pieces[base + part],
                     &counts[(base + part) * tiles]);
    });
  }

  // Counts become places: tile by tile, within a tile piece by piece.
  const int64_t parts = (int64_t)pieces.size();
  int64_t total = 0;
  for (int64_t tile = 0; tile < tiles; ++tile) {
    bins.tile_begin[tile] = total;
    for (int64_t part = 0; part < parts; ++part) {
      int32_t &place = counts[part * tiles + tile];
      const int32_t n = place;
      place = (int32_t)total;
      total += n;
    }
  }
  if (total > INT32_MAX)
    throw std::length_error("more than 2^31 pairs of splat and tile; draw fewer cameras at once");
  bins.tile_begin[tiles] = total;
  bins.instances = total;
  bins.entries.resize(total);
  bins.places.resize(total);
  std::vector<int32_t> first_instance(parts + 1, 0);
  for (int64_t part = 0; part < parts; ++part)
    first_instance[part + 1] = first_instance[part] + (int32_t)pieces[part].pairs;
  parallel_for(parts, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t part = begin; part < end; ++part) {
      int32_t *place = &counts[part * tiles];
      int32_t instance = first_instance[part];
      const int32_t *pair = bins.pieces[part].data();
      for (int64_t k = 0; k < pieces[part].pairs; ++k, pair += 2) {
        const int32_t entry = place[pair[0]]++;
        bins.entries[entry] = pair[1];
        bins.places[instance++] = entry;
      }
      for (int64_t i = pieces[part].begin; i < pieces[part].end; ++i)
        bins.packed[i].first_instance += first_instance[part];
    }
  });

  bins.schedule.resize(tiles);
  for (int64_t tile = 0; tile < tiles; ++tile) bins.schedule[tile] = (int32_t)tile;
  std::sort(bins.schedule.begin(), bins.schedule.end(), [&](int32_t left, int32_t right) {
    const int64_t l = bins.tile_begin[left + 1] - bins.tile_begin[left];
    const int64_t r = bins.tile_begin[right + 1] - bins.tile_begin[right];
    return l != r ? l > r : left < right;
  });
}

}  // namespace splatkit
