// Arrays as the bindings take them: on the CPU, contiguous, of a fixed number of dimensions.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>

#include <optional>

namespace nb = nanobind;

template <class T, int Dimensions>
using Array = nb::ndarray<T, nb::ndim<Dimensions>, nb::c_contig, nb::device::cpu>;
template <class T, int Dimensions>
using Maybe = std::optional<Array<T, Dimensions>>;

template <class A>
auto data(const std::optional<A> &array) -> decltype(array->data()) {
  return array ? array->data() : nullptr;
}
