// Large images from small ones. Shapes are the Python side's to check.

#include "../cpu/upscale.h"
#include "arrays.h"

#include <nanobind/stl/array.h>
#include <nanobind/stl/tuple.h>

#include <algorithm>
#include <array>
#include <tuple>

using namespace splatkit;

namespace {

using Image = Array<const float, 3>;
using Map = Array<const float, 2>;
// Small pixels a large one, and the origin x, y: see SmallGrid.
using Placing = std::tuple<float, float, float>;

SmallGrid grid_of(int width, int height, const Placing &placing) {
  return {width, height, std::get<0>(placing), std::get<1>(placing), std::get<2>(placing)};
}
template <class A>
SmallGrid grid_of(const A &small, const Placing &placing) {
  return grid_of((int)small.shape(1), (int)small.shape(0), placing);
}

HermiteArguments hermite_arguments(const Image &rgb, const Image &dx, const Image &dy,
                                   const Placing &placing, const Array<float, 3> &out) {
  return {rgb.data(),        dx.data(),         dy.data(), grid_of(rgb, placing),
          (int)out.shape(1), (int)out.shape(0), out.data()};
}

void bind_hermite(Image rgb, Image dx, Image dy, Placing placing, Array<float, 3> out) {
  const HermiteArguments a = hermite_arguments(rgb, dx, dy, placing, out);
  nb::gil_scoped_release release;
  upscale_hermite(a);
}

using Past = std::tuple<Image, Map, Map, Map, Placing>;

void bind_history(Image rgb, Image dx, Image dy, Placing placing, Map inverse_depth, Map alpha,
                  std::optional<Past> past, std::array<float, 12> motion, bool resting,
                  float most_weight, float decay, float color_tolerance, Array<float, 3> out,
                  Array<float, 2> weight) {
  HistoryArguments a = {};
  a.now = hermite_arguments(rgb, dx, dy, placing, out);
  a.inverse_depth = inverse_depth.data();
  a.alpha = alpha.data();
  if (past) {
    const auto &[past_rgb, past_weight, past_inverse_depth, past_alpha, past_placing] = *past;
    a.past_rgb = past_rgb.data();
    a.past_weight = past_weight.data();
    a.past_inverse_depth = past_inverse_depth.data();
    a.past_alpha = past_alpha.data();
    a.past_grid = grid_of(past_inverse_depth, past_placing);
  }
  std::copy(motion.begin(), motion.end(), a.motion);
  a.resting = resting;
  a.most_weight = most_weight;
  a.decay = decay;
  a.color_tolerance = color_tolerance;
  a.weight = weight.data();
  nb::gil_scoped_release release;
  upscale_history(a);
}

void bind_fsr(Image rgb, Placing placing, Array<float, 3> out) {
  const FsrArguments a = {rgb.data(), grid_of(rgb, placing), (int)out.shape(1), (int)out.shape(0),
                          out.data()};
  nb::gil_scoped_release release;
  upscale_fsr(a);
}

void bind_sharpen(Image rgb, float sharpness, Array<float, 3> out) {
  const SharpenArguments a = {rgb.data(), (int)rgb.shape(1), (int)rgb.shape(0), sharpness,
                              out.data()};
  nb::gil_scoped_release release;
  sharpen_image(a);
}

}  // namespace

void bind_upscale(nb::module_ &module) {
  module.def("upscale_hermite", &bind_hermite,
             "Interpolate [h,w,3] with its derivatives into [H,W,3].");
  module.def("upscale_history", &bind_history, nb::arg("rgb"), nb::arg("dx"), nb::arg("dy"),
             nb::arg("placing"), nb::arg("inverse_depth"), nb::arg("alpha"), nb::arg("past").none(),
             nb::arg("motion"), nb::arg("resting"), nb::arg("most_weight"), nb::arg("decay"),
             nb::arg("color_tolerance"), nb::arg("out"), nb::arg("weight"),
             "The same, mixed with what earlier frames left.");
  module.def("upscale_fsr", &bind_fsr, "Upscale [h,w,3] into [H,W,3] by FSR 1 (EASU).");
  module.def("sharpen", &bind_sharpen, "Sharpen [H,W,3] (RCAS), sharpness 0 to 1.");
}
