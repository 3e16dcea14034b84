// Projection, binning and blending. Shapes are the Python side's to check.

#include <nanobind/stl/array.h>

#include "../cpu/blend.h"
#include "../cpu/machine.h"
#include "../cpu/plain.h"
#include "../cpu/project.h"
#include "arrays.h"
#include "splatkit/screen.h"

using namespace splatkit;

namespace {

// Splats whose number is not known before they are projected.
struct Projection {
  Projected fast;
  PlainRecords plain;
  int cameras = 0;
  int64_t count = 0;
};

// Blending's working memory; the backward pass needs what the forward pass left in it.
struct Blending {
  BlendWorkspace work;
};

template <class S>
struct Binder {
  template <int Dimensions>
  using In = Array<const S, Dimensions>;
  template <int Dimensions>
  using Out = Array<S, Dimensions>;
  template <int Dimensions>
  using MaybeIn = Maybe<const S, Dimensions>;
  template <int Dimensions>
  using MaybeOut = Maybe<S, Dimensions>;

  static ProjectArguments<S> arguments(const In<2> &means, const In<2> &quats,
                                       const In<2> &log_scales, const In<1> &logit_opacities,
                                       const In<3> &sh, const In<3> &viewmats, const In<3> &Ks,
                                       int width, int height, int sh_degree, double eps2d,
                                       double near, const std::array<double, 2> &offset,
                                       const std::array<double, 4> &frame, bool antialiased) {
    return {means.data(),
            quats.data(),
            log_scales.data(),
            logit_opacities.data(),
            sh.data(),
            viewmats.data(),
            Ks.data(),
            (int64_t)means.shape(0),
            (int)sh.shape(1),
            sh_degree,
            (int)viewmats.shape(0),
            width,
            height,
            (S)eps2d,
            (S)near,
            (S)offset[0],
            (S)offset[1],
            {(S)frame[0], (S)frame[1], (S)frame[2], (S)frame[3]},
            antialiased};
  }

  static int64_t project(Projection &staged, In<2> means, In<2> quats, In<2> log_scales,
                         In<1> logit_opacities, In<3> sh, In<3> viewmats, In<3> Ks, int width,
                         int height, int sh_degree, double eps2d, double near,
                         std::array<double, 2> offset, std::array<double, 4> frame,
                         bool antialiased) {
    const auto a = arguments(means, quats, log_scales, logit_opacities, sh, viewmats, Ks, width,
                             height, sh_degree, eps2d, near, offset, frame, antialiased);
    nb::gil_scoped_release release;
    staged.count = a.count;
    staged.cameras = a.cameras;
    if constexpr (sizeof(S) == sizeof(float)) {
      return splatkit::project(a, staged.fast);
    } else {
      staged.plain = project_plain(a);
      return (int64_t)staged.plain.gaussian_ids.size();
    }
  }

  static void take(const Projection &staged, Out<2> records, Array<int32_t, 1> gaussian_ids,
                   Array<int32_t, 1> camera_ids) {
    nb::gil_scoped_release release;
    if constexpr (sizeof(S) == sizeof(float)) {
      take_projected(staged.fast, staged.count, records.data(), gaussian_ids.data(),
                     camera_ids.data());
    } else {
      const PlainRecords &p = staged.plain;
      std::copy(p.records.begin(), p.records.end(), records.data());
      std::copy(p.gaussian_ids.begin(), p.gaussian_ids.end(), gaussian_ids.data());
      std::copy(p.camera_ids.begin(), p.camera_ids.end(), camera_ids.data());
    }
  }

  static void project_adj(In<2> means, In<2> quats, In<2> log_scales, In<1> logit_opacities,
                          In<3> sh, In<3> viewmats, In<3> Ks, int width, int height, int sh_degree,
                          double eps2d, double near, std::array<double, 2> offset,
                          std::array<double, 4> frame, bool antialiased, In<2> v_records,
                          Array<const int32_t, 1> gaussian_ids, Array<const int32_t, 1> camera_ids,
                          MaybeOut<2> v_means, MaybeOut<2> v_quats, MaybeOut<2> v_log_scales,
                          MaybeOut<1> v_logit_opacities, MaybeOut<3> v_sh, MaybeOut<3> v_viewmats) {
    const auto a = arguments(means, quats, log_scales, logit_opacities, sh, viewmats, Ks, width,
                             height, sh_degree, eps2d, near, offset, frame, antialiased);
    const ProjectGradients<S> g = {
        v_records.data(), gaussian_ids.data(), camera_ids.data(),  (int64_t)v_records.shape(0),
        data(v_means),    data(v_quats),       data(v_log_scales), data(v_logit_opacities),
        data(v_sh),       data(v_viewmats)};
    nb::gil_scoped_release release;
    if constexpr (sizeof(S) == sizeof(float))
      splatkit::project_adj(a, g);
    else
      project_plain_adj(a, g);
  }

  static BlendArguments<S> arguments(const In<2> &records,
                                     const Array<const int32_t, 1> &gaussian_ids,
                                     const Array<const int32_t, 1> &camera_ids, int cameras,
                                     int width, int height) {
    BlendArguments<S> a = {};
    a.records = records.data();
    a.gaussian_ids = gaussian_ids.data();
    a.camera_ids = camera_ids.data();
    a.rows = (int64_t)records.shape(0);
    a.cameras = cameras;
    a.width = width;
    a.height = height;
    return a;
  }

  // Leaves splats sorted into tiles in the workspace; nothing to do for the plain loops.
  static void bin(Blending &blending, In<2> records, Array<const int32_t, 1> gaussian_ids,
                  Array<const int32_t, 1> camera_ids, int cameras, int width, int height) {
    const auto a = arguments(records, gaussian_ids, camera_ids, cameras, width, height);
    nb::gil_scoped_release release;
    if constexpr (sizeof(S) == sizeof(float)) splatkit::bin(a, blending.work.bins);
  }

  static void blend(Blending &blending, In<2> records, Array<const int32_t, 1> gaussian_ids,
                    Array<const int32_t, 1> camera_ids, MaybeIn<2> channels, In<2> background,
                    bool smooth_cutoff, Out<4> rgb, Out<3> alpha, MaybeOut<4> channel_image,
                    MaybeOut<3> depth_median, MaybeOut<1> weight_sum, MaybeOut<1> weight_max,
                    Maybe<int32_t, 1> weight_count, Maybe<int32_t, 4> top_ids,
                    MaybeOut<4> top_weights, MaybeOut<4> rgb_dx, MaybeOut<4> rgb_dy) {
    auto a = arguments(records, gaussian_ids, camera_ids, (int)rgb.shape(0), (int)rgb.shape(2),
                       (int)rgb.shape(1));
    a.channels = data(channels);
    a.num_channels = channels ? (int)channels->shape(1) : 0;
    a.background = background.data();
    a.smooth_cutoff = smooth_cutoff;
    a.rgb = rgb.data();
    a.alpha = alpha.data();
    a.channel_image = data(channel_image);
    a.depth_median = data(depth_median);
    a.weight_sum = data(weight_sum);
    a.weight_max = data(weight_max);
    a.weight_count = data(weight_count);
    a.gaussians = weight_sum ? (int64_t)weight_sum->shape(0) : 0;
    a.top_ids = data(top_ids);
    a.top_weights = data(top_weights);
    a.rgb_dx = data(rgb_dx);
    a.rgb_dy = data(rgb_dy);
    a.top_k = top_ids ? (int)top_ids->shape(3) : 0;
    nb::gil_scoped_release release;
    if constexpr (sizeof(S) == sizeof(float))
      splatkit::blend(a, blending.work);
    else
      blend_plain(a);
  }

  static void blend_adj(Blending &blending, In<2> records, Array<const int32_t, 1> gaussian_ids,
                        Array<const int32_t, 1> camera_ids, MaybeIn<2> channels, bool smooth_cutoff,
                        In<4> rgb, In<3> alpha, MaybeIn<4> channel_image, In<4> v_rgb,
                        MaybeIn<3> v_alpha, MaybeIn<4> v_channel_image, MaybeIn<3> scores,
                        Out<2> v_records, MaybeOut<2> v_channels, MaybeOut<2> score_sums) {
    auto a = arguments(records, gaussian_ids, camera_ids, (int)rgb.shape(0), (int)rgb.shape(2),
                       (int)rgb.shape(1));
    a.channels = data(channels);
    a.num_channels = channels ? (int)channels->shape(1) : 0;
    a.smooth_cutoff = smooth_cutoff;
    // The backward pass reads the images.
    a.rgb = const_cast<S *>(rgb.data());
    a.alpha = const_cast<S *>(alpha.data());
    a.channel_image = const_cast<S *>(data(channel_image));
    const BlendGradients<S> g = {v_rgb.data(),    data(v_alpha),    data(v_channel_image),
                                 data(scores),    v_records.data(), data(v_channels),
                                 data(score_sums)};
    nb::gil_scoped_release release;
    if constexpr (sizeof(S) == sizeof(float))
      splatkit::blend_adj(a, g, blending.work);
    else
      blend_plain_adj(a, g);
  }

  static void bind(nb::module_ &module) {
    module.def("project", &project, "Project into `staged`; the number of visible pairs.");
    module.def("take_projected", &take, "Move what `project` staged into tensors.");
    module.def(
        "project_adj", &project_adj, nb::arg("means"), nb::arg("quats"), nb::arg("log_scales"),
        nb::arg("logit_opacities"), nb::arg("sh"), nb::arg("viewmats"), nb::arg("Ks"),
        nb::arg("width"), nb::arg("height"), nb::arg("sh_degree"), nb::arg("eps2d"),
        nb::arg("near"), nb::arg("offset"), nb::arg("frame"), nb::arg("antialiased"),
        nb::arg("v_records"), nb::arg("gaussian_ids"), nb::arg("camera_ids"),
        nb::arg("v_means").none(), nb::arg("v_quats").none(), nb::arg("v_log_scales").none(),
        nb::arg("v_logit_opacities").none(), nb::arg("v_sh").none(), nb::arg("v_viewmats").none(),
        "Add the gradients of the Gaussians' parameters and of the cameras.");
    module.def("bin", &bin, "Sort records into tiles.");
    module.def(
        "blend", &blend, nb::arg("blending"), nb::arg("records"), nb::arg("gaussian_ids"),
        nb::arg("camera_ids"), nb::arg("channels").none(), nb::arg("background"),
        nb::arg("smooth_cutoff"), nb::arg("rgb"), nb::arg("alpha"), nb::arg("channel_image").none(),
        nb::arg("depth_median").none(), nb::arg("weight_sum").none(), nb::arg("weight_max").none(),
        nb::arg("weight_count").none(), nb::arg("top_ids").none(), nb::arg("top_weights").none(),
        nb::arg("rgb_dx").none(), nb::arg("rgb_dy").none(), "Blend binned records.");
    module.def("blend_adj", &blend_adj, nb::arg("blending"), nb::arg("records"),
               nb::arg("gaussian_ids"), nb::arg("camera_ids"), nb::arg("channels").none(),
               nb::arg("smooth_cutoff"), nb::arg("rgb"), nb::arg("alpha"),
               nb::arg("channel_image").none(), nb::arg("v_rgb"), nb::arg("v_alpha").none(),
               nb::arg("v_channel_image").none(), nb::arg("scores").none(), nb::arg("v_records"),
               nb::arg("v_channels").none(), nb::arg("score_sums").none(),
               "Gradients of records and channels of the last blend in this workspace.");
  }
};

}  // namespace

void bind_raster(nb::module_ &module) {
  nb::class_<Projection>(module, "Projection", "Projected splats before their number is known.")
      .def(nb::init<>());
  nb::class_<Blending>(module, "Blending", "Binned splats and working memory of one blend.")
      .def(nb::init<>())
      .def_prop_ro(
          "instances", [](const Blending &b) { return b.work.bins.instances; },
          "Pairs of splat and tile of the last blend.");
  const auto release = nb::call_guard<nb::gil_scoped_release>();
  module.def("measure_fma", &measure_fma, release, "Float32 GFLOP/s of this machine, all threads.");
  module.def("measure_triad", &measure_triad, release, "Memory GB/s of this machine, all threads.");
  Binder<float>::bind(module);
  Binder<double>::bind(module);
  nb::dict constants;
  constants["alpha_max"] = ALPHA_MAX;
  constants["alpha_min"] = ALPHA_MIN;
  constants["transmittance_min"] = TRANSMITTANCE_MIN;
  constants["frustum_margin"] = FRUSTUM_MARGIN;
  module.attr("BLEND_CONSTANTS") = constants;
}
