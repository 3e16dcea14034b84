// Hands rows of large images to the threads.

#include "thread_pool.h"
#include "upscale.h"

namespace splatkit {
namespace {

constexpr int ROWS = 16;

template <class F>
void for_rows(int height, F &&f) {
  parallel_for(height, ROWS, [&](int64_t begin, int64_t end, int) { f((int)begin, (int)end); });
}

}  // namespace

void upscale_hermite(const HermiteArguments &a) {
  const auto kernel = SK_BEST(hermite_rows);
  for_rows(a.height, [&](int begin, int end) {
    kernel(a, begin, end, thread_scratch(hermite_scratch(a.grid.width, a.width)));
  });
}

void upscale_history(const HistoryArguments &a) {
  const auto kernel = SK_BEST(history_rows);
  for_rows(a.now.height, [&](int begin, int end) {
    kernel(a, begin, end, thread_scratch(hermite_scratch(a.now.grid.width, a.now.width)));
  });
}

void upscale_fsr(const FsrArguments &a) {
  const auto kernel = SK_BEST(fsr_rows);
  for_rows(a.height, [&](int begin, int end) { kernel(a, begin, end); });
}

void sharpen_image(const SharpenArguments &a) {
  const auto kernel = SK_BEST(sharpen_rows);
  for_rows(a.height, [&](int begin, int end) { kernel(a, begin, end); });
}

}  // namespace splatkit
