#include "machine.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "buffer.h"
#include "thread_pool.h"

namespace splatkit {
namespace {

// The shortest of many short runs of f, in seconds: other programs rarely disturb them all.
template <class F>
double best_time(F &&f) {
  double best = 1e30;
  for (int run = 0; run < 40; ++run) {
    const auto start = std::chrono::steady_clock::now();
    f();
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    best = std::min(best, elapsed.count());
  }
  return best;
}

}  // namespace

double measure_fma() {
  constexpr int64_t STEPS = 1'000'000;
  const int threads = num_threads();
  std::vector<float> sinks(16 * threads);
  std::vector<int> lanes(16 * threads);
  const auto kernel = SK_BEST(burn_fma);
  const double seconds = best_time([&] {
    parallel_for(threads, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) kernel(STEPS, &sinks[16 * i], &lanes[16 * i]);
    });
  });
  return 2.0 * STEPS * lanes[0] * threads / seconds * 1e-9;
}

double measure_triad() {
  constexpr int64_t COUNT = 16 << 20;  // 64 MiB an array
  constexpr int64_t PIECES = 64;
  Buffer<float> a, b, c;
  for (Buffer<float> *array : {&a, &b, &c}) std::fill_n(array->resize(COUNT), COUNT, 1.0f);
  const auto kernel = SK_BEST(triad);
  const double seconds = best_time([&] {
    parallel_for(PIECES, 1, [&](int64_t begin, int64_t end, int) {
      const int64_t size = COUNT / PIECES;
      for (int64_t i = begin; i < end; ++i)
        kernel(a.data() + i * size, b.data() + i * size, c.data() + i * size, size);
    });
  });
  return 12.0 * COUNT / seconds * 1e-9;
}

}  // namespace splatkit
