// Which instruction set the kernels use, chosen when the program runs.
//
// A kernel is declared once, in a header without other code:
//
//   SK_KERNEL(blur_rows, (const BlurArguments &arguments, int64_t begin, int64_t end));
//
// defined in a source that CMake compiles for every set (namespace splatkit, inline namespace
// SK_ISA), and called from ordinary sources as SK_BEST(blur_rows)(arguments, begin, end).
#pragma once

namespace splatkit {

enum class Isa { portable, neon, avx2, avx512 };

// The set in use: the widest that was compiled in and that processor and system support, unless
// set_isa or the environment variable SPLATKIT_ISA chose another.
Isa isa();

// The name of a set, and the set of a name; false when the name is none or does not run here.
const char *isa_name(Isa isa);
bool set_isa(const char *name);
bool isa_supported(Isa isa);

}  // namespace splatkit

#if defined(SK_ISA)
#define SK_KERNEL(name, parameters) \
  namespace splatkit {              \
  inline namespace SK_ISA {         \
  void name parameters;             \
  }                                 \
  }                                 \
  static_assert(true, "")
#elif defined(SK_X86)
#define SK_KERNEL(name, parameters) \
  namespace splatkit {              \
  namespace portable {              \
  void name parameters;             \
  }                                 \
  namespace avx2 {                  \
  void name parameters;             \
  }                                 \
  namespace avx512 {                \
  void name parameters;             \
  }                                 \
  }                                 \
  static_assert(true, "")
#define SK_BEST(name)                                                 \
  (splatkit::isa() == splatkit::Isa::avx512 ? &splatkit::avx512::name \
   : splatkit::isa() == splatkit::Isa::avx2 ? &splatkit::avx2::name   \
                                            : &splatkit::portable::name)
#elif defined(SK_ARM)
#define SK_KERNEL(name, parameters) \
  namespace splatkit {              \
  namespace portable {              \
  void name parameters;             \
  }                                 \
  namespace neon {                  \
  void name parameters;             \
  }                                 \
  }                                 \
  static_assert(true, "")
#define SK_BEST(name) \
  (splatkit::isa() == splatkit::Isa::neon ? &splatkit::neon::name : &splatkit::portable::name)
#else
#define SK_KERNEL(name, parameters) \
  namespace splatkit {              \
  namespace portable {              \
  void name parameters;             \
  }                                 \
  }                                 \
  static_assert(true, "")
#define SK_BEST(name) (&splatkit::portable::name)
#endif
