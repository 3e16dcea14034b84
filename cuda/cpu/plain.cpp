#include "plain.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "degree.h"
#include "splatkit/screen.h"
#include "splatkit/sh.h"

namespace splatkit {
namespace {

using S = double;
using Options = ScreenOptions<S, Pinhole<S>>;

Options screen_options(const ProjectArguments<S> &a, int camera) {
  return {make_view(a.viewmats + 16 * camera),
          Pinhole<S>::make(a.Ks + 9 * camera, a.offset_x, a.offset_y, a.frame, FRUSTUM_MARGIN),
          (S)a.width,
          (S)a.height,
          a.eps2d,
          a.near,
          a.antialiased};
}

RawGaussian<S> read_gaussian(const ProjectArguments<S> &a, int64_t i) {
  RawGaussian<S> g;
  std::copy_n(a.means + 3 * i, 3, g.mean);
  std::copy_n(a.quats + 4 * i, 4, g.quat);
  std::copy_n(a.log_scales + 3 * i, 3, g.log_scale);
  g.logit_opacity = a.logit_opacities[i];
  return g;
}

void add(S *to, int64_t row, int size, const S *values) {
  if (!to) return;
  for (int i = 0; i < size; ++i) to[row * size + i] += values[i];
}

}  // namespace

PlainRecords project_plain(const ProjectArguments<S> &a) {
  PlainRecords out;
  for (int camera = 0; camera < a.cameras; ++camera) {
    const Options options = screen_options(a, camera);
    for (int64_t i = 0; i < a.count; ++i) {
      const RawGaussian<S> g = read_gaussian(a, i);
      S record[RECORD_SIZE], direction[3], *color = record + RECORD_COLOR;
      if (!project_splat(g, options, record)) continue;
      splat_direction(options.view, g.mean, direction);
      with_degree(a.sh_degree, [&](auto degree) {
        sh_color<degree.value>(direction, a.sh + 3 * a.harmonics * i, color);
      });
      if (!finite(color[0] + color[1] + color[2])) continue;
      for (int c = 0; c < 3; ++c) color[c] = std::max(color[c], 0.0);
      out.records.insert(out.records.end(), record, record + RECORD_SIZE);
      out.gaussian_ids.push_back((int32_t)i);
      out.camera_ids.push_back(camera);
    }
  }
  return out;
}

void project_plain_adj(const ProjectArguments<S> &a, const ProjectGradients<S> &out) {
  int camera = -1;
  Options options;
  ViewGradient<S> v_view = {};
  const auto finish_camera = [&] {
    if (camera >= 0 && out.v_viewmats)
      make_view_adj(options.view, v_view, out.v_viewmats + 16 * camera);
    v_view = {};
  };
  for (int64_t row = 0; row < out.rows; ++row) {
    if (out.camera_ids[row] != camera) {
      finish_camera();
      camera = out.camera_ids[row];
      options = screen_options(a, camera);
    }
    const int64_t i = out.gaussian_ids[row];
    const S *v_record = out.v_records + RECORD_SIZE * row;
    const RawGaussian<S> g = read_gaussian(a, i);
    RawGaussian<S> v_g = {};
    S direction[3], v_direction[3] = {}, v_sh[3 * sh_count(4)] = {};
    const S inverse = splat_direction(options.view, g.mean, direction);
    with_degree(a.sh_degree, [&](auto degree) {
      sh_color_adj<degree.value>(direction, a.sh + 3 * a.harmonics * i, v_record + RECORD_COLOR,
                                 v_sh, v_direction);
      if (out.v_sh)
        for (int k = 0; k < 3 * sh_count(degree.value); ++k)
          out.v_sh[3 * a.harmonics * i + k] += v_sh[k];
    });
    splat_direction_adj(direction, inverse, v_direction, v_g.mean, v_view);
    project_splat_adj(g, options, v_record, v_g, v_view);
    add(out.v_means, i, 3, v_g.mean);
    add(out.v_quats, i, 4, v_g.quat);
    add(out.v_log_scales, i, 3, v_g.log_scale);
    add(out.v_logit_opacities, i, 1, &v_g.logit_opacity);
  }
  finish_camera();
}

namespace {

// A splat ready to be blended, and the pixels that it can reach.
struct Splat {
  const S *record;
  FoldedConic<S> conic;
  int x_begin, x_end, y_begin, y_end;
};

int clamp_to(S value, int size) { return (int)std::min<S>(std::max<S>(value, 0), size); }

Splat prepare(const BlendArguments<S> &a, int64_t row) {
  const S *r = a.records + RECORD_SIZE * row;
  return {r,
          fold_conic(r + RECORD_CONIC, r[RECORD_OPACITY]),
          clamp_to(std::floor(r[0] - r[10] - 1), a.width),
          clamp_to(std::ceil(r[0] + r[10] + 1), a.width),
          clamp_to(std::floor(r[1] - r[11] - 1), a.height),
          clamp_to(std::ceil(r[1] + r[11] + 1), a.height)};
}

// Rows of one camera, by depth, ties by place.
std::vector<int64_t> depth_order(const BlendArguments<S> &a, int camera) {
  const int32_t *end = a.camera_ids + a.rows;
  const auto range = std::equal_range(a.camera_ids, end, camera);
  std::vector<int64_t> order(range.second - range.first);
  std::iota(order.begin(), order.end(), range.first - a.camera_ids);
  std::stable_sort(order.begin(), order.end(), [&](int64_t left, int64_t right) {
    return a.records[RECORD_SIZE * left + RECORD_DEPTH] <
           a.records[RECORD_SIZE * right + RECORD_DEPTH];
  });
  return order;
}

struct Alpha {
  S dx, dy;
  S raw;      // before cut-off and clamp
  S blended;  // 0 where the splat is skipped
};

Alpha alpha_at(const BlendArguments<S> &a, const Splat &splat, int x, int y) {
  const S dx = x + 0.5 - splat.record[0], dy = y + 0.5 - splat.record[1];
  const S e = exponent_at(splat.conic, exponent_column(splat.conic, dx), dy);
  if (!(e >= LOG2_ALPHA_MIN)) return {dx, dy, 0, 0};
  const S raw = exp2(e);
  return {dx, dy, raw, std::min(a.smooth_cutoff ? smooth_cutoff(raw) : raw, ALPHA_MAX)};
}

// Gradient of the blended alpha.
ScreenGradient<S> gradient_of(const BlendArguments<S> &a, const Splat &splat, const Alpha &alpha) {
  if (!(alpha.blended < ALPHA_MAX)) return {0, 0};
  S slope = a.smooth_cutoff ? 0 : 1;
  if (a.smooth_cutoff) smooth_cutoff_adj(alpha.raw, S(1), slope);
  return alpha_gradient(splat.conic, alpha.dx, alpha.dy, slope * alpha.raw);
}

// Calls f(pixel, alpha, transmittance before) wherever a splat is blended, splats front to back.
template <class F>
void walk(const BlendArguments<S> &a, int camera, F &&f) {
  const int64_t image = (int64_t)a.width * a.height;
  std::vector<S> transmittance(image, 1.0);
  std::vector<char> ended(image, 0);
  for (const int64_t row : depth_order(a, camera)) {
    const Splat splat = prepare(a, row);
    for (int y = splat.y_begin; y < splat.y_end; ++y)
      for (int x = splat.x_begin; x < splat.x_end; ++x) {
        const int64_t pixel = (int64_t)y * a.width + x;
        if (ended[pixel]) continue;
        const Alpha alpha = alpha_at(a, splat, x, y);
        if (!(alpha.blended > 0)) continue;
        const S before = transmittance[pixel], after = before * (1 - alpha.blended);
        if (after <= TRANSMITTANCE_MIN) {
          ended[pixel] = 1;
          continue;
        }
        transmittance[pixel] = after;
        f(row, camera * image + pixel, alpha, before);
      }
  }
}

void insert_top(const BlendArguments<S> &a, int64_t pixel, S weight, int32_t id) {
  S *weights = a.top_weights + pixel * a.top_k;
  int32_t *ids = a.top_ids + pixel * a.top_k;
  int place = a.top_k;
  while (place > 0 && weight > weights[place - 1]) --place;
  if (place == a.top_k) return;
  std::copy_backward(weights + place, weights + a.top_k - 1, weights + a.top_k);
  std::copy_backward(ids + place, ids + a.top_k - 1, ids + a.top_k);
  weights[place] = weight;
  ids[place] = id;
}

}  // namespace

void blend_plain(const BlendArguments<S> &a) {
  const int64_t image = (int64_t)a.width * a.height, pixels = image * a.cameras;
  const int F = a.num_channels;
  std::fill_n(a.rgb, 3 * pixels, 0.0);
  std::fill_n(a.alpha, pixels, 0.0);
  if (a.channel_image) std::fill_n(a.channel_image, pixels * F, 0.0);
  if (a.depth_median) std::fill_n(a.depth_median, pixels, 0.0);
  if (a.weight_sum) {
    std::fill_n(a.weight_sum, a.gaussians, 0.0);
    std::fill_n(a.weight_max, a.gaussians, 0.0);
    std::fill_n(a.weight_count, a.gaussians, 0);
  }
  if (a.top_k) {
    std::fill_n(a.top_weights, pixels * a.top_k, 0.0);
    std::fill_n(a.top_ids, pixels * a.top_k, -1);
  }
  std::vector<S> transmittance(pixels, 1.0);
  std::vector<ScreenGradient<S>> of_transmittance;
  if (a.rgb_dx) {
    std::fill_n(a.rgb_dx, 3 * pixels, 0.0);
    std::fill_n(a.rgb_dy, 3 * pixels, 0.0);
    of_transmittance.assign(pixels, ScreenGradient<S>{});
  }
  for (int camera = 0; camera < a.cameras; ++camera)
    walk(a, camera, [&](int64_t row, int64_t pixel, const Alpha &alpha, S before) {
      const S *record = a.records + RECORD_SIZE * row;
      const S weight = alpha.blended * before;
      transmittance[pixel] = before * (1 - alpha.blended);
      for (int c = 0; c < 3; ++c) a.rgb[3 * pixel + c] += weight * record[RECORD_COLOR + c];
      for (int c = 0; c < F; ++c)
        a.channel_image[F * pixel + c] += weight * a.channels[F * row + c];
      if (a.rgb_dx) {
        const ScreenGradient<S> of_weight = weight_gradient(
            alpha.blended, gradient_of(a, prepare(a, row), alpha), before, of_transmittance[pixel]);
        for (int c = 0; c < 3; ++c) {
          a.rgb_dx[3 * pixel + c] += of_weight.x * record[RECORD_COLOR + c];
          a.rgb_dy[3 * pixel + c] += of_weight.y * record[RECORD_COLOR + c];
        }
      }
      if (a.depth_median && before > 0.5) a.depth_median[pixel] = record[RECORD_DEPTH];
      const int32_t id = a.gaussian_ids[row];
      if (a.weight_sum) {
        a.weight_sum[id] += weight;
        a.weight_max[id] = std::max(a.weight_max[id], weight);
        ++a.weight_count[id];
      }
      if (a.top_k) insert_top(a, pixel, weight, id);
    });
  for (int64_t pixel = 0; pixel < pixels; ++pixel) {
    a.alpha[pixel] = 1 - transmittance[pixel];
    for (int c = 0; c < 3; ++c) {
      const S background = a.background[3 * (pixel / image) + c];
      a.rgb[3 * pixel + c] += transmittance[pixel] * background;
      if (!a.rgb_dx) continue;
      a.rgb_dx[3 * pixel + c] += of_transmittance[pixel].x * background;
      a.rgb_dy[3 * pixel + c] += of_transmittance[pixel].y * background;
    }
  }
}

void blend_plain_adj(const BlendArguments<S> &a, const BlendGradients<S> &g) {
  const int64_t pixels = (int64_t)a.width * a.height * a.cameras;
  const int F = a.num_channels;
  std::fill_n(g.v_records, RECORD_SIZE * a.rows, 0.0);
  if (g.v_channels) std::fill_n(g.v_channels, a.rows * F, 0.0);
  if (g.score_sums) std::fill_n(g.score_sums, 2 * a.rows, 0.0);
  // What the rest of a pixel adds to the loss to first order; alpha is 1 - final transmittance.
  std::vector<S> rest(pixels);
  for (int64_t pixel = 0; pixel < pixels; ++pixel) {
    S sum = g.v_alpha ? g.v_alpha[pixel] * (a.alpha[pixel] - 1) : 0;
    for (int c = 0; c < 3; ++c) sum += g.v_rgb[3 * pixel + c] * a.rgb[3 * pixel + c];
    for (int c = 0; c < F; ++c)
      sum += g.v_channel_image[F * pixel + c] * a.channel_image[F * pixel + c];
    rest[pixel] = sum;
  }
  std::vector<AlphaMoments<S>> moments(a.rows, AlphaMoments<S>{});
  for (int camera = 0; camera < a.cameras; ++camera)
    walk(a, camera, [&](int64_t row, int64_t pixel, const Alpha &alpha, S before) {
      const S *record = a.records + RECORD_SIZE * row;
      S *v_record = g.v_records + RECORD_SIZE * row;
      const S weight = alpha.blended * before;
      S v_value = 0;
      for (int c = 0; c < 3; ++c) {
        v_value += g.v_rgb[3 * pixel + c] * record[RECORD_COLOR + c];
        v_record[RECORD_COLOR + c] += weight * g.v_rgb[3 * pixel + c];
      }
      for (int c = 0; c < F; ++c) {
        v_value += g.v_channel_image[F * pixel + c] * a.channels[F * row + c];
        if (g.v_channels) g.v_channels[F * row + c] += weight * g.v_channel_image[F * pixel + c];
      }
      if (g.score_sums) {
        g.score_sums[2 * row] += weight * g.scores[pixel];
        g.score_sums[2 * row + 1] += weight;
      }
      rest[pixel] -= weight * v_value;
      const S v_blended = alpha_adj(v_value, before, alpha.blended, rest[pixel]);
      S v_raw = 0;
      if (alpha.blended < ALPHA_MAX) {
        if (a.smooth_cutoff)
          smooth_cutoff_adj(alpha.raw, v_blended, v_raw);
        else
          v_raw = v_blended;
      }
      const S v_log = v_raw * alpha.raw;
      AlphaMoments<S> &m = moments[row];
      m.one += v_log;
      m.x += v_log * alpha.dx;
      m.y += v_log * alpha.dy;
      m.xx += v_log * alpha.dx * alpha.dx;
      m.xy += v_log * alpha.dx * alpha.dy;
      m.yy += v_log * alpha.dy * alpha.dy;
    });
  for (int64_t row = 0; row < a.rows; ++row) {
    const S *record = a.records + RECORD_SIZE * row;
    S *v_record = g.v_records + RECORD_SIZE * row;
    alpha_moments_adj(record + RECORD_CONIC, record[RECORD_OPACITY], moments[row],
                      v_record + RECORD_MEAN, v_record + RECORD_CONIC, v_record[RECORD_OPACITY]);
  }
}

}  // namespace splatkit
