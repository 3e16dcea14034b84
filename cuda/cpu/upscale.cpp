// Rows of a large image by Hermite interpolation of a small one, and their mixing with the past.
//
// A row is interpolated downward first, over the small image's width, then along itself.

#include "upscale.h"

#include "simd.h"
#include "splatkit/upscale.h"

namespace splatkit {
inline namespace SK_ISA {
namespace {

constexpr int L = vfloat::size;

// Of L pixels, between which samples they lie.
struct VCells {
  vint first;
  vfloat t;
};
SK_INLINE VCells cells_at(vfloat place, int samples) {
  const vfloat first = min(floor(max(place, vfloat(0.0f))), vfloat((float)(samples - 2)));
  return {to_int(first), place - first};
}
SK_INLINE vfloat places_of(int pixel, float step, float origin) {
  return fma(to_float(lane_ids() + vint(pixel)) + vfloat(0.5f), vfloat(step), vfloat(-origin));
}

// Between which samples the floats of every row lie: of each, that of the left one and the place.
struct Columns {
  int32_t *first;
  float *t;
};
SK_INLINE Columns make_columns(const HermiteArguments &a, float *scratch) {
  const int floats = (3 * a.width + L - 1) / L * L;
  const Columns columns = {(int32_t *)scratch, scratch + floats};
  for (int j = 0; j < floats; ++j) {
    const int x = j / 3 < a.width ? j / 3 : a.width - 1;
    const Cell cell = cell_at(place_of(x, a.grid.step, a.grid.origin_x), a.grid.width);
    columns.first[j] = 3 * cell.first + j % 3;
    columns.t[j] = cell.t;
  }
  return columns;
}
// With small pixels no further apart, the samples of 16 floats are 15 floats or fewer apart, and
// one load with a permutation does for a gather.
constexpr float NEAR_STEP = 0.79f;

// One row of the large image into `out`.
void hermite_row(const HermiteArguments &a, const Columns &columns, int y, float *scratch,
                 float *out) {
  const SmallGrid &g = a.grid;
  const int floats = 3 * g.width, pitch = floats + 64;
  float *value = scratch + 16, *slope = value + pitch, *down = slope + pitch;
  const Cell cell = cell_at(place_of(y, g.step, g.origin_y), g.height);
  const Hermite<float> h = hermite(cell.t);
  const int64_t row0 = (int64_t)cell.first * floats, row1 = row0 + floats;
  for (int j = 0; j < floats; j += L) {
    const int64_t n = floats - j;
    const vfloat bend = fma(load_first(a.dy + row0 + j, n), vfloat(h.slope0),
                            load_first(a.dy + row1 + j, n) * vfloat(h.slope1));
    store(down + j, bend);
    store(value + j, fma(load_first(a.rgb + row0 + j, n), vfloat(h.value0),
                         fma(load_first(a.rgb + row1 + j, n), vfloat(h.value1), bend)));
  }
  for (int c = 0; c < 3; ++c) {
    down[c - 3] = down[c];
    down[floats + c] = down[floats - 3 + c];
  }
  // The mixed derivative is the slope along the row of what bends downward.
  for (int j = 0; j < floats; j += L) {
    const int64_t n = floats - j;
    const vfloat mixed = (load(down + j + 3) - load(down + j - 3)) * vfloat(0.5f);
    store(slope + j, fma(load_first(a.dx + row0 + j, n), vfloat(h.value0),
                         fma(load_first(a.dx + row1 + j, n), vfloat(h.value1), mixed)));
  }
  const bool near = L == 16 && g.step <= NEAR_STEP;
  for (int j = 0; j < 3 * a.width; j += L) {
    const vint first = load(columns.first + j);
    const Hermite<vfloat> w = hermite(load(columns.t + j));
    vfloat value0, value1, slope0, slope1;
    if (near) {
      const int base = columns.first[j] - j % 3;
      const vint place = first - vint(base);
      value0 = permute(load(value + base), place);
      value1 = permute(load(value + base + 3), place);
      slope0 = permute(load(slope + base), place);
      slope1 = permute(load(slope + base + 3), place);
    } else {
      value0 = gather(value, first);
      value1 = gather(value + 3, first);
      slope0 = gather(slope, first);
      slope1 = gather(slope + 3, first);
    }
    vfloat sum = fma(value1, w.value1, value0 * w.value0);
    sum = fma(slope1, w.slope1, fma(slope0, w.slope0, sum));
    store_first(out + j, sum, 3 * (int64_t)a.width - j);
  }
}

// Bilinear weights of four samples, and where the first of them lies.
struct Bilinear {
  vint place;
  vfloat w00, w01, w10, w11;
};
SK_INLINE Bilinear bilinear_at(const VCells &x, const VCells &y, int pitch) {
  const vfloat one(1.0f), sx = one - x.t, sy = one - y.t;
  return {y.first * vint(pitch) + x.first, sx * sy, x.t * sy, sx * y.t, x.t * y.t};
}
// One of `channels` interleaved values of each sample.
SK_INLINE vfloat sample(const float *image, const Bilinear &b, int pitch, int channels = 1) {
  const vint place = b.place * vint(channels);
  const float *below = image + pitch * channels;
  vfloat sum = gather(image, place) * b.w00;
  sum = fma(gather(image + channels, place), b.w01, sum);
  sum = fma(gather(below, place), b.w10, sum);
  return fma(gather(below + channels, place), b.w11, sum);
}

// The past of L pixels: colours and weight, 0 where it is none of theirs.
struct Past {
  vfloat color[3], weight;
};

SK_INLINE Past past_in_motion(const HistoryArguments &a, int x, int y, vfloat inverse_depth,
                              vfloat alpha, vmask lanes) {
  const HermiteArguments &now = a.now;
  const float *m = a.motion;
  const vfloat px = to_float(lane_ids() + vint(x)) + vfloat(0.5f), py((float)y + 0.5f);
  const vfloat ratio = reciprocal(moved(m + 8, px, py, inverse_depth));
  const vfloat past_x = moved(m, px, py, inverse_depth) * ratio;
  const vfloat past_y = moved(m + 4, px, py, inverse_depth) * ratio;
  const vfloat past_inverse = inverse_depth * ratio;
  vmask valid = lanes & (ratio > vfloat(0.0f)) & (past_x >= vfloat(0.5f)) &
                (past_x <= vfloat((float)now.width - 0.5f)) & (past_y >= vfloat(0.5f)) &
                (past_y <= vfloat((float)now.height - 0.5f));
  Past past;
  past.weight = vfloat(0.0f);
  for (vfloat &color : past.color) color = vfloat(0.0f);
  if (none(valid)) return past;
  const vfloat safe_x = select(valid, past_x, vfloat(0.5f));
  const vfloat safe_y = select(valid, past_y, vfloat(0.5f));
  const SmallGrid &g = a.past_grid;
  const Bilinear small =
      bilinear_at(cells_at(fma(safe_x, vfloat(g.step), vfloat(-g.origin_x)), g.width),
                  cells_at(fma(safe_y, vfloat(g.step), vfloat(-g.origin_y)), g.height), g.width);
  valid = valid & same_surface(sample(a.past_inverse_depth, small, g.width), past_inverse,
                               sample(a.past_alpha, small, g.width), alpha);
  if (none(valid)) return past;
  const VCells cx = cells_at(safe_x - vfloat(0.5f), now.width);
  const VCells cy = cells_at(safe_y - vfloat(0.5f), now.height);
  vfloat wx[4], wy[4];
  catmull_rom(cx.t, wx);
  catmull_rom(cy.t, wy);
  for (int j = 0; j < 4; ++j) {
    const vint row =
        min(max(cy.first + vint(j - 1), vint(0)), vint(now.height - 1)) * vint(now.width);
    for (int i = 0; i < 4; ++i) {
      const vint column = min(max(cx.first + vint(i - 1), vint(0)), vint(now.width - 1));
      const vint place = (row + column) * vint(3);
      const vfloat weight = wx[i] * wy[j];
      for (int c = 0; c < 3; ++c)
        past.color[c] = fma(gather(a.past_rgb + c, place), weight, past.color[c]);
    }
  }
  const vfloat weight =
      sample(a.past_weight, bilinear_at(cx, cy, now.width), now.width) * vfloat(a.decay);
  past.weight = select(valid, min(weight, vfloat(a.most_weight)), vfloat(0.0f));
  return past;
}

}  // namespace

void hermite_rows(const HermiteArguments &a, int begin, int end, float *scratch) {
  const Columns columns = make_columns(a, scratch);
  float *rest = scratch + columns_scratch(a.width);
  for (int y = begin; y < end; ++y)
    hermite_row(a, columns, y, rest, a.out + 3 * (int64_t)y * a.width);
}

void history_rows(const HistoryArguments &a, int begin, int end, float *scratch) {
  const HermiteArguments &now = a.now;
  const SmallGrid &g = now.grid;
  const Columns columns = make_columns(now, scratch);
  float *rest = scratch + columns_scratch(now.width);
  for (int y = begin; y < end; ++y) {
    const int64_t line = (int64_t)y * now.width;
    float *out = now.out + 3 * line;
    hermite_row(now, columns, y, rest, out);
    const vfloat place_y(place_of(y, g.step, g.origin_y));
    const VCells cy = cells_at(place_y, g.height);
    const vfloat off_y = to_nearest(cy.t);
    for (int x = 0; x < now.width; x += L) {
      const int n = now.width - x < L ? now.width - x : L;
      const vmask lanes = first_lanes(n);
      const VCells cx = cells_at(places_of(x, g.step, g.origin_x), g.width);
      const vfloat off_x = to_nearest(cx.t);
      const vfloat own = sample_weight(fma(off_x, off_x, off_y * off_y));
      const vint place = (lane_ids() + vint(x)) * vint(3);
      vfloat color[3];
      for (int c = 0; c < 3; ++c) color[c] = gather(out + c, place, lanes);
      Past past;
      past.weight = vfloat(0.0f);
      if (a.past_rgb && a.resting) {
        past.weight = load(a.past_weight + line + x, lanes);
        for (int c = 0; c < 3; ++c) past.color[c] = gather(a.past_rgb + 3 * line + c, place, lanes);
      } else if (a.past_rgb) {
        const Bilinear small = bilinear_at(cx, cy, g.width);
        past = past_in_motion(a, x, y, sample(a.inverse_depth, small, g.width),
                              sample(a.alpha, small, g.width), lanes);
        vfloat square(0.0f), detail(0.0f);
        for (int c = 0; c < 3; ++c) {
          const vfloat difference = past.color[c] - color[c];
          square = fma(difference, difference, square);
          const vfloat bent = color[c] - sample(now.rgb + c, small, g.width, 3);
          detail = fma(bent, bent, detail);
        }
        past.weight = weight_followed(past.weight, square, detail, a.color_tolerance);
      }
      const vfloat total = own + past.weight;
      store(a.weight + line + x, total, lanes);
      if (!a.past_rgb) continue;
      const vfloat share = past.weight / total;
      alignas(64) float planes[3][L];
      for (int c = 0; c < 3; ++c) store(planes[c], fma(past.color[c] - color[c], share, color[c]));
      for (int i = 0; i < n; ++i)
        for (int c = 0; c < 3; ++c) out[3 * (x + i) + c] = planes[c][i];
    }
  }
}

}  // namespace SK_ISA
}  // namespace splatkit
