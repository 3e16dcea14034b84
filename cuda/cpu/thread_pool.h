// Persistent worker threads for loops over independent pieces of work.
//
// Pieces are handed out dynamically, so no result may depend on which thread ran a piece: every
// piece writes its own outputs, and sums over pieces are taken in order of pieces.
#pragma once

#include <cstdint>

namespace splatkit {

// Threads that parallel_for uses, the calling one included: what set_num_threads said, else the
// environment variable SPLATKIT_THREADS, else all that this process may run on.
int num_threads();

// Uses `count` threads from now on; below 1 means the default again.
void set_num_threads(int count);

// Calls work(context, begin, end, worker) for consecutive ranges of at most `grain` that cover
// 0..count; `worker` is below num_threads() and never the same in two calls at one time. Returns
// when all is done. A call from inside `work` runs in its own thread; calls from several outside
// threads take turns. Denormal numbers count as 0 inside. `work` must not throw.
void run_parallel(int64_t count, int64_t grain,
                  void (*work)(void *context, int64_t begin, int64_t end, int worker),
                  void *context);

// The same for any callable f(begin, end, worker).
template <class F>
void parallel_for(int64_t count, int64_t grain, F &&f) {
  run_parallel(
      count, grain,
      [](void *context, int64_t begin, int64_t end, int worker) {
        (*static_cast<F *>(context))(begin, end, worker);
      },
      &f);
}

// Working memory of the calling thread, aligned to 64 bytes: at least `count` floats of undefined
// content, valid until the thread asks again. Kept from call to call.
float *thread_scratch(int64_t count);

}  // namespace splatkit
