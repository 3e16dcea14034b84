// What all kernels share beside formulas: warps, running sums, and the few PTX instructions.
//
// Kernels keep all lanes of a warp alive up to its last warp-wide operation, and use full masks
// only. The same sources run on the CPU in tests (tests/simt), where every PTX function below has
// its twin.
#pragma once

#include "params.h"
#include "splatkit/common.h"

// Adding four floats at once came with compute capability 9.0 and CUDA 12.1.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900 && \
    (__CUDACC_VER_MAJOR__ > 12 || (__CUDACC_VER_MAJOR__ == 12 && __CUDACC_VER_MINOR__ >= 1))
#define SK_VECTOR_ATOMICS 1
#else
#define SK_VECTOR_ATOMICS 0
#endif

#define SK_DEVICE __device__ __forceinline__
#define SK_GLOBAL(...) extern "C" __global__ void __launch_bounds__(__VA_ARGS__)

namespace splatkit {
inline namespace SK_ISA {

constexpr unsigned FULL_WARP = 0xffffffffu;
constexpr int WARP = 32;

SK_DEVICE int min(int a, int b) { return a < b ? a : b; }
SK_DEVICE int max(int a, int b) { return a > b ? a : b; }
SK_DEVICE unsigned min(unsigned a, unsigned b) { return a < b ? a : b; }
SK_DEVICE unsigned max(unsigned a, unsigned b) { return a > b ? a : b; }
SK_DEVICE long long min(long long a, long long b) { return a < b ? a : b; }
SK_DEVICE long long max(long long a, long long b) { return a > b ? a : b; }

constexpr SK_DEVICE int ceil_div(int a, int b) { return (a + b - 1) / b; }

SK_DEVICE int lane_id() { return threadIdx.x & 31; }
SK_DEVICE int warp_id() { return threadIdx.x >> 5; }

// 2^x to 2 ulp, 0 where the result is below the normal numbers.
SK_DEVICE float exp2_fast(float x) {
#if defined(__CUDA_ARCH__)
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#else
  return exp2(x);
#endif
}

// 1 / x to 1 ulp, of normal numbers.
SK_DEVICE float reciprocal_fast(float x) {
#if defined(__CUDA_ARCH__)
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#else
  return 1.0f / x;
#endif
}

// Loads and stores that other blocks see and that no compiler moves or merges.
SK_DEVICE unsigned load_shared_state(const unsigned *p) {
#if defined(__CUDA_ARCH__)
  unsigned value;
  asm volatile("ld.relaxed.gpu.global.u32 %0, [%1];" : "=r"(value) : "l"(p) : "memory");
  return value;
#else
  return *p;
#endif
}
SK_DEVICE void store_shared_state(unsigned *p, unsigned value) {
#if defined(__CUDA_ARCH__)
  asm volatile("st.relaxed.gpu.global.u32 [%0], %1;" : : "l"(p), "r"(value) : "memory");
#else
  *p = value;
#endif
}

// Adds four floats to an aligned row; in one transaction where the processor has it.
SK_DEVICE void atomic_add4(float *p, float4 v) {
#if SK_VECTOR_ATOMICS
  asm volatile("red.relaxed.gpu.global.add.v4.f32 [%0], {%1, %2, %3, %4};"
               :
               : "l"(p), "f"(v.x), "f"(v.y), "f"(v.z), "f"(v.w)
               : "memory");
#else
  atomicAdd(p, v.x);
  atomicAdd(p + 1, v.y);
  atomicAdd(p + 2, v.z);
  atomicAdd(p + 3, v.w);
#endif
}

// IEEE half precision in the low 16 bits, round to nearest even; beyond the range: infinity.
SK_DEVICE unsigned half_bits(float x) {
#if defined(__CUDA_ARCH__)
  unsigned short h;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(x));
  return h;
#else
  const _Float16 h = (_Float16)x;
  unsigned short bits;
  __builtin_memcpy(&bits, &h, sizeof bits);
  return bits;
#endif
}
SK_DEVICE float half_value(unsigned bits) {
  const unsigned short low = (unsigned short)bits;
#if defined(__CUDA_ARCH__)
  float x;
  asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(low));
  return x;
#else
  _Float16 h;
  __builtin_memcpy(&h, &low, sizeof h);
  return (float)h;
#endif
}

// All lanes get the sum.
template <class T>
SK_DEVICE T warp_sum(T value) {
  for (int step = 16; step > 0; step >>= 1) value += __shfl_xor_sync(FULL_WARP, value, step);
  return value;
}

// Each lane gets the sum over lanes of the value of its own number modulo `all`, a power of 2 up to
// 32: pairs of lanes share the values between them, half each, until one is left. Destroys them.
template <int all, int n = all>
SK_DEVICE float transposed_sum(float *values) {
  if constexpr (n > 1) {
    constexpr int half = n / 2;
    const bool upper = lane_id() & half;
#pragma unroll
    for (int i = 0; i < half; ++i) {
      const float given = upper ? values[i] : values[i + half];
      const float kept = upper ? values[i + half] : values[i];
      values[i] = kept + __shfl_xor_sync(FULL_WARP, given, half);
    }
    return transposed_sum<all, half>(values);
  } else {
#pragma unroll
    for (int step = all; step < WARP; step <<= 1)
      values[0] += __shfl_xor_sync(FULL_WARP, values[0], step);
    return values[0];
  }
}

// The sum of the values of this lane and those below it.
SK_DEVICE unsigned warp_running_sum(unsigned value) {
  const int lane = lane_id();
  for (int step = 1; step < WARP; step <<= 1) {
    const unsigned below = __shfl_up_sync(FULL_WARP, value, step);
    if (lane >= step) value += below;
  }
  return value;
}

// The sum of the values of threads before this one, and of all; `warp_sums` [32] is shared.
template <int threads>
SK_DEVICE unsigned block_sum_before(unsigned value, unsigned *warp_sums, unsigned &total) {
  constexpr int warps = threads / WARP;
  const unsigned inclusive = warp_running_sum(value);
  if (lane_id() == WARP - 1) warp_sums[warp_id()] = inclusive;
  __syncthreads();
  unsigned before = 0;
  total = 0;
#pragma unroll
  for (int w = 0; w < warps; ++w) {
    const unsigned sum = warp_sums[w];
    if (w < warp_id()) before += sum;
    total += sum;
  }
  return before + inclusive - value;
}

// Running sums over blocks in one pass (Merrill and Garland 2016, decoupled look-back). A state is
// zero until its block has something to say, then its own sum, then the sum up to its end. Blocks
// take their numbers by ticket, so whoever is waited for is already running.
constexpr unsigned STATE_OWN = 1u << 30, STATE_ALL = 2u << 30, STATE_VALUE = STATE_OWN - 1;

// The sum of two sums, or STATE_VALUE where that is less: what is too large for a state stays so.
SK_DEVICE unsigned saturated_sum(unsigned a, unsigned b) { return min(a + b, STATE_VALUE); }

// To be called by one whole warp of a block; the sum over the blocks before it.
SK_DEVICE unsigned look_back(unsigned *states, int block, unsigned total) {
  const int lane = lane_id();
  unsigned before = 0;
  total = min(total, STATE_VALUE);
  if (block > 0) {
    if (lane == 0) store_shared_state(states + block, STATE_OWN | total);
    for (int last = block - 1; last >= 0; last -= WARP) {
      const int i = last - lane;
      unsigned state;
      do {
        state = i >= 0 ? load_shared_state(states + i) : STATE_ALL;
      } while (__any_sync(FULL_WARP, state < STATE_OWN));
      const unsigned ends = __ballot_sync(FULL_WARP, state >= STATE_ALL);
      // Lanes up to the nearest block that knows the whole sum.
      unsigned sum = ends == 0 || lane < __ffs((int)ends) ? state & STATE_VALUE : 0u;
      for (int step = 16; step > 0; step >>= 1)
        sum = saturated_sum(sum, __shfl_xor_sync(FULL_WARP, sum, step));
      before = saturated_sum(before, sum);
      if (ends) break;
    }
  }
  if (lane == 0) store_shared_state(states + block, STATE_ALL | saturated_sum(before, total));
  return before;
}

}  // namespace SK_ISA
}  // namespace splatkit
