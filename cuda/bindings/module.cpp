// The Python module splatkit._native: what the processor offers, and the registered kernels.

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <string>
#include <vector>

#include "../cpu/dispatch.h"
#include "../cpu/thread_pool.h"

namespace nb = nanobind;

void bind_files(nb::module_ &module);
void bind_fusion(nb::module_ &module);
void bind_raster(nb::module_ &module);
void bind_step(nb::module_ &module);
void bind_triangles(nb::module_ &module);
void bind_upscale(nb::module_ &module);

NB_MODULE(_native, module) {
  using namespace splatkit;
  // Tensors of an autograd graph may outlive the interpreter's clean-up; that is no leak.
  nb::set_leak_warnings(false);
  module.doc() = "Native kernels of splatkit on the CPU.";
  module.def("num_threads", &num_threads, "Threads that the kernels use.");
  module.def("set_num_threads", &set_num_threads, nb::arg("count"),
             "Use this many threads from now on; 0 means as many as the machine has.");
  module.def("isa", [] { return isa_name(isa()); }, "Instruction set that the kernels use.");
  module.def(
      "supported_isas",
      [] {
        std::vector<std::string> names;
        for (Isa isa : {Isa::portable, Isa::neon, Isa::avx2, Isa::avx512})
          if (isa_supported(isa)) names.emplace_back(isa_name(isa));
        return names;
      },
      "Names of the instruction sets that run here, narrowest first.");
  module.def(
      "set_isa",
      [](const std::string &name) {
        if (!set_isa(name.c_str()))
          throw nb::value_error(("isa: expected one that runs here, got '" + name + "'").c_str());
      },
      nb::arg("name"), "Use another instruction set from now on; for tests and comparisons.");
  bind_files(module);
  bind_fusion(module);
  bind_raster(module);
  bind_step(module);
  bind_triangles(module);
  bind_upscale(module);
}
