// Fusing depth pictures. Shapes are the Python side's to check.

#include "../cpu/fusion.h"
#include "arrays.h"

#include <nanobind/stl/array.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <array>
#include <vector>

using namespace splatkit;

namespace {

void bind_fuse(Array<const int32_t, 2> places, std::vector<Array<const float, 2>> depths,
               Array<const float, 3> Ks, Array<const float, 3> viewmats, float voxel,
               float truncation, std::array<float, 3> center, float radius,
               Array<float, 4> distance, Array<float, 4> weight, Array<float, 4> deviation) {
  std::vector<FusionView> views(depths.size());
  for (size_t i = 0; i < views.size(); ++i) {
    FusionView &view = views[i];
    view.depth = depths[i].data();
    view.height = (int)depths[i].shape(0);
    view.width = (int)depths[i].shape(1);
    std::copy_n(Ks.data() + 9 * i, 9, view.K);
    std::copy_n(viewmats.data() + 16 * i, 12, view.viewmat);
  }
  FusionArguments a = {};
  a.places = places.data();
  a.num_blocks = (int64_t)places.shape(0);
  a.views = views.data();
  a.num_views = (int)views.size();
  a.voxel = voxel;
  a.truncation = truncation;
  std::copy(center.begin(), center.end(), a.center);
  a.radius = radius;
  a.distance = distance.data();
  a.weight = weight.data();
  a.deviation = deviation.data();
  nb::gil_scoped_release release;
  fuse_depth(a);
}

}  // namespace

void bind_fusion(nb::module_ &module) {
  module.def("fuse_depth", &bind_fuse, nb::arg("places"), nb::arg("depths"), nb::arg("Ks"),
             nb::arg("viewmats"), nb::arg("voxel"), nb::arg("truncation"), nb::arg("center"),
             nb::arg("radius"), nb::arg("distance"), nb::arg("weight"), nb::arg("deviation"),
             "Fuse depth pictures [H,W] into blocks [B,3] of voxels [B,8,8,8].");
}
