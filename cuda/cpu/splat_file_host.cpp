// Sorts .splat records while they are written: by counting, in two passes over the Gaussians.

#include <atomic>
#include <vector>

#include "buffer.h"
#include "splat_file.h"
#include "thread_pool.h"

namespace splatkit {
namespace {

// Gaussians counted, and later written, as one piece.
constexpr int64_t PIECE = 1 << 16;

}  // namespace

bool pack_splats(const PackSplats &a) {
  const int64_t pieces = (a.count + PIECE - 1) / PIECE;
  Buffer<uint16_t> keys;
  keys.resize(a.count);
  // How many Gaussians of a piece have a key, then where the piece puts the next of them.
  std::vector<int64_t> places(pieces * SPLAT_KEYS, 0);
  std::atomic<bool> all_fit{true};
  const auto key = SK_BEST(splat_keys);
  parallel_for(a.count, PIECE, [&](int64_t begin, int64_t end, int) {
    bool fit = true;
    key(a, begin, end, keys.data() + begin, &fit);
    if (!fit) all_fit = false;
    int64_t *number = places.data() + begin / PIECE * SPLAT_KEYS;
    for (int64_t i = begin; i < end; ++i) ++number[keys[i]];
  });
  int64_t next = 0;
  for (int k = SPLAT_KEYS; k-- > 0;)
    for (int64_t piece = 0; piece < pieces; ++piece) {
      int64_t &place = places[piece * SPLAT_KEYS + k];
      const int64_t number = place;
      place = next;
      next += number;
    }
  const auto pack = SK_BEST(pack_splat_rows);
  parallel_for(a.count, PIECE, [&](int64_t begin, int64_t end, int) {
    bool fit = true;
    int64_t *next_of_key = places.data() + begin / PIECE * SPLAT_KEYS;
    pack(a, begin, end, keys.data() + begin, next_of_key, &fit);
    if (!fit) all_fit = false;
  });
  return all_fit;
}

void unpack_splats(const UnpackSplats &a) {
  const auto unpack = SK_BEST(unpack_splat_rows);
  parallel_for(a.count, PIECE, [&](int64_t begin, int64_t end, int) { unpack(a, begin, end); });
}

}  // namespace splatkit
