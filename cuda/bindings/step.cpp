// Kernels of the training step beyond the rasterizer: image loss and finish.

#include <nanobind/nanobind.h>

namespace nb = nanobind;

void bind_step(nb::module_ &module) { (void)module; }
