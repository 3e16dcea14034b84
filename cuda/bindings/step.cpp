// Kernels of the training step beyond the rasterizer: image loss and finish.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>

#include "../cpu/ssim.h"

namespace nb = nanobind;

namespace {

template <class T, int Dimensions>
using Array = nb::ndarray<T, nb::ndim<Dimensions>, nb::c_contig, nb::device::cpu>;

}  // namespace

void bind_step(nb::module_ &module) {
  using namespace splatkit;
  module.def(
      "image_loss",
      [](Array<const float, 4> rgb, Array<const uint8_t, 4> targets,
         std::optional<Array<const uint8_t, 3>> mask, float ssim_weight, Array<float, 4> v_rgb) {
        const ImageLoss arguments = {
            rgb.data(),        targets.data(),    mask ? mask->data() : nullptr,
            v_rgb.data(),      (int)rgb.shape(0), (int)rgb.shape(1),
            (int)rgb.shape(2), ssim_weight};
        nb::gil_scoped_release release;
        return image_loss(arguments);
      },
      nb::arg("rgb"), nb::arg("targets"), nb::arg("mask").none(), nb::arg("ssim_weight"),
      nb::arg("v_rgb"), "L1 + SSIM loss; shapes are the caller's to check.");
}
