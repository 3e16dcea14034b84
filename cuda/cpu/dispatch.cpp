#include "dispatch.h"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

#if defined(SK_X86) && defined(_MSC_VER)
#include <immintrin.h>
#include <intrin.h>
#endif

namespace splatkit {
namespace {

#if defined(SK_X86) && defined(_MSC_VER)
// CPUID leaf 7 says what the processor has, XGETBV what the system saves on a task switch.
bool has(Isa isa) {
  int leaf1[4], leaf7[4];
  __cpuid(leaf1, 0);
  if (leaf1[0] < 7) return false;
  __cpuidex(leaf1, 1, 0);
  __cpuidex(leaf7, 7, 0);
  const bool osxsave = leaf1[2] >> 27 & 1, fma = leaf1[2] >> 12 & 1;
  if (!osxsave || !fma) return false;
  const unsigned long long saved = _xgetbv(0);
  const bool avx2 = (leaf7[1] >> 5 & 1) && (saved & 0x6) == 0x6;
  if (isa == Isa::avx2) return avx2;
  const bool f = leaf7[1] >> 16 & 1, dq = leaf7[1] >> 17 & 1, bw = leaf7[1] >> 30 & 1,
             vl = leaf7[1] >> 31 & 1;
  return avx2 && f && dq && bw && vl && (saved & 0xe6) == 0xe6;
}
#elif defined(SK_X86)
bool has(Isa isa) {
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (isa == Isa::avx2) return avx2;
  return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
}
#endif

Isa widest() {
  if (const char *name = std::getenv("SPLATKIT_ISA"))
    for (Isa isa : {Isa::portable, Isa::neon, Isa::avx2, Isa::avx512})
      if (std::strcmp(name, isa_name(isa)) == 0 && isa_supported(isa)) return isa;
  for (Isa isa : {Isa::avx512, Isa::avx2, Isa::neon})
    if (isa_supported(isa)) return isa;
  return Isa::portable;
}

std::atomic<Isa> &current() {
  static std::atomic<Isa> value{widest()};
  return value;
}

}  // namespace

bool isa_supported(Isa isa) {
  if (isa == Isa::portable) return true;
#if defined(SK_X86)
  return (isa == Isa::avx2 || isa == Isa::avx512) && has(isa);
#elif defined(SK_ARM)
  return isa == Isa::neon;
#else
  return false;
#endif
}

const char *isa_name(Isa isa) {
  switch (isa) {
    case Isa::avx512:
      return "avx512";
    case Isa::avx2:
      return "avx2";
    case Isa::neon:
      return "neon";
    default:
      return "portable";
  }
}

Isa isa() { return current().load(std::memory_order_relaxed); }

bool set_isa(const char *name) {
  for (Isa isa : {Isa::portable, Isa::neon, Isa::avx2, Isa::avx512})
    if (std::strcmp(name, isa_name(isa)) == 0 && isa_supported(isa)) {
      current().store(isa);
      return true;
    }
  return false;
}

}  // namespace splatkit
