// Stable radix sort of pairs, 8 bits a pass, each pass reading and writing everything once
// (Adinets and Merrill 2022): a block ranks its keys, learns from the blocks before it where its
// digits go, and writes them in runs.

#include "gpu.h"

#ifndef SK_KEY_BITS
#define SK_KEY_BITS 32
#endif

namespace splatkit {
inline namespace SK_ISA {

#if SK_KEY_BITS == 16
using Key = unsigned short;
#else
using Key = unsigned;
#endif

constexpr int WARPS = SORT_THREADS / WARP;
static_assert(SORT_DIGITS == SORT_THREADS, "each thread owns a digit");
static_assert(SORT_BLOCK_ITEMS == SORT_THREADS * SORT_ITEMS);

SK_DEVICE unsigned digit_of(unsigned key, int pass) { return key >> (8 * pass) & 255u; }

}  // namespace SK_ISA

// How often each digit of each pass occurs. Depths share their upper digits, so neighbouring lanes
// count in copies of their own and wait for each other less.
SK_GLOBAL(SORT_THREADS) sort_histogram(const SortParams p) {
  constexpr int copies = 4;
  __shared__ unsigned histogram[SORT_MAX_PASSES * SORT_DIGITS * copies];
  unsigned *own = histogram + threadIdx.x % copies;
  for (int i = threadIdx.x; i < p.passes * SORT_DIGITS * copies; i += SORT_THREADS)
    histogram[i] = 0;
  __syncthreads();
  const unsigned count = *p.count;
  const Key *keys = (const Key *)p.keys_in;
  for (unsigned i = blockIdx.x * SORT_THREADS + threadIdx.x; i < count;
       i += gridDim.x * SORT_THREADS) {
    const unsigned key = keys[i];
    for (int pass = 0; pass < p.passes; ++pass)
      atomicAdd(own + (pass * SORT_DIGITS + digit_of(key, pass)) * copies, 1u);
  }
  __syncthreads();
  for (int i = threadIdx.x; i < p.passes * SORT_DIGITS; i += SORT_THREADS) {
    unsigned sum = 0;
#pragma unroll
    for (int copy = 0; copy < copies; ++copy) sum += histogram[i * copies + copy];
    if (sum) atomicAdd(p.histograms + i, sum);
  }
}

SK_GLOBAL(SORT_THREADS) sort_pass(const SortParams p) {
  // Keys of each digit in each warp, then the place of the first of them in the block.
  __shared__ unsigned counts[WARPS][SORT_DIGITS];
  __shared__ unsigned destinations[SORT_DIGITS];  // of a digit, less its place in the block
  __shared__ unsigned staged[SORT_BLOCK_ITEMS];
  __shared__ unsigned warp_sums[2][WARP];
  __shared__ unsigned ticket;
  const int thread = threadIdx.x, lane = lane_id(), warp = warp_id();
  if (thread == 0) ticket = atomicAdd(p.tickets + p.pass, 1u);
  for (int w = 0; w < WARPS; ++w) counts[w][thread] = 0;
  __syncthreads();
  const unsigned count = *p.count, block = ticket, first = block * SORT_BLOCK_ITEMS;
  if (first >= count) return;
  const unsigned here = min(count - first, (unsigned)SORT_BLOCK_ITEMS);
  const Key *keys_in = (const Key *)p.keys_in;

  // A warp's keys stand side by side, so ranks within digits follow the order of the input. Places
  // beyond the end hold the largest digit and so come last in the block.
  unsigned keys[SORT_ITEMS], ranks[SORT_ITEMS];
  const unsigned start = warp * (WARP * SORT_ITEMS) + lane;
#pragma unroll
  for (int i = 0; i < SORT_ITEMS; ++i) {
    const unsigned place = start + i * WARP;
    keys[i] = place < here ? (unsigned)keys_in[first + place] : 0xffffffffu;
  }
#pragma unroll
  for (int i = 0; i < SORT_ITEMS; ++i) {
    const unsigned digit = digit_of(keys[i], p.pass);
    unsigned same = FULL_WARP;
#pragma unroll
    for (int bit = 0; bit < 8; ++bit) {
      const bool set = digit >> bit & 1;
      const unsigned votes = __ballot_sync(FULL_WARP, set);
      same &= set ? votes : ~votes;
    }
    const int leader = __ffs((int)same) - 1;
    unsigned before = 0;
    if (lane == leader) {
      before = counts[warp][digit];
      counts[warp][digit] = before + __popc(same);
    }
    ranks[i] = __shfl_sync(FULL_WARP, before, leader) + __popc(same & ((1u << lane) - 1));
    __syncwarp();
  }
  __syncthreads();

  // From here to the next barrier a thread looks after the digit of its number.
  unsigned total = 0;
#pragma unroll
  for (int w = 0; w < WARPS; ++w) {
    const unsigned n = counts[w][thread];
    counts[w][thread] = total;
    total += n;
  }
  unsigned *states = p.lookback + thread;
  store_shared_state(states + block * SORT_DIGITS, (block ? STATE_OWN : STATE_ALL) | total);
  unsigned unused;
  const unsigned in_block = block_sum_before<SORT_THREADS>(total, warp_sums[0], unused);
  const unsigned in_all = block_sum_before<SORT_THREADS>(
      p.histograms[p.pass * SORT_DIGITS + thread], warp_sums[1], unused);
  unsigned before = 0;
  for (int other = (int)block - 1; other >= 0; --other) {
    unsigned state;
    do {
      state = load_shared_state(states + other * SORT_DIGITS);
    } while (state < STATE_OWN);
    before += state & STATE_VALUE;
    if (state >= STATE_ALL) break;
  }
  if (block) store_shared_state(states + block * SORT_DIGITS, STATE_ALL | (before + total));
  destinations[thread] = in_all + before - in_block;
#pragma unroll
  for (int w = 0; w < WARPS; ++w) counts[w][thread] += in_block;
  __syncthreads();

  // Through shared memory into the order of digits, so that neighbours write side by side.
#pragma unroll
  for (int i = 0; i < SORT_ITEMS; ++i) {
    ranks[i] += counts[warp][digit_of(keys[i], p.pass)];
    staged[ranks[i]] = keys[i];
  }
  __syncthreads();
  unsigned to[SORT_ITEMS];
  Key *keys_out = (Key *)p.keys_out;
#pragma unroll
  for (int i = 0; i < SORT_ITEMS; ++i) {
    const unsigned place = i * SORT_THREADS + thread, key = staged[place];
    to[i] = destinations[digit_of(key, p.pass)] + place;
    if (keys_out && place < here) keys_out[to[i]] = (Key)key;
  }
  __syncthreads();
#pragma unroll
  for (int i = 0; i < SORT_ITEMS; ++i) {
    const unsigned place = start + i * WARP;
    unsigned value = first + place;
    if (p.values_in && place < here) value = p.values_in[first + place];
    staged[ranks[i]] = value;
  }
  __syncthreads();
#pragma unroll
  for (int i = 0; i < SORT_ITEMS; ++i) {
    const unsigned place = i * SORT_THREADS + thread;
    if (place < here) p.values_out[to[i]] = staged[place];
  }
}

}  // namespace splatkit
