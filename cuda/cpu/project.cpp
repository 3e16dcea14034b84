// Blocks of splats, vfloat::size at a time.

#include "project.h"

#include "degree.h"
#include "simd.h"
#include "splatkit/screen.h"
#include "splatkit/sh.h"

namespace splatkit {
inline namespace SK_ISA {
namespace {

constexpr int L = vfloat::size;
constexpr int MAX_COEFFICIENTS = (3 * sh_count(4) + L - 1) / L * L;

using Options = ScreenOptions<float, Pinhole<float>>;

Options screen_options(const ProjectArguments<float> &a, int camera) {
  return {make_view(a.viewmats + 16 * camera),
          Pinhole<float>::make(a.Ks + 9 * camera, a.offset_x, a.offset_y, a.frame,
                               (float)FRUSTUM_MARGIN),
          (float)a.width,
          (float)a.height,
          a.eps2d,
          a.near,
          a.antialiased};
}

// Lane l of columns[c] is rows[ids[l] * size + c]; lanes from n on repeat lane 0.
template <int size>
SK_INLINE void load_columns(const float *rows, const int64_t *ids, int n, vfloat *columns) {
  alignas(64) float lanes[size][L];
  for (int l = 0; l < L; ++l) {
    const float *row = rows + ids[l < n ? l : 0] * size;
    for (int c = 0; c < size; ++c) lanes[c][l] = row[c];
  }
  for (int c = 0; c < size; ++c) columns[c] = load(lanes[c]);
}

SK_INLINE void load_gaussians(const ProjectArguments<float> &a, const int64_t *ids, int n,
                              RawGaussian<vfloat> &g) {
  load_columns<3>(a.means, ids, n, g.mean);
  load_columns<4>(a.quats, ids, n, g.quat);
  load_columns<3>(a.log_scales, ids, n, g.log_scale);
  load_columns<1>(a.logit_opacities, ids, n, &g.logit_opacity);
}

// The first `count` floats of long rows as columns, by square transpositions.
SK_INLINE void load_wide(const float *rows, int64_t stride, int count, const int64_t *ids, int n,
                         vfloat *columns) {
  for (int c = 0; c < count; c += L) {
    const vmask lanes = first_lanes(count - c < L ? count - c : L);
    for (int l = 0; l < L; ++l)
      columns[c + l] = load(rows + ids[l < n ? l : 0] * stride + c, lanes);
    transpose(columns + c);
  }
}

// Adds columns to the first `count` floats of long rows; destroys the columns.
SK_INLINE void add_wide(float *rows, int64_t stride, int count, const int64_t *ids, int n,
                        vfloat *columns) {
  for (int c = 0; c < count; c += L) {
    const vmask lanes = first_lanes(count - c < L ? count - c : L);
    transpose(columns + c);
    for (int l = 0; l < n; ++l) {
      float *place = rows + ids[l] * stride + c;
      store(place, load(place, lanes) + columns[c + l], lanes);
    }
  }
}

template <int size>
SK_INLINE void add_columns(float *rows, const int64_t *ids, int n, const vfloat *columns) {
  if (!rows) return;
  alignas(64) float lanes[size][L];
  for (int c = 0; c < size; ++c) store(lanes[c], columns[c]);
  for (int l = 0; l < n; ++l)
    for (int c = 0; c < size; ++c) rows[ids[l] * size + c] += lanes[c][l];
}

// Appends the records of the lanes in `visible`. A row may be written RECORD_SLACK floats too
// far: the next row comes behind it.
SK_INLINE int64_t append(const vfloat *record, uint32_t visible, int64_t first, float *records,
                         int32_t *ids, int64_t count) {
  constexpr int padded = (RECORD_SIZE + L - 1) / L * L;
  vfloat rows[padded];
  for (int c = 0; c < padded; ++c) rows[c] = record[c < RECORD_SIZE ? c : 0];
  for (int c = 0; c < padded; c += L) transpose(rows + c);
  for (int l = 0; l < L; ++l) {
    if (!(visible >> l & 1)) continue;
    for (int c = 0; c < padded; c += L) store(records + RECORD_SIZE * count + c, rows[c + l]);
    ids[count++] = (int32_t)(first + l);
  }
  return count;
}

// Colours of the records first..first+n; the lanes whose colour is finite.
template <int degree>
SK_INLINE uint32_t color_rows(const ProjectArguments<float> &a, const Options &options, int n,
                              const int32_t *gaussians, float *records) {
  int64_t ids[L];
  for (int l = 0; l < L; ++l) ids[l] = gaussians[l < n ? l : 0];
  vfloat mean[3], direction[3], sh[MAX_COEFFICIENTS], color[3];
  load_columns<3>(a.means, ids, n, mean);
  load_wide(a.sh, 3 * a.harmonics, 3 * sh_count(degree), ids, n, sh);
  splat_direction(options.view, mean, direction);
  sh_color<degree>(direction, sh, color);
  alignas(64) float lanes[3][L];
  for (int c = 0; c < 3; ++c) store(lanes[c], max(color[c], vfloat(0.0f)));
  for (int l = 0; l < n; ++l)
    for (int c = 0; c < 3; ++c) records[RECORD_SIZE * l + RECORD_COLOR + c] = lanes[c][l];
  return bits(finite(color[0] + color[1] + color[2]) & first_lanes(n));
}

template <int degree>
int64_t color_block(const ProjectArguments<float> &a, const Options &options, int64_t count,
                    float *records, int32_t *ids) {
  int64_t kept = 0;
  for (int64_t first = 0; first < count; first += L) {
    const int n = (int)(count - first < L ? count - first : L);
    float *rows = records + RECORD_SIZE * first;
    const uint32_t good = color_rows<degree>(a, options, n, ids + first, rows);
    if (good == (1u << n) - 1u && kept == first) {
      kept += n;
      continue;
    }
    for (int l = 0; l < n; ++l) {
      if (!(good >> l & 1)) continue;
      std::memmove(records + RECORD_SIZE * kept, rows + RECORD_SIZE * l,
                   RECORD_SIZE * sizeof(float));
      ids[kept++] = ids[first + l];
    }
  }
  return kept;
}

template <int degree>
SK_INLINE void project_adj_rows(const ProjectArguments<float> &a,
                                const ProjectGradients<float> &out, const Options &options,
                                int64_t row, int n, ViewGradient<vfloat> &v_view) {
  constexpr int coefficients = 3 * sh_count(degree);
  int64_t ids[L], rows[L];
  for (int l = 0; l < L; ++l) {
    rows[l] = row + l;
    ids[l] = out.gaussian_ids[row + (l < n ? l : 0)];
  }
  RawGaussian<vfloat> g, v_g = {};
  vfloat v_record[(RECORD_SIZE + L - 1) / L * L], sh[MAX_COEFFICIENTS];
  load_gaussians(a, ids, n, g);
  load_wide(out.v_records, RECORD_SIZE, RECORD_SIZE, rows, n, v_record);
  load_wide(a.sh, 3 * a.harmonics, coefficients, ids, n, sh);
  // Idle lanes carry no gradient, so that sums over lanes may include them.
  for (int c = 0; c < RECORD_SIZE; ++c)
    v_record[c] = select(first_lanes(n), v_record[c], vfloat(0.0f));
  vfloat direction[3], v_direction[3] = {0.0f, 0.0f, 0.0f}, v_sh[MAX_COEFFICIENTS];
  for (vfloat &v : v_sh) v = vfloat(0.0f);
  for (vfloat &v : v_g.mean) v = vfloat(0.0f);
  for (vfloat &v : v_g.quat) v = vfloat(0.0f);
  for (vfloat &v : v_g.log_scale) v = vfloat(0.0f);
  v_g.logit_opacity = vfloat(0.0f);
  const vfloat inverse = splat_direction(options.view, g.mean, direction);
  sh_color_adj<degree>(direction, sh, v_record + RECORD_COLOR, v_sh, v_direction);
  splat_direction_adj(direction, inverse, v_direction, v_g.mean, v_view);
  project_splat_adj(g, options, v_record, v_g, v_view);
  add_columns<3>(out.v_means, ids, n, v_g.mean);
  add_columns<4>(out.v_quats, ids, n, v_g.quat);
  add_columns<3>(out.v_log_scales, ids, n, v_g.log_scale);
  add_columns<1>(out.v_logit_opacities, ids, n, &v_g.logit_opacity);
  if (out.v_sh) add_wide(out.v_sh, 3 * a.harmonics, coefficients, ids, n, v_sh);
}

}  // namespace

void project_block(const ProjectArguments<float> &a, int camera, int64_t begin, int64_t end,
                   float *records, int32_t *ids, int64_t *count) {
  const Options options = screen_options(a, camera);
  int64_t found = 0;
  for (int64_t i = begin; i < end; i += L) {
    const int n = (int)(end - i < L ? end - i : L);
    int64_t lanes[L];
    for (int l = 0; l < L; ++l) lanes[l] = i + l;
    RawGaussian<vfloat> g;
    load_gaussians(a, lanes, n, g);
    vfloat record[RECORD_SIZE];
    record[6] = record[7] = record[8] = vfloat(0.0f);
    const uint32_t visible = bits(project_splat(g, options, record) & first_lanes(n));
    if (visible) found = append(record, visible, i, records, ids, found);
  }
  with_degree(a.sh_degree, [&](auto degree) {
    *count = color_block<decltype(degree)::value>(a, options, found, records, ids);
  });
}

void project_adj_block(const ProjectArguments<float> &a, const ProjectGradients<float> &out,
                       int camera, int64_t begin, int64_t end, double *view_sums) {
  const Options options = screen_options(a, camera);
  ViewGradient<vfloat> v_view;
  v_view.each([](vfloat &value) { value = vfloat(0.0f); });
  with_degree(a.sh_degree, [&](auto degree) {
    for (int64_t row = begin; row < end; row += L)
      project_adj_rows<decltype(degree)::value>(a, out, options, row,
                                                (int)(end - row < L ? end - row : L), v_view);
  });
  v_view.each([&](vfloat value) { *view_sums++ = hsum(value); });
}

}  // namespace SK_ISA
}  // namespace splatkit
