#include "finish.h"

#include <algorithm>

#include "finish_layout.h"
#include "thread_pool.h"

namespace splatkit {

void finish(const FinishJob &job) {
  const auto kernel = SK_BEST(finish_block);
  const int64_t scratch = FinishLayout::size(job.cameras);
  parallel_for(job.count, 16 * FINISH_BLOCK, [&](int64_t begin, int64_t end, int) {
    for (int64_t first = begin; first < end; first += FINISH_BLOCK)
      kernel(job, first, std::min<int64_t>(first + FINISH_BLOCK, end), thread_scratch(scratch));
  });
}

}  // namespace splatkit
