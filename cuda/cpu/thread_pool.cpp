#include "thread_pool.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <vector>

#ifndef _WIN32
#include <unistd.h>
#endif

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace splatkit {
namespace {

// How often an idle worker looks for the next loop before it sleeps: some 50 microseconds, more
// than the time between two loops of one training step, less than anyone would notice.
constexpr int SPINS = 2000;

void relax() {
#if defined(__x86_64__) || defined(_M_X64)
  _mm_pause();
#elif defined(__aarch64__) && !defined(_MSC_VER)
  __asm__ __volatile__("yield");
#endif
}

int64_t process_id() {
#ifdef _WIN32
  return 0;
#else
  return getpid();
#endif
}

// Numbers too small for a full mantissa count as 0 inside loops: arithmetic on them is many times
// slower on some processors, and fading Adam moments are full of them.
class FlushTiny {
 public:
#if defined(__x86_64__) || defined(_M_X64)
  FlushTiny() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8040); }
  ~FlushTiny() { _mm_setcsr(before_); }

 private:
  unsigned before_;
#elif defined(__aarch64__) && !defined(_MSC_VER)
  FlushTiny() {
    __asm__ __volatile__("mrs %0, fpcr" : "=r"(before_));
    __asm__ __volatile__("msr fpcr, %0" : : "r"(before_ | (uint64_t)1 << 24));
  }
  ~FlushTiny() { __asm__ __volatile__("msr fpcr, %0" : : "r"(before_)); }

 private:
  uint64_t before_;
#endif
};

struct Loop {
  int64_t count = 0, grain = 1;
  void (*work)(void *, int64_t, int64_t, int) = nullptr;
  void *context = nullptr;
};

thread_local bool inside_loop = false;

class Pool {
 public:
  explicit Pool(int threads) : process(process_id()) {
    for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { serve(i); });
  }

  ~Pool() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      stop_ = true;
      generation_.fetch_add(1);
    }
    wake_.notify_all();
    for (std::thread &worker : workers_) worker.join();
  }

  int size() const { return (int)workers_.size() + 1; }

  void run(const Loop &loop) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      loop_ = loop;
      next_.store(0, std::memory_order_relaxed);
      busy_.store((int)workers_.size(), std::memory_order_relaxed);
      generation_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    take(0);
    // Workers that are still inside their last piece need at most as long as that piece.
    for (int spin = 0; busy_.load(std::memory_order_acquire) != 0; ++spin)
      spin < SPINS ? relax() : std::this_thread::yield();
  }

  // Fork copies the pool but not its threads; the child makes its own.
  const int64_t process;

 private:
  void take(int worker) {
    const FlushTiny flush;
    inside_loop = true;
    for (;;) {
      const int64_t begin = next_.fetch_add(loop_.grain, std::memory_order_relaxed);
      if (begin >= loop_.count) break;
      loop_.work(loop_.context, begin, std::min(begin + loop_.grain, loop_.count), worker);
    }
    inside_loop = false;
  }

  void serve(int worker) {
    uint64_t seen = 0;
    for (;;) {
      for (int spin = 0; spin < SPINS && generation_.load(std::memory_order_acquire) == seen;
           ++spin)
        relax();
      if (generation_.load(std::memory_order_acquire) == seen) {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [&] { return generation_.load() != seen; });
      }
      seen = generation_.load(std::memory_order_acquire);
      if (stop_) return;
      take(worker);
      busy_.fetch_sub(1, std::memory_order_acq_rel);
    }
  }

  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<uint64_t> generation_{0};
  std::atomic<int64_t> next_{0};
  std::atomic<int> busy_{0};
  std::atomic<bool> stop_{false};
  Loop loop_;
};

int default_threads() {
  if (const char *text = std::getenv("SPLATKIT_THREADS")) {
    const int count = std::atoi(text);
    if (count > 0) return count;
  }
  return std::max(1u, std::thread::hardware_concurrency());
}

std::mutex pool_mutex;
std::atomic<int> wanted_threads{0};
// Never destroyed at exit: workers then sleep, and joining them from a static destructor could
// wait for ever on systems that stop threads first.
Pool *pool = nullptr;

}  // namespace

int num_threads() {
  int count = wanted_threads.load();
  if (count == 0) wanted_threads.store(count = default_threads());
  return count;
}

void set_num_threads(int count) { wanted_threads.store(count < 1 ? default_threads() : count); }

void run_parallel(int64_t count, int64_t grain, void (*work)(void *, int64_t, int64_t, int),
                  void *context) {
  if (count <= 0) return;
  grain = std::max<int64_t>(1, grain);
  const int threads = num_threads();
  if (inside_loop || threads == 1 || count <= grain) {
    const FlushTiny flush;
    for (int64_t begin = 0; begin < count; begin += grain)
      work(context, begin, std::min(begin + grain, count), 0);
    return;
  }
  std::lock_guard<std::mutex> turn(pool_mutex);
  if (pool && pool->process != process_id()) pool = nullptr;
  if (pool && pool->size() != threads) {
    delete pool;
    pool = nullptr;
  }
  if (!pool) pool = new Pool(threads);
  pool->run({count, grain, work, context});
}

float *thread_scratch(int64_t count) {
  static thread_local std::vector<float> memory;
  const size_t needed = (size_t)count + 16;
  if (memory.size() < needed) memory.assign(needed, 0.0f);
  const uintptr_t address = reinterpret_cast<uintptr_t>(memory.data());
  return reinterpret_cast<float *>((address + 63) / 64 * 64);
}

}  // namespace splatkit
