// Kernels of the training step beyond the rasterizer: image loss and finish.

#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cmath>
#include <tuple>
#include <vector>

#include "../cpu/finish.h"
#include "../cpu/ssim.h"
#include "arrays.h"

using namespace splatkit;

namespace {

// Spherical harmonics of degree 4.
constexpr int MAX_BASES = 25;

using Tensor = nb::ndarray<float, nb::c_contig, nb::device::cpu>;

double bind_image_loss(Array<const float, 4> rgb, Array<const uint8_t, 4> targets,
                       std::optional<Array<const uint8_t, 3>> mask, float ssim_weight,
                       Array<float, 4> v_rgb) {
  const ImageLoss arguments = {rgb.data(),        targets.data(),    mask ? mask->data() : nullptr,
                               v_rgb.data(),      (int)rgb.shape(0), (int)rgb.shape(1),
                               (int)rgb.shape(2), ssim_weight};
  nb::gil_scoped_release release;
  return image_loss(arguments);
}

// Value, first and second moment of each parameter, in the order of `Parameter`.
using ParameterTensors = std::vector<std::tuple<Tensor, Tensor, Tensor>>;

void bind_finish(const ParameterTensors &parameters, Array<const float, 2> records,
                 Array<const float, 2> v_records, Array<const int32_t, 1> gaussian_ids,
                 Array<const int32_t, 1> camera_ids, Array<const float, 3> viewmats,
                 Array<const float, 3> Ks, std::tuple<int, int> size, int sh_degree,
                 bool antialiased, float eps2d, const std::vector<double> &rates,
                 std::tuple<double, double, double> adam, int64_t step,
                 std::tuple<double, double> weights,
                 std::optional<std::vector<Array<float, 1>>> statistics,
                 std::optional<Array<const float, 2>> sums, int moving_bases) {
  FinishJob job = {};
  for (int k = 0; k < PARAMETERS; ++k) {
    job.value[k] = std::get<0>(parameters[k]).data();
    job.first[k] = std::get<1>(parameters[k]).data();
    job.second[k] = std::get<2>(parameters[k]).data();
    job.rates[k] = (float)rates[k];
  }
  job.rate_sh_rest = (float)rates[PARAMETERS];
  job.count = (int64_t)std::get<0>(parameters[SH]).shape(0);
  job.num_bases = (int)std::get<0>(parameters[SH]).shape(1);
  job.records = records.data();
  job.v_records = v_records.data();
  job.gaussian_ids = gaussian_ids.data();
  job.viewmats = viewmats.data();
  job.Ks = Ks.data();
  job.cameras = (int)viewmats.shape(0);
  std::tie(job.width, job.height) = size;
  job.sh_degree = sh_degree;
  job.moving_bases = std::min(moving_bases, (int)std::get<0>(parameters[SH]).shape(1));
  job.antialiased = antialiased;
  job.eps2d = eps2d;
  const auto [beta1, beta2, epsilon] = adam;
  job.beta1 = (float)beta1;
  job.beta2 = (float)beta2;
  job.rest1 = (float)(1.0 - beta1);
  job.rest2 = (float)(1.0 - beta2);
  job.inverse_bias1 = (float)(1.0 / (1.0 - std::pow(beta1, (double)step)));
  job.inverse_root_bias2 = (float)(1.0 / std::sqrt(1.0 - std::pow(beta2, (double)step)));
  job.epsilon = (float)epsilon;
  const double count = std::max<double>(1.0, (double)job.count);
  job.opacity_weight = (float)(std::get<0>(weights) / count);
  job.scale_weight = (float)(std::get<1>(weights) / (3.0 * count));
  if (statistics) {
    auto &s = *statistics;
    job.gradient_sum = s[0].data();
    job.visible_count = s[1].data();
    job.score_sum = s[2].data();
    job.weight_sum = s[3].data();
    job.extent_max = s[4].data();
  }
  if (sums) job.record_sums = sums->data();
  std::vector<int64_t> camera_begin((size_t)job.cameras + 1);
  const int32_t *ids = camera_ids.data();
  for (int camera = 0; camera <= job.cameras; ++camera)
    camera_begin[camera] = std::lower_bound(ids, ids + camera_ids.size(), camera) - ids;
  job.camera_begin = camera_begin.data();
  nb::gil_scoped_release release;
  finish(job);
}

}  // namespace

void bind_step(nb::module_ &module) {
  module.def("image_loss", &bind_image_loss, nb::arg("rgb"), nb::arg("targets"),
             nb::arg("mask").none(), nb::arg("ssim_weight"), nb::arg("v_rgb"),
             "L1 + SSIM loss; writes its gradient to v_rgb.");
  module.def("finish", &bind_finish, nb::arg("parameters"), nb::arg("records"),
             nb::arg("v_records"), nb::arg("gaussian_ids"), nb::arg("camera_ids"),
             nb::arg("viewmats"), nb::arg("Ks"), nb::arg("size"), nb::arg("sh_degree"),
             nb::arg("antialiased"), nb::arg("eps2d"), nb::arg("rates"), nb::arg("adam"),
             nb::arg("step"), nb::arg("weights"), nb::arg("statistics").none(),
             nb::arg("sums").none(), nb::arg("moving_bases") = MAX_BASES,
             "Gradients of records become an update of the Gaussians.");
}
