// CUDA's execution model for g++: kernels run on the CPU, block after block, each thread a fiber.
//
// Threads run until they reach a barrier or a warp-wide operation and wait there for the others;
// in which order they run is fixed, or shuffled by a seed: results that depend on it lack a
// barrier. Shared memory holds NaN and wild integers when a block starts. Divergence at warp-wide
// operations, threads missing at a barrier and partial masks end the program with a message.
#pragma once

#include <sys/mman.h>
#include <ucontext.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#if defined(__SANITIZE_ADDRESS__)
#define __shared__ static
#else
#define __shared__ static __attribute__((section("simt_shared")))
extern char __start_simt_shared[] __attribute__((weak)), __stop_simt_shared[] __attribute__((weak));
#endif

struct float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

namespace simt {

struct Index {
  unsigned x = 0, y = 0, z = 0;
};

enum class Wait { no, warp, block, done };

// One thread of the running block.
struct Fiber {
  void *stack_pointer = nullptr;
  char *stack = nullptr;
  Index thread;
  Wait wait = Wait::no;
  const char *operation = nullptr;
};

// What the lanes of a warp hand each other; two, because a fast lane may be one operation ahead.
struct Warp {
  uint64_t values[2][32];
  int generation = 0, arrived = 0;
};

struct Machine {
  std::vector<Fiber> fibers;
  std::vector<Warp> warps;
  std::vector<char *> stacks;
  std::function<void()> kernel;
  Index block, block_size, grid_size;
  Fiber *current = nullptr;
  void *scheduler = nullptr;
  int arrived = 0, votes = 0, last_votes = 0;
  uint64_t random = 0;  // 0: threads run in order
};
inline Machine machine;

[[noreturn]] inline void fail(const char *what, const char *operation) {
  std::fprintf(stderr, "simt: %s at %s, block %u, thread %u\n", what, operation ? operation : "-",
               machine.block.x, machine.current ? machine.current->thread.x : 0);
  std::abort();
}

constexpr size_t STACK = 256 << 10;

#if defined(__x86_64__)
// Saves what a call preserves on the old stack, and goes on where the new one was left.
extern "C" void simt_switch(void **from, void *to);
asm(R"(
.pushsection .text
.weak simt_switch
.type simt_switch, @function
simt_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.popsection
)");
inline void switch_to(void **from, void *to) { simt_switch(from, to); }
inline void *prepare_stack(char *stack, void (*entry)()) {
  void **top = reinterpret_cast<void **>(stack + STACK - 64);
  *--top = nullptr;  // the entry point sees a stack as after a call
  *--top = reinterpret_cast<void *>(entry);
  for (int i = 0; i < 6; ++i) *--top = nullptr;
  return top;
}
#else
inline void switch_to(void **from, void *to) {
  ucontext_t own;
  *from = &own;
  swapcontext(&own, static_cast<ucontext_t *>(to));
}
inline void *prepare_stack(char *stack, void (*entry)()) {
  ucontext_t *context = reinterpret_cast<ucontext_t *>(stack);
  getcontext(context);
  context->uc_stack.ss_sp = stack + sizeof(ucontext_t);
  context->uc_stack.ss_size = STACK - sizeof(ucontext_t);
  context->uc_link = nullptr;
  makecontext(context, entry, 0);
  return context;
}
#endif

inline void wait_for(Wait what, const char *operation) {
  Fiber *self = machine.current;
  self->wait = what;
  self->operation = operation;
  switch_to(&self->stack_pointer, machine.scheduler);
}

inline void enter() {
  machine.kernel();
  wait_for(Wait::done, nullptr);
}

inline uint64_t next_random() {
  machine.random ^= machine.random << 13;
  machine.random ^= machine.random >> 7;
  machine.random ^= machine.random << 17;
  return machine.random;
}

inline void run_block() {
  Machine &m = machine;
  const int threads = (int)m.fibers.size();
#if !defined(__SANITIZE_ADDRESS__)
  if (__start_simt_shared)
    std::memset(__start_simt_shared, 0xff, __stop_simt_shared - __start_simt_shared);
#endif
  for (Warp &warp : m.warps) warp.generation = warp.arrived = 0;
  m.arrived = m.votes = 0;
  std::vector<int> order(threads);
  for (int t = 0; t < threads; ++t) {
    Fiber &fiber = m.fibers[t];
    fiber.stack_pointer = prepare_stack(m.stacks[t], enter);
    fiber.wait = Wait::no;
    order[t] = t;
  }
  int done = 0;
  while (done < threads) {
    if (m.random)
      for (int i = threads - 1; i > 0; --i) std::swap(order[i], order[next_random() % (i + 1)]);
    bool moved = false;
    for (const int t : order) {
      Fiber &fiber = m.fibers[t];
      if (fiber.wait != Wait::no) continue;
      moved = true;
      m.current = &fiber;
      switch_to(&m.scheduler, fiber.stack_pointer);
      if (fiber.wait == Wait::done) ++done;
      if (fiber.wait == Wait::block && ++m.arrived == threads) {
        m.arrived = 0;
        m.last_votes = m.votes;
        m.votes = 0;
        for (Fiber &other : m.fibers) other.wait = Wait::no;
      }
      if (fiber.wait == Wait::warp) {
        Warp &warp = m.warps[t / 32];
        if (++warp.arrived == 32) {
          warp.arrived = 0;
          ++warp.generation;
          for (int lane = 0; lane < 32; ++lane) {
            Fiber &other = m.fibers[t / 32 * 32 + lane];
            if (other.operation != fiber.operation)
              fail("lanes of a warp met at different operations", fiber.operation);
            other.wait = Wait::no;
          }
        }
      }
    }
    if (!moved) {
      for (Fiber &fiber : m.fibers)
        if (fiber.wait != Wait::done) {
          m.current = &fiber;
          fail("threads wait for others that never come", fiber.operation);
        }
    }
  }
}

// Runs a kernel on `blocks` blocks of `threads` threads; `seed` 0 runs threads in order.
template <class F>
void launch(unsigned blocks, unsigned threads, uint64_t seed, F &&kernel) {
  Machine &m = machine;
  if (threads % 32) fail("threads of a block are no multiple of 32", "launch");
  m.kernel = kernel;
  m.fibers.assign(threads, Fiber());
  m.warps.assign(threads / 32, Warp());
  while (m.stacks.size() < threads) {
    void *memory = mmap(nullptr, STACK, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) fail("no memory for stacks", "launch");
    m.stacks.push_back(static_cast<char *>(memory));
  }
  for (unsigned t = 0; t < threads; ++t) m.fibers[t].thread.x = t;
  m.block_size.x = threads;
  m.grid_size.x = blocks;
  m.random = seed;
  std::vector<unsigned> order(blocks);
  for (unsigned b = 0; b < blocks; ++b) order[b] = b;
  if (seed)
    for (unsigned b = blocks; b-- > 1;) std::swap(order[b], order[next_random() % (b + 1)]);
  for (const unsigned b : order) {
    m.block.x = b;
    run_block();
  }
}

// Meets the other lanes; afterwards all their values can be read.
template <class T>
inline const uint64_t *exchange(unsigned mask, T value, const char *operation) {
  if (mask != 0xffffffffu) fail("partial mask", operation);
  const unsigned t = machine.current->thread.x;
  Warp &warp = machine.warps[t / 32];
  uint64_t *values = warp.values[warp.generation & 1];
  values[t % 32] = 0;
  std::memcpy(&values[t % 32], &value, sizeof value);
  wait_for(Wait::warp, operation);
  return values;
}

template <class T>
inline T lane_value(const uint64_t *values, int lane) {
  T value;
  std::memcpy(&value, &values[lane], sizeof value);
  return value;
}

inline int own_lane() { return (int)(machine.current->thread.x % 32); }

}  // namespace simt

#define threadIdx (simt::machine.current->thread)
#define blockIdx (simt::machine.block)
#define blockDim (simt::machine.block_size)
#define gridDim (simt::machine.grid_size)

inline void __syncthreads() { simt::wait_for(simt::Wait::block, "__syncthreads"); }
inline int __syncthreads_count(int vote) {
  simt::machine.votes += vote != 0;
  simt::wait_for(simt::Wait::block, "__syncthreads_count");
  return simt::machine.last_votes;
}
inline int __syncthreads_or(int vote) { return __syncthreads_count(vote) != 0; }
inline void __syncwarp(unsigned mask = 0xffffffffu) { simt::exchange(mask, 0, "__syncwarp"); }
inline unsigned __ballot_sync(unsigned mask, int vote) {
  const uint64_t *values = simt::exchange(mask, vote, "__ballot_sync");
  unsigned result = 0;
  for (int lane = 0; lane < 32; ++lane)
    if (simt::lane_value<int>(values, lane)) result |= 1u << lane;
  return result;
}
inline int __any_sync(unsigned mask, int vote) { return __ballot_sync(mask, vote) != 0; }
inline int __all_sync(unsigned mask, int vote) { return __ballot_sync(mask, vote) == 0xffffffffu; }
template <class T>
inline T __shfl_sync(unsigned mask, T value, int lane) {
  return simt::lane_value<T>(simt::exchange(mask, value, "__shfl_sync"), lane & 31);
}
template <class T>
inline T __shfl_xor_sync(unsigned mask, T value, int step) {
  return simt::lane_value<T>(simt::exchange(mask, value, "__shfl_xor_sync"),
                             simt::own_lane() ^ step);
}
template <class T>
inline T __shfl_up_sync(unsigned mask, T value, unsigned step) {
  const uint64_t *values = simt::exchange(mask, value, "__shfl_up_sync");
  const int from = simt::own_lane() - (int)step;
  return simt::lane_value<T>(values, from < 0 ? simt::own_lane() : from);
}
template <class T>
inline T __shfl_down_sync(unsigned mask, T value, unsigned step) {
  const uint64_t *values = simt::exchange(mask, value, "__shfl_down_sync");
  const int from = simt::own_lane() + (int)step;
  return simt::lane_value<T>(values, from > 31 ? simt::own_lane() : from);
}

template <class T>
inline T atomicAdd(T *place, T value) {
  const T before = *place;
  *place = before + value;
  return before;
}
template <class T>
inline T atomicMax(T *place, T value) {
  const T before = *place;
  if (value > before) *place = value;
  return before;
}

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __clz(int x) { return x ? __builtin_clz((unsigned)x) : 32; }
template <class T>
inline T __ldg(const T *p) {
  return *p;
}
inline int __float_as_int(float x) {
  int bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}
inline unsigned __float_as_uint(float x) { return (unsigned)__float_as_int(x); }
inline float __int_as_float(int bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}
inline float __uint_as_float(unsigned bits) { return __int_as_float((int)bits); }
