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
  first = 0;
  last = -1;
  if (!(low <= high)) return;
  const float top = (float)(size - 1);
  first = (int)std::ceil(std::min(std::max(low - 0.5f, 0.0f), top + 1.0f));
  last = (int)std::floor(std::min(std::max(high - 0.5f, -1.0f), top));
}

// The ellipse in which alpha can reach ALPHA_MIN, relative to its centre.
struct Ellipse {
  float a, b, c;          // conic
  float reach;            // a dx^2 + 2 b dx dy + c dy^2 inside it
  float extent_x, tip_y;  // rightmost point; the leftmost is opposite

  // Smallest and largest dx of the points with low <= dy <= high.
  void span(float low, float high, float &left, float &right) const {
    right = edge(std::min(std::max(tip_y, low), high), tip_y, 1.0f);
    left = edge(std::min(std::max(-tip_y, low), high), -tip_y, -1.0f);
  }

 private:
  float edge(float dy, float tip, float side) const {
    if (dy == tip) return side * extent_x;
    const float root = std::sqrt(std::max(0.0f, b * b * dy * dy - a * (c * dy * dy - reach)));
    return (side * root - b * dy) / a;
  }
};

// A little more than exact, so that rounding never drops a pixel.
constexpr float SLACK = 1.0f + 1e-4f, SLACK_PIXELS = 1e-3f;

// Packs splats begin..end of the depth order and lists the tiles that each reaches. Entries are
// pairs: tile, splat.
void pack(const BlendArguments<float> &a, Bins &bins, int camera, int64_t first, int64_t begin,
          int64_t end, std::vector<int32_t> &entries, int32_t *histogram) {
  for (int64_t i = begin; i < end; ++i) {
    if (i + 16 < end) {
#if defined(__GNUC__)
      __builtin_prefetch(a.records + (int64_t)RECORD_SIZE * bins.order[i + 16]);
#endif
    }
    const int32_t row = bins.order[i];
    const float *r = a.records + (int64_t)RECORD_SIZE * row;
    const float opacity = r[RECORD_OPACITY];
    PackedSplat &p = bins.packed[first + i];
    const FoldedConic<float> f = fold_conic(r + RECORD_CONIC, opacity);
    p = {r[0],
         r[1],
         f.log2_opacity,
         f.xx,
         f.xy,
         f.yy,
         {r[6], r[7], r[8]},
         r[9],
         0,
         0,
         0,
         0,
         row,
         a.gaussian_ids[row],
         (int32_t)entries.size() / 2,
         0};
    const float extent_x = r[10] * SLACK + SLACK_PIXELS, extent_y = r[11] * SLACK + SLACK_PIXELS;
    int x_first, x_last, y_first, y_last;
    pixel_range(p.x - extent_x, p.x + extent_x, a.width, x_first, x_last);
    pixel_range(p.y - extent_y, p.y + extent_y, a.height, y_first, y_last);
    if (!(opacity >= (float)ALPHA_MIN) || x_first > x_last || y_first > y_last) {
      p.x_first = p.y_first = 1;
      continue;
    }
    p.x_first = (uint16_t)x_first;
    p.x_last = (uint16_t)x_last;
    p.y_first = (uint16_t)y_first;
    p.y_last = (uint16_t)y_last;
    const int tx0 = x_first / TILE_WIDTH, tx1 = x_last / TILE_WIDTH;
    const int ty0 = y_first / TILE_HEIGHT, ty1 = y_last / TILE_HEIGHT;
    const auto emit = [&](int tx, int ty) {
      const int32_t tile = (camera * bins.tiles_y + ty) * bins.tiles_x + tx;
      entries.push_back(tile);
      entries.push_back((int32_t)(first + i));
      ++histogram[tile];
    };
    if (tx0 == tx1) {
      for (int ty = ty0; ty <= ty1; ++ty) emit(tx0, ty);
      continue;
    }
    const float reach = 2.0f * std::log(opacity / (float)ALPHA_MIN) * SLACK * SLACK;
    const Ellipse ellipse = {r[2], r[3], r[4], reach, extent_x, -r[3] / r[4] * extent_x};
    for (int ty = ty0; ty <= ty1; ++ty) {
      float left, right;
      const float low = std::max((float)(ty * TILE_HEIGHT) + 0.5f - p.y, -extent_y);
      const float high = std::min((float)((ty + 1) * TILE_HEIGHT) - 0.5f - p.y, extent_y);
      ellipse.span(low, high, left, right);
      int span_first, span_last;
      pixel_range(p.x + left - SLACK_PIXELS, p.x + right + SLACK_PIXELS, a.width, span_first,
                  span_last);
      span_first = std::max(span_first, x_first);
      span_last = std::min(span_last, x_last);
      if (span_first > span_last) continue;
      for (int tx = span_first / TILE_WIDTH; tx <= span_last / TILE_WIDTH; ++tx) emit(tx, ty);
    }
  }
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
    int64_t begin, end;
  };
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
      pieces[base + part] = {first + begin, first + end};
      bins.pieces[base + part].clear();
      pack(a, bins, camera, first, begin, end, bins.pieces[base + part],
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
  std::vector<int32_t> first_instance(parts + 1, 0);
  for (int64_t part = 0; part < parts; ++part)
    first_instance[part + 1] = first_instance[part] + (int32_t)bins.pieces[part].size() / 2;
  parallel_for(parts, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t part = begin; part < end; ++part) {
      int32_t *place = &counts[part * tiles];
      int32_t instance = first_instance[part];
      const std::vector<int32_t> &list = bins.pieces[part];
      for (size_t i = 0; i < list.size(); i += 2)
        bins.entries[place[list[i]]++] = {list[i + 1], instance++};
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
