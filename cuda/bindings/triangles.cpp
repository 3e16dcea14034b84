// Drawing triangles. Shapes are the Python side's to check.

#include "../cpu/triangles.h"
#include "arrays.h"
#include "splatkit/triangle.h"

using namespace splatkit;

namespace {

// Working memory that serves call after call.
struct TriangleDrawing {
  TriangleWorkspace<float> fast;
  TriangleWorkspace<double> plain;

  auto &of(float) { return fast; }
  auto &of(double) { return plain; }
};

template <class S>
struct Binder {
  template <int Dimensions>
  using In = Array<const S, Dimensions>;
  template <int Dimensions>
  using MaybeIn = Maybe<const S, Dimensions>;
  template <int Dimensions>
  using MaybeOut = Maybe<S, Dimensions>;
  using Faces = Array<const int32_t, 2>;

  static TriangleArguments<S> arguments(const In<2> &vertices, const Faces &faces,
                                        const In<2> &attributes, const MaybeIn<1> &opacities,
                                        const MaybeIn<2> &normals, const In<3> &viewmats,
                                        const In<3> &Ks, int width, int height, double softness,
                                        double near) {
    TriangleArguments<S> a = {};
    a.vertices = vertices.data();
    a.faces = faces.data();
    a.attributes = attributes.data();
    a.opacities = data(opacities);
    a.normals = data(normals);
    a.viewmats = viewmats.data();
    a.Ks = Ks.data();
    a.num_faces = (int64_t)faces.shape(0);
    a.num_vertices = (int64_t)vertices.shape(0);
    a.num_attributes = (int)attributes.shape(1);
    a.cameras = (int)viewmats.shape(0);
    a.width = width;
    a.height = height;
    a.soft = opacities.has_value();
    a.with_normals = normals.has_value();
    a.softness = (S)softness;
    a.near = (S)near;
    return a;
  }

  static void draw(TriangleDrawing &drawing, In<2> vertices, Faces faces, In<2> attributes,
                   MaybeIn<1> opacities, MaybeIn<2> normals, In<3> viewmats, In<3> Ks, int width,
                   int height, double softness, double near, Array<S, 4> channels,
                   Array<S, 3> alpha, Array<int32_t, 3> ids, MaybeOut<1> weight_sum,
                   MaybeOut<1> weight_max, Maybe<int32_t, 1> weight_count) {
    auto a = arguments(vertices, faces, attributes, opacities, normals, viewmats, Ks, width, height,
                       softness, near);
    a.channels = channels.data();
    a.alpha = alpha.data();
    a.ids = ids.data();
    a.weight_sum = data(weight_sum);
    a.weight_max = data(weight_max);
    a.weight_count = data(weight_count);
    nb::gil_scoped_release release;
    draw_triangles(a, drawing.of(S()));
  }

  static void draw_adj(TriangleDrawing &drawing, In<2> vertices, Faces faces, In<2> attributes,
                       MaybeIn<1> opacities, MaybeIn<2> normals, In<3> viewmats, In<3> Ks,
                       int width, int height, double softness, double near, In<4> v_channels,
                       In<3> v_alpha, MaybeOut<2> v_vertices, MaybeOut<2> v_attributes,
                       MaybeOut<1> v_opacities, MaybeOut<2> v_normals, MaybeOut<3> v_viewmats) {
    const auto a = arguments(vertices, faces, attributes, opacities, normals, viewmats, Ks, width,
                             height, softness, near);
    const TriangleGradients<S> g = {v_channels.data(),  v_alpha.data(),    data(v_vertices),
                                    data(v_attributes), data(v_opacities), data(v_normals),
                                    data(v_viewmats)};
    nb::gil_scoped_release release;
    draw_triangles_adj(a, g, drawing.of(S()));
  }

  static void bind(nb::module_ &module) {
    module.def("draw_triangles", &draw, nb::arg("drawing"), nb::arg("vertices"), nb::arg("faces"),
               nb::arg("attributes"), nb::arg("opacities").none(), nb::arg("normals").none(),
               nb::arg("viewmats"), nb::arg("Ks"), nb::arg("width"), nb::arg("height"),
               nb::arg("softness"), nb::arg("near"), nb::arg("channels"), nb::arg("alpha"),
               nb::arg("ids"), nb::arg("weight_sum").none(), nb::arg("weight_max").none(),
               nb::arg("weight_count").none(), "Draw triangles; without opacities solid ones.");
    module.def("draw_triangles_adj", &draw_adj, nb::arg("drawing"), nb::arg("vertices"),
               nb::arg("faces"), nb::arg("attributes"), nb::arg("opacities").none(),
               nb::arg("normals").none(), nb::arg("viewmats"), nb::arg("Ks"), nb::arg("width"),
               nb::arg("height"), nb::arg("softness"), nb::arg("near"), nb::arg("v_channels"),
               nb::arg("v_alpha"), nb::arg("v_vertices").none(), nb::arg("v_attributes").none(),
               nb::arg("v_opacities").none(), nb::arg("v_normals").none(),
               nb::arg("v_viewmats").none(), "Add the gradients of what draw_triangles drew.");
  }
};

}  // namespace

void bind_triangles(nb::module_ &module) {
  nb::class_<TriangleDrawing>(module, "TriangleDrawing", "Working memory for triangles.")
      .def(nb::init<>());
  Binder<float>::bind(module);
  Binder<double>::bind(module);
  nb::dict constants;
  constants["alpha_min"] = TRIANGLE_ALPHA_MIN;
  constants["transmittance_min"] = TRIANGLE_TRANSMITTANCE_MIN;
  constants["slack"] = TRIANGLE_SLACK;
  constants["volume_min"] = TRIANGLE_VOLUME_MIN;
  module.attr("TRIANGLE_CONSTANTS") = constants;
}
