// What scene files are made of. Shapes are the Python side's to check.

#include <algorithm>

#include "../cpu/splat_file.h"
#include "arrays.h"

using namespace splatkit;

namespace {

SplatSteps steps_of(const Array<const float, 1> &step, const Array<const float, 1> &offset) {
  SplatSteps steps = {};
  std::copy_n(step.data(), SPLAT_BYTES, steps.step);
  std::copy_n(offset.data(), SPLAT_BYTES, steps.offset);
  return steps;
}

bool bind_pack(Array<const float, 2> means, Array<const float, 2> quats,
               Array<const float, 2> log_scales, Array<const float, 1> logit_opacities,
               Array<const float, 2> colors, Array<const float, 1> step,
               Array<const float, 1> offset, float log_scale_bound, Array<uint8_t, 2> records) {
  const PackSplats a = {means.data(),           quats.data(),    log_scales.data(),
                        logit_opacities.data(), colors.data(),   (int64_t)means.shape(0),
                        steps_of(step, offset), log_scale_bound, records.data()};
  nb::gil_scoped_release release;
  return pack_splats(a);
}

void bind_unpack(Array<const uint8_t, 2> records, Array<const float, 1> step,
                 Array<const float, 1> offset, Array<const float, 1> logits, float least_log_scale,
                 Array<float, 2> means, Array<float, 2> quats, Array<float, 2> log_scales,
                 Array<float, 1> logit_opacities, Array<float, 3> sh) {
  const UnpackSplats a = {records.data(), (int64_t)records.shape(0), steps_of(step, offset),
                          logits.data(),  least_log_scale,           means.data(),
                          quats.data(),   log_scales.data(),         logit_opacities.data(),
                          sh.data()};
  nb::gil_scoped_release release;
  unpack_splats(a);
}

}  // namespace

void bind_files(nb::module_ &module) {
  module.def(
      "pack_splats", &bind_pack,
      "Gaussians to the sorted records [N,32] of .splat files, and whether all can be used.");
  module.def("unpack_splats", &bind_unpack, "Records [N,32] of .splat files to Gaussians.");
}
