// Cuts images into pieces for the threads and adds up the loss in a fixed order.

#include <algorithm>
#include <vector>

#include "ssim.h"
#include "thread_pool.h"

namespace splatkit {

double image_loss(const ImageLoss &a) {
  if ((int64_t)a.cameras * a.height * a.width == 0) return 0.0;
  const int strips = (a.width + SSIM_MAX_COLUMNS - 1) / SSIM_MAX_COLUMNS;
  // Each piece computes 10 rows more than it owns, so there are only as many as threads need.
  const int wanted = (num_threads() + a.cameras * strips - 1) / (a.cameras * strips);
  const int band = std::max(16, (a.height + wanted - 1) / wanted);
  const int bands = (a.height + band - 1) / band;
  std::vector<RowLoss> rows((size_t)a.cameras * strips * a.height);
  const auto kernel = SK_BEST(image_loss_piece);
  parallel_for((int64_t)a.cameras * strips * bands, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const int camera = (int)(i / (strips * bands)), strip = (int)(i / bands % strips);
      const int first = (int)(i % bands) * band;
      // Strips of nearly equal width: boundaries depend on the image alone.
      const ImagePiece piece = {camera, first, std::min(first + band, a.height),
                                (int)((int64_t)a.width * strip / strips),
                                (int)((int64_t)a.width * (strip + 1) / strips)};
      RowLoss *out = &rows[((size_t)camera * strips + strip) * a.height + first];
      kernel(a, piece, out, thread_scratch(SSIM_SCRATCH));
    }
  });
  double difference = 0.0, similarity = 0.0;
  for (const RowLoss &row : rows) {
    difference += row.difference;
    similarity += row.similarity;
  }
  const double values = 3.0 * a.cameras * a.height * a.width;
  return (1.0 - a.ssim_weight) * difference / values + a.ssim_weight * (1.0 - similarity / values);
}

}  // namespace splatkit
