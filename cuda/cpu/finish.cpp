// Adjoint of projection, harmonics and activations, then Adam: one pass over the Gaussians.
//
// A block of Gaussians is visited twice while it is in cache. First come its records, camera by
// camera, in vectors of records: what they say is added up in scratch memory. Then every value of
// the block moves, in vectors along the tensors; what nobody saw moves with gradient zero.

#include "finish.h"

#include "finish_layout.h"
#include "simd.h"
#include "splatkit/adam.h"
#include "splatkit/camera.h"
#include "splatkit/screen.h"
#include "splatkit/sh.h"

namespace splatkit {
inline namespace SK_ISA {
namespace {

constexpr int L = vfloat::size;
using Options = ScreenOptions<float, Pinhole<float>>;

// Columns of L rows: out[j] holds value j of each row, j below `columns` rounded up to L.
SK_INLINE void load_columns(const float *const rows[L], int columns, vfloat *out) {
  for (int j = 0; j < columns; j += L) {
    for (int i = 0; i < L; ++i) out[j + i] = load_first(rows[i] + j, columns - j);
    transpose(out + j);
  }
}

// Records first..first+n-1 of one camera, n at most L; their factors go to rows row...
template <int degree>
SK_INLINE void gather_records(const FinishJob &job, const Options &options, int64_t first, int n,
                              int64_t begin, int row, const FinishLayout &layout,
                              int32_t *camera_rows) {
  // Lanes beyond n repeat the last record, and are not stored.
  int32_t ids[L];
  const float *record_rows[L], *v_record_rows[L], *sh_rows[L];
  for (int i = 0; i < L; ++i) {
    const int64_t r = first + (i < n ? i : n - 1);
    ids[i] = job.gaussian_ids[r];
    record_rows[i] = job.records + r * RECORD_SIZE;
    v_record_rows[i] = job.v_records + r * RECORD_SIZE;
    sh_rows[i] = job.value[SH] + (int64_t)ids[i] * job.num_bases * 3;
  }
  constexpr int COLUMNS = (RECORD_SIZE + L - 1) / L * L;
  vfloat record[COLUMNS], v_record[COLUMNS];
  load_columns(record_rows, RECORD_SIZE, record);
  load_columns(v_record_rows, RECORD_SIZE, v_record);

  const vint id = load(ids);
  RawGaussian<vfloat> g, v_g;
  for (int k = 0; k < 3; ++k) {
    g.mean[k] = gather(job.value[MEANS] + k, id * vint(3));
    g.log_scale[k] = gather(job.value[LOG_SCALES] + k, id * vint(3));
    v_g.mean[k] = v_g.log_scale[k] = vfloat(0.0f);
  }
  for (int k = 0; k < 4; ++k) {
    g.quat[k] = gather(job.value[QUATS] + k, id * vint(4));
    v_g.quat[k] = vfloat(0.0f);
  }
  g.logit_opacity = gather(job.value[LOGIT_OPACITIES], id);
  v_g.logit_opacity = vfloat(0.0f);
  ViewGradient<vfloat> v_view = {};  // cameras stay where they are: never read
  project_splat_adj(g, options, v_record, v_g, v_view);

  // Colour: the factors of its harmonics' gradient, and what the direction moves.
  constexpr int BASES = (sh_count(degree) + L - 1) / L * L;
  vfloat direction[3], v_color[3], basis[BASES];
  const vfloat inverse = splat_direction(options.view, g.mean, direction);
  for (int c = 0; c < 3; ++c)
    v_color[c] =
        select(record[RECORD_COLOR + c] > vfloat(0.0f), v_record[RECORD_COLOR + c], vfloat(0.0f));
  sh_basis<degree>(direction[0], direction[1], direction[2], basis);
  if constexpr (degree > 0) {
    vfloat sh[(3 * sh_count(degree) + L - 1) / L * L], v_basis[sh_count(degree)];
    vfloat v_direction[3] = {vfloat(0.0f), vfloat(0.0f), vfloat(0.0f)};
    load_columns(sh_rows, 3 * sh_count(degree), sh);
    for (int k = 0; k < sh_count(degree); ++k) v_basis[k] = dot3(v_color, sh + 3 * k);
    sh_basis_adj<degree>(direction[0], direction[1], direction[2], v_basis, v_direction);
    splat_direction_adj(direction, inverse, v_direction, v_g.mean, v_view);
  }
  for (int k = sh_count(degree); k < BASES; ++k) basis[k] = vfloat(0.0f);
  for (int k = 0; k < BASES; k += L) {
    transpose(basis + k);
    for (int i = 0; i < n; ++i)
      store(layout.factors + (int64_t)(row + i) * FACTOR_SIZE + k, basis[k + i]);
  }

  // From vectors of records to the tensors' layout.
  float lanes[16][L];
  for (int k = 0; k < 3; ++k) {
    store(lanes[k], v_g.mean[k]);
    store(lanes[7 + k], v_g.log_scale[k]);
    store(lanes[11 + k], v_color[k]);
  }
  for (int k = 0; k < 4; ++k) store(lanes[3 + k], v_g.quat[k]);
  store(lanes[10], v_g.logit_opacity);
  const vfloat v_x = v_record[0] * vfloat(0.5f * options.width);
  const vfloat v_y = v_record[1] * vfloat(0.5f * options.height);
  store(lanes[14], sqrt(fma(v_x, v_x, v_y * v_y)));
  store(lanes[15], max(record[RECORD_EXTENT], record[RECORD_EXTENT + 1]) /
                       vfloat(options.width > options.height ? options.width : options.height));
  for (int i = 0; i < n; ++i) {
    const int64_t local = ids[i] - begin;
    camera_rows[local] = row + i;
    for (int k = 0; k < 3; ++k) {
      layout.v_means[3 * local + k] += lanes[k][i];
      layout.v_log_scales[3 * local + k] += lanes[7 + k][i];
      layout.factors[(int64_t)(row + i) * FACTOR_SIZE + FACTOR_COLOR + k] = lanes[11 + k][i];
    }
    for (int k = 0; k < 4; ++k) layout.v_quats[4 * local + k] += lanes[3 + k][i];
    layout.v_logit_opacities[local] += lanes[10][i];
    if (job.gradient_sum) {
      job.gradient_sum[ids[i]] += lanes[14][i];
      job.visible_count[ids[i]] += 1.0f;
      if (job.extent_max[ids[i]] < lanes[15][i]) job.extent_max[ids[i]] = lanes[15][i];
      if (job.record_sums) {
        job.score_sum[ids[i]] += job.record_sums[2 * (first + i)];
        job.weight_sum[ids[i]] += job.record_sums[2 * (first + i) + 1];
      }
    }
  }
}

int64_t first_at_or_above(const int32_t *ids, int64_t low, int64_t high, int64_t id) {
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    if (ids[middle] < id)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

template <int degree>
void gather_all(const FinishJob &job, const Options &options, int64_t first, int64_t last,
                int64_t begin, int row, const FinishLayout &layout, int32_t *camera_rows) {
  for (int64_t r = first; r < last; r += L) {
    const int n = last - r < L ? (int)(last - r) : L;
    gather_records<degree>(job, options, r, n, begin, row, layout, camera_rows);
    row += n;
  }
}

// Moves the first n of a vector of values.
SK_INLINE void move(const AdamConstants &c, vfloat rate, vfloat gradient, float *value,
                    float *first, float *second, int64_t n) {
  vfloat p = load_first(value, n), m = load_first(first, n), v = load_first(second, n);
  adam_update(c, rate, gradient, p, m, v);
  store_first(value, p, n);
  store_first(first, m, n);
  store_first(second, v, n);
}

// Moves the harmonics of Gaussian g; their gradient is the sum over records of basis x colour.
SK_INLINE void move_harmonics(const FinishJob &job, const AdamConstants &c, int64_t g, int local,
                              const FinishLayout &layout) {
  const int64_t row = g * 3 * job.num_bases;
  const int n = 3 * job.moving_bases;
  float *value = job.value[SH] + row, *first = job.first[SH] + row, *second = job.second[SH] + row;
  const vint lane = lane_ids();
  for (int j = 0; j < n; j += L) {
    // Lane i is coefficient (j + i) / 3, channel (j + i) % 3.
    const int base = j / 3, phase = j % 3;
    const vint place = lane + vint(phase);
    const vint bases = to_int(to_float(place) * vfloat(0.33333337f));
    const vint channels = place - bases * vint(3);
    vfloat gradient(0.0f);
    for (int camera = 0; camera < job.cameras; ++camera) {
      const int32_t at = layout.rows[camera * FINISH_BLOCK + local];
      if (at < 0) continue;
      const float *factors = layout.factors + (int64_t)at * FACTOR_SIZE;
      gradient = fma(permute(load(factors + base), bases),
                     permute(load(factors + FACTOR_COLOR), channels), gradient);
    }
    const vfloat rate =
        j == 0 ? select(lane < vint(3), vfloat(job.rates[SH]), vfloat(job.rate_sh_rest))
               : vfloat(job.rate_sh_rest);
    move(c, rate, gradient, value + j, first + j, second + j, n - j);
  }
}

// Adds the gradients of weight times opacity and weight times scale.
SK_INLINE void regularise(const FinishJob &job, int64_t begin, int64_t end,
                          const FinishLayout &layout) {
  const int64_t n = end - begin;
  if (job.opacity_weight != 0.0f)
    for (int64_t j = 0; j < n; j += L) {
      const vfloat value = sigmoid(load_first(job.value[LOGIT_OPACITIES] + begin + j, n - j));
      vfloat v = load(layout.v_logit_opacities + j);
      sigmoid_adj(value, vfloat(job.opacity_weight), v);
      store(layout.v_logit_opacities + j, v);
    }
  if (job.scale_weight != 0.0f)
    for (int64_t j = 0; j < 3 * n; j += L) {
      const vfloat scales = exp(load_first(job.value[LOG_SCALES] + 3 * begin + j, 3 * n - j));
      const vfloat v = load(layout.v_log_scales + j);
      store(layout.v_log_scales + j, fma(scales, vfloat(job.scale_weight), v));
    }
}

}  // namespace

void finish_block(const FinishJob &job, int64_t begin, int64_t end, float *scratch) {
  const FinishLayout layout(scratch, job.cameras);
  for (int j = 0; j < FinishLayout::GRADIENTS; j += L) store(layout.v_means + j, vfloat(0.0f));
  for (int j = 0; j < job.cameras * FINISH_BLOCK; ++j) layout.rows[j] = -1;

  static constexpr decltype(&gather_all<0>) gather_by_degree[] = {
      gather_all<0>, gather_all<1>, gather_all<2>, gather_all<3>, gather_all<4>};
  int row = 0;
  for (int camera = 0; camera < job.cameras; ++camera) {
    const int64_t low = job.camera_begin[camera], high = job.camera_begin[camera + 1];
    const int64_t first = first_at_or_above(job.gaussian_ids, low, high, begin);
    const int64_t last = first_at_or_above(job.gaussian_ids, first, high, end);
    if (first == last) continue;
    const float frame[] = {0.0f, 0.0f, (float)job.width, (float)job.height};
    const Options options = {
        make_view(job.viewmats + 16 * camera),
        Pinhole<float>::make(job.Ks + 9 * camera, 0.0f, 0.0f, frame, (float)FRUSTUM_MARGIN),
        (float)job.width,
        (float)job.height,
        job.eps2d,
        0.0f,
        job.antialiased};
    // Basis values above the degree in use are zero.
    for (int64_t j = (int64_t)row * FACTOR_SIZE; j < (row + last - first) * FACTOR_SIZE; j += L)
      store(layout.factors + j, vfloat(0.0f));
    gather_by_degree[job.sh_degree](job, options, first, last, begin, row, layout,
                                    layout.rows + camera * FINISH_BLOCK);
    row += (int)(last - first);
  }
  regularise(job, begin, end, layout);

  const AdamConstants c = {job.beta1,  job.beta2,         job.rest1,
                           job.rest2,  job.inverse_bias1, job.inverse_root_bias2,
                           job.epsilon};
  const float *gradients[] = {layout.v_means, layout.v_quats, layout.v_log_scales,
                              layout.v_logit_opacities};
  constexpr int widths[] = {3, 4, 3, 1};
  for (int k = MEANS; k < SH; ++k) {
    const int64_t offset = widths[k] * begin, n = widths[k] * (end - begin);
    for (int64_t j = 0; j < n; j += L)
      move(c, vfloat(job.rates[k]), load(gradients[k] + j), job.value[k] + offset + j,
           job.first[k] + offset + j, job.second[k] + offset + j, n - j);
  }
  for (int64_t g = begin; g < end; ++g) move_harmonics(job, c, g, (int)(g - begin), layout);
}

}  // namespace SK_ISA
}  // namespace splatkit
