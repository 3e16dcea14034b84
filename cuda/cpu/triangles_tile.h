// One tile of triangles, forward and backward, for a vector type W of scalars S.
#pragma once

#include "splatkit/triangle.h"
#include "thread_pool.h"
#include "triangles.h"
#if defined(SK_ISA)
#include "simd.h"
#endif

namespace splatkit {
inline namespace SK_ISA {

inline int smaller(int a, int b) { return a < b ? a : b; }
inline int larger(int a, int b) { return a > b ? a : b; }

// What a W is to its scalars: count, place of each from the first, store, mask as bits.
template <class W>
struct Lanes;
template <>
struct Lanes<double> {
  static constexpr int count = 1;
  static double offsets() { return 0.0; }
  static void put(double *p, double value) { *p = value; }
  static unsigned mask(bool covered) { return covered; }
};
#if defined(SK_ISA)
template <>
struct Lanes<vfloat> {
  static constexpr int count = vfloat::size;
  static SK_INLINE vfloat offsets() { return to_float(lane_ids()); }
  static SK_INLINE void put(float *p, vfloat value) { store(p, value); }
  static SK_INLINE unsigned mask(vmask covered) { return bits(covered); }
};
#endif

template <class S>
struct Fragment {
  S z, alpha, window;
  S lambda[3];
  S before;       // transmittance in front of it, once the pixel is blended
  int32_t entry;  // of the tile
  int32_t pixel;  // of the tile
};

template <class S>
struct FragmentRow {
  S z[TRIANGLE_TILE], alpha[TRIANGLE_TILE], window[TRIANGLE_TILE];
  S lambda[3][TRIANGLE_TILE];
};

// The part of a tile that lies on the image, and its entries.
struct TileArea {
  int x, y, width, height;
  int64_t begin, end;
};
template <class S>
TileArea tile_area(const TrianglePass<S> &pass, int tile) {
  const int x = tile % pass.tiles_x * TRIANGLE_TILE, y = tile / pass.tiles_x * TRIANGLE_TILE;
  return {x,
          y,
          smaller(TRIANGLE_TILE, pass.arguments->width - x),
          smaller(TRIANGLE_TILE, pass.arguments->height - y),
          pass.tile_begin[tile],
          pass.tile_begin[tile + 1]};
}

// Pixels of the tile that a face can cover, counted from the tile's first.
struct Window {
  int x_first, x_last, y_first, y_last;
};
template <class S>
Window window_of(const ScreenTriangle<S> &t, const TileArea &area) {
  return {larger(t.x_first - area.x, 0), smaller(t.x_last - area.x, area.width - 1),
          larger(t.y_first - area.y, 0), smaller(t.y_last - area.y, area.height - 1)};
}

// Which pixels first..last of a row are covered, one bit each, and what is seen there.
template <class W, class S>
unsigned evaluate_row(const TriangleArguments<S> &a, const ScreenTriangle<S> &t, const S *opacity,
                      int x, int y, int first, int last, FragmentRow<S> &row) {
  constexpr int L = Lanes<W>::count;
  const W dy = W((S)(y - t.y_first) + (S)0.5);
  unsigned covered = 0;
  for (int i = first / L * L; i <= last; i += L) {
    const W dx = W((S)(x + i - t.x_first) + (S)0.5) + Lanes<W>::offsets();
    const TrianglePoint<W> at = triangle_point<W>(t.planes, dx, dy);
    const W smallest = min(min(at.lambda[0], at.lambda[1]), at.lambda[2]);
    auto seen = (at.z > W(a.near)) & finite(at.z);
    if (opacity) {
      const W window = triangle_window(W((S)3) * smallest, W(a.softness));
      const W alpha = window * fma(at.lambda[0], W(opacity[0]),
                                   fma(at.lambda[1], W(opacity[1]), at.lambda[2] * W(opacity[2])));
      seen = seen & (smallest > W((S)0)) & (alpha >= W((S)TRIANGLE_ALPHA_MIN));
      Lanes<W>::put(row.window + i, window);
      Lanes<W>::put(row.alpha + i, alpha);
    } else {
      seen = seen & (smallest >= W((S)-TRIANGLE_SLACK));
    }
    Lanes<W>::put(row.z + i, at.z);
    for (int k = 0; k < 3; ++k) Lanes<W>::put(row.lambda[k] + i, at.lambda[k]);
    covered |= Lanes<W>::mask(seen) << i;
  }
  return covered & ((2u << last) - (1u << first));
}

// Calls f(entry, pixel, row, column) for every covered pixel of every entry of the tile.
template <class W, class S, class F>
void each_fragment(const TrianglePass<S> &pass, const TileArea &area, F &&f) {
  const TriangleArguments<S> &a = *pass.arguments;
  alignas(64) FragmentRow<S> row;
  for (int64_t entry = area.begin; entry < area.end; ++entry) {
    const int32_t face = pass.entries[entry];
    const ScreenTriangle<S> &t = pass.faces[face];
    S opacity[3] = {};
    if (a.soft)
      for (int k = 0; k < 3; ++k) opacity[k] = a.opacities[a.faces[3 * (int64_t)face + k]];
    const Window w = window_of(t, area);
    for (int y = w.y_first; y <= w.y_last; ++y) {
      unsigned covered = evaluate_row<W>(a, t, a.soft ? opacity : nullptr, area.x, area.y + y,
                                         w.x_first, w.x_last, row);
      for (int x = w.x_first; covered >> x; ++x)
        if (covered >> x & 1) f((int32_t)(entry - area.begin), y * TRIANGLE_TILE + x, row, x);
    }
  }
}

template <class S>
struct Fragments {
  Fragment<S> *list;
  int32_t *order;                      // places in `list`, pixel after pixel, front to back
  int32_t begin[TRIANGLE_PIXELS + 1];  // in `order`
};

// The fragments of a tile; of solid triangles the nearest one of each pixel.
template <class W, class S>
void collect(const TrianglePass<S> &pass, const TileArea &area, Fragments<S> &out) {
  const bool solid = !pass.arguments->soft;
  int64_t room = solid ? TRIANGLE_PIXELS : 0;
  for (int64_t entry = area.begin; !solid && entry < area.end; ++entry) {
    const Window w = window_of(pass.faces[pass.entries[entry]], area);
    room += (int64_t)(w.x_last - w.x_first + 1) * (w.y_last - w.y_first + 1);
  }
  const int64_t bytes = room * (int64_t)(sizeof(Fragment<S>) + sizeof(int32_t));
  out.list = reinterpret_cast<Fragment<S> *>(thread_scratch(bytes / 4 + 16));
  out.order = reinterpret_cast<int32_t *>(out.list + room);
  int32_t used = 0, counts[TRIANGLE_PIXELS] = {};
  if (solid) {
    // counts holds one more than the place of each pixel's nearest fragment.
    each_fragment<W>(pass, area, [&](int32_t entry, int pixel, const FragmentRow<S> &row, int x) {
      int32_t &place = counts[pixel];
      if (place && !(row.z[x] < out.list[place - 1].z)) return;
      if (!place) place = ++used;
      out.list[place - 1] = {
          row.z[x], (S)1,  (S)1, {row.lambda[0][x], row.lambda[1][x], row.lambda[2][x]},
          (S)1,     entry, pixel};
    });
    int32_t place = 0;
    for (int pixel = 0; pixel < TRIANGLE_PIXELS; ++pixel) {
      out.begin[pixel] = place;
      if (counts[pixel]) out.order[place++] = counts[pixel] - 1;
    }
    out.begin[TRIANGLE_PIXELS] = place;
    return;
  }
  each_fragment<W>(pass, area, [&](int32_t entry, int pixel, const FragmentRow<S> &row, int x) {
    out.list[used++] = {row.z[x],      row.alpha[x],
                        row.window[x], {row.lambda[0][x], row.lambda[1][x], row.lambda[2][x]},
                        (S)1,          entry,
                        pixel};
    ++counts[pixel];
  });
  int32_t total = 0;
  for (int pixel = 0; pixel < TRIANGLE_PIXELS; ++pixel) {
    out.begin[pixel] = total;
    total += counts[pixel];
    counts[pixel] = out.begin[pixel];
  }
  out.begin[TRIANGLE_PIXELS] = total;
  for (int32_t i = 0; i < used; ++i) {
    // By depth, equal ones in the order of faces: inserted into what the pixel has so far.
    const int32_t begin = out.begin[out.list[i].pixel];
    int32_t place = counts[out.list[i].pixel]++;
    for (; place > begin && out.list[out.order[place - 1]].z > out.list[i].z; --place)
      out.order[place] = out.order[place - 1];
    out.order[place] = i;
  }
}

// Gives the fragments of a pixel their transmittances, front to back; returns how many are blended,
// and what shines through all of them.
template <class S>
int blend_pixel(const Fragments<S> &fragments, int pixel, S &transmittance) {
  transmittance = (S)1;
  int32_t i = fragments.begin[pixel];
  for (; i < fragments.begin[pixel + 1] && transmittance > (S)TRIANGLE_TRANSMITTANCE_MIN; ++i) {
    Fragment<S> &fragment = fragments.list[fragments.order[i]];
    fragment.before = transmittance;
    transmittance *= (S)1 - fragment.alpha;
  }
  return i - fragments.begin[pixel];
}

template <class W, class S>
void triangle_tile_of(const TrianglePass<S> &pass, int tile) {
  const TriangleArguments<S> &a = *pass.arguments;
  const TileArea area = tile_area(pass, tile);
  const int D = a.num_channels(), F = a.num_attributes;
  TriangleStatistics<S> *statistics = pass.statistics ? pass.statistics + area.begin : nullptr;
  if (statistics)
    for (int64_t i = 0; i < area.end - area.begin; ++i) statistics[i] = {};
  Fragments<S> fragments;
  collect<W>(pass, area, fragments);
  for (int y = 0; y < area.height; ++y)
    for (int x = 0; x < area.width; ++x) {
      const int64_t place = ((int64_t)pass.camera * a.height + area.y + y) * a.width + area.x + x;
      S *out = a.channels + place * D, transmittance, most = (S)0;
      for (int d = 0; d < D; ++d) out[d] = (S)0;
      int32_t id = -1;
      const int pixel = y * TRIANGLE_TILE + x;
      const int blended = blend_pixel(fragments, pixel, transmittance);
      for (int i = 0; i < blended; ++i) {
        const Fragment<S> &fragment = fragments.list[fragments.order[fragments.begin[pixel] + i]];
        const S weight = fragment.before * fragment.alpha;
        const int64_t face = pass.entries[area.begin + fragment.entry];
        for (int k = 0; k < 3; ++k) {
          const S share = weight * fragment.lambda[k];
          const S *values = a.attributes + (int64_t)F * a.faces[3 * face + k];
          for (int f = 0; f < F; ++f) out[f] += share * values[f];
        }
        out[F] += weight * fragment.z;
        if (a.with_normals)
          for (int k = 0; k < 3; ++k)
            out[F + 1 + k] += weight * pass.faces[face].facing * a.normals[3 * face + k];
        if (weight > most) {
          most = weight;
          id = (int32_t)face;
        }
        if (statistics) {
          TriangleStatistics<S> &s = statistics[fragment.entry];
          s.weight_sum += weight;
          s.weight_max = max(s.weight_max, weight);
          ++s.count;
        }
      }
      a.alpha[place] = (S)1 - transmittance;
      a.ids[place] = id;
    }
}

// Adds what one fragment contributes to its slot. `v` is the gradient of the pixel's channels, and
// `v_alpha` that of the fragment's own alpha.
template <class S>
void fragment_adj(const TriangleArguments<S> &a, const ScreenTriangle<S> &t, int64_t face, int x,
                  int y, const Fragment<S> &fragment, S weight, const S *v, S v_alpha, S *slot) {
  const int F = a.num_attributes;
  const int32_t *corners = a.faces + 3 * face;
  S v_lambda[3];
  for (int k = 0; k < 3; ++k) {
    const S *values = a.attributes + (int64_t)F * corners[k], share = weight * fragment.lambda[k];
    S *v_values = slot + SLOT_ATTRIBUTES + F * k, sum = (S)0;
    for (int f = 0; f < F; ++f) {
      sum += v[f] * values[f];
      v_values[f] += share * v[f];
    }
    v_lambda[k] = weight * sum;
  }
  if (a.with_normals)
    for (int k = 0; k < 3; ++k) slot[SLOT_NORMAL + k] += weight * t.facing * v[F + 1 + k];
  if (a.soft) {
    const S *lambda = fragment.lambda;
    S opacity = (S)0;
    for (int k = 0; k < 3; ++k) opacity += lambda[k] * a.opacities[corners[k]];
    for (int k = 0; k < 3; ++k) {
      const S share = v_alpha * fragment.window;
      slot[SLOT_OPACITIES + k] += share * lambda[k];
      v_lambda[k] += share * a.opacities[corners[k]];
    }
    const int k =
        lambda[1] < lambda[0] ? (lambda[2] < lambda[1] ? 2 : 1) : (lambda[2] < lambda[0] ? 2 : 0);
    v_lambda[k] += triangle_window_adj(lambda[k], fragment.window, a.softness, v_alpha * opacity);
  }
  const TrianglePoint<S> at = {{fragment.lambda[0], fragment.lambda[1], fragment.lambda[2]},
                               fragment.z};
  triangle_point_adj(at, (S)(x - t.x_first) + (S)0.5, (S)(y - t.y_first) + (S)0.5, v_lambda,
                     weight * v[F], slot + SLOT_PLANES);
}

template <class W, class S>
void triangle_tile_adj_of(const TrianglePass<S> &pass, int tile) {
  const TriangleArguments<S> &a = *pass.arguments;
  const TileArea area = tile_area(pass, tile);
  const int D = a.num_channels(), F = a.num_attributes, size = triangle_slot_size(F);
  S *slots = pass.slots + area.begin * size;
  for (int64_t i = 0; i < (area.end - area.begin) * size; ++i) slots[i] = (S)0;
  Fragments<S> fragments;
  collect<W>(pass, area, fragments);
  for (int y = 0; y < area.height; ++y)
    for (int x = 0; x < area.width; ++x) {
      const int pixel = y * TRIANGLE_TILE + x;
      const int64_t place = ((int64_t)pass.camera * a.height + area.y + y) * a.width + area.x + x;
      const S *v = pass.gradients->v_channels + place * D;
      S transmittance;
      // What a fragment's colour, and its alpha, would add if it were all that is seen.
      const auto worth = [&](const Fragment<S> &fragment) {
        const int64_t face = pass.entries[area.begin + fragment.entry];
        S sum = pass.gradients->v_alpha[place] + v[F] * fragment.z;
        for (int k = 0; k < 3; ++k) {
          const S *values = a.attributes + (int64_t)F * a.faces[3 * face + k];
          for (int f = 0; f < F; ++f) sum += fragment.lambda[k] * v[f] * values[f];
          if (a.with_normals)
            sum += v[F + 1 + k] * pass.faces[face].facing * a.normals[3 * face + k];
        }
        return sum;
      };
      const int blended = blend_pixel(fragments, pixel, transmittance);
      // Back to front: `behind` is what all further fragments add, were this one not there.
      S behind = (S)0;
      for (int i = blended; i-- > 0;) {
        const Fragment<S> &fragment = fragments.list[fragments.order[fragments.begin[pixel] + i]];
        const S own = worth(fragment);
        const int64_t face = pass.entries[area.begin + fragment.entry];
        fragment_adj(a, pass.faces[face], face, area.x + x, area.y + y, fragment,
                     fragment.before * fragment.alpha, v, fragment.before * (own - behind),
                     slots + (int64_t)fragment.entry * size);
        behind = fragment.alpha * own + ((S)1 - fragment.alpha) * behind;
      }
    }
}

}  // namespace SK_ISA
}  // namespace splatkit
