// Turns a degree of spherical harmonics known at run time into a template argument.
#pragma once

namespace splatkit {
inline namespace SK_ISA {

template <int degree>
struct Degree {
  static constexpr int value = degree;
};

// Calls f(Degree<degree>()).
template <class F>
inline void with_degree(int degree, F &&f) {
  switch (degree) {
    case 0:
      return f(Degree<0>());
    case 1:
      return f(Degree<1>());
    case 2:
      return f(Degree<2>());
    case 3:
      return f(Degree<3>());
    default:
      return f(Degree<4>());
  }
}

}  // namespace SK_ISA
}  // namespace splatkit
