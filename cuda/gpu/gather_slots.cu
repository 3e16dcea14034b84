// Deterministic mode: adds up what each instance of a splat wrote, in an order that never changes.

#include "slots.h"

namespace splatkit {
inline namespace SK_ISA {

// The sum of one 16-byte part of the slots begin, begin + step, ... before end.
SK_DEVICE float4 sum_slots(const float4 *slots, int quad, unsigned begin, unsigned end, int step) {
  constexpr int quads = SLOT / 4;
  float4 sum = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
#pragma unroll 4
  for (unsigned i = begin; i < end; i += step) {
    const float4 slot = slots[(long long)i * quads + quad];
    sum.x += slot.x;
    sum.y += slot.y;
    sum.z += slot.z;
    sum.w += slot.w;
  }
  return sum;
}

SK_DEVICE void write_sums(const GatherParams &p, unsigned row, int quad, float4 sum) {
  const float values[4] = {sum.x, sum.y, sum.z, sum.w};
  for (int i = 0; i < 4; ++i) {
    const int column = 4 * quad + i, channel = column - SLOT_FLOATS;
    if (column < RECORD_SIZE) {
      float *out = p.v_records + (long long)RECORD_SIZE * row + column;
      *out = (COLORS ? 0.0f : *out) + (column < RECORD_GRADIENTS ? values[i] : 0.0f);
      if (SK_SCORES && (column == SLOT_SCORE || column == SLOT_SCORE + 1))
        p.score_sums[2ll * row + column - SLOT_SCORE] = values[i];
    } else if (channel < p.channel_count) {
      p.v_channels[(long long)row * p.num_channels + p.channel_begin + channel] = values[i];
    }
  }
}

}  // namespace SK_ISA

// Four lanes a splat, each a 16-byte part of its slots; the whole warp for a splat of many. Who
// does it, and so the order of the sum, depends on their number alone.
SK_GLOBAL(GATHER_THREADS) gather_slots(const GatherParams p) {
  constexpr int quads = SLOT / 4, group = 4, groups = WARP / group;
  constexpr unsigned many = 64 * PARTS;
  const int lane = lane_id(), own_group = lane / group;
  const unsigned records = p.counters[COUNTER_RECORDS];
  const unsigned place = (blockIdx.x * GATHER_THREADS + threadIdx.x) / group;
  const float4 *slots = (const float4 *)p.slots;
  unsigned first = 0, end = 0, row = 0;
  if (place < records) {
    first = p.first_instance[place] * PARTS;
    end = p.first_instance[place + 1] * PARTS;
    row = p.order[place];
  }
  const bool large = end - first > many;
  if (place < records && !large)
    for (int quad = lane % group; quad < quads; quad += group)
      write_sums(p, row, quad, sum_slots(slots, quad, first, end, 1));
  __syncwarp();
  const unsigned waiting = __ballot_sync(FULL_WARP, large && lane % group == 0);
  for (unsigned rest = waiting; rest; rest &= rest - 1) {
    const int from = __ffs((int)rest) - 1;
    const unsigned begin = __shfl_sync(FULL_WARP, first, from);
    const unsigned stop = __shfl_sync(FULL_WARP, end, from);
    const unsigned to = __shfl_sync(FULL_WARP, row, from);
    for (int base = 0; base < quads; base += group) {
      const int quad = base + lane % group;
      float4 sum = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
      if (quad < quads) sum = sum_slots(slots, quad, begin + own_group, stop, groups);
      for (int step = group; step < WARP; step <<= 1) {
        sum.x += __shfl_xor_sync(FULL_WARP, sum.x, step);
        sum.y += __shfl_xor_sync(FULL_WARP, sum.y, step);
        sum.z += __shfl_xor_sync(FULL_WARP, sum.z, step);
        sum.w += __shfl_xor_sync(FULL_WARP, sum.w, step);
      }
      if (own_group == 0 && quad < quads) write_sums(p, to, quad, sum);
    }
  }
}

}  // namespace splatkit
