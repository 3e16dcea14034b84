// Gradients of what blend.cu blended, front to back: each pixel keeps its transmittance and the dot
// product of the loss gradient with what is still to be blended, so nothing is divided out.
//
// A warp takes a bucket of a tile's entries and begins with the checkpoint before it. In form 0
// lanes are pixels, several each, and a splat's sums are put together once for all of them. In form
// 1 lanes are splats and the pixels pass through them: lane l sees a pixel one step after lane l-1
// and gets what is left of it; nothing has to be put together (Mallick et al. 2024).

#include "slots.h"

namespace splatkit {
inline namespace SK_ISA {

// A splat's sums: moments, values, weight times score, weight.
constexpr int SUM_VALUES = 6, SUM_SCORE = SUM_VALUES + VALUES, SUMS = SUM_SCORE + 2 * SK_SCORES;
// Blocks a processor shall hold: registers are dealt out accordingly.
constexpr int ADJ_BLOCKS = SK_ADJ_FORM == 1            ? (SK_SCORES ? 5 : 6)
                           : VALUES == 3 && !SK_SCORES ? 4
                                                       : 3;

// What a bucket's splats leave in shared memory: rows of whole quads that meet different banks.
constexpr int RESULT_PITCH = SLOT / 4 % 2 ? SLOT : SLOT + 4;
static_assert(RESULT_PITCH >= SUMS);

// One warp's work.
struct Item {
  bool exists;
  TilePlace t;
  int part;
  unsigned first, stop, end;  // entries; those from `stop` on were not looked at
  bool resumed;               // from a checkpoint
  unsigned checkpoint;
};

SK_DEVICE Item find_item(const BlendAdjParams &p) {
  const int number = blockIdx.x * BLEND_ADJ_WARPS + warp_id(), bucket = number / PARTS;
  Item item = {};
  item.part = number % PARTS;
  int tile = bucket;
  if (bucket >= p.tiles) {
    if (BUCKET == 0) return item;
    item.resumed = true;
    item.checkpoint = bucket - p.tiles;
    // The grid is made for as many instances as there is room for.
    if (item.checkpoint > p.tile_begin[p.tiles] / (BUCKET ? BUCKET : 1)) return item;
    tile = p.checkpoint_tiles[item.checkpoint];
    if (tile < 0) return item;
  }
  item.t = tile_place(p, tile);
  item.first = item.t.begin;
  item.end = item.t.end;
  if (BUCKET) {
    if (item.resumed)
      item.first += (item.checkpoint - item.t.begin / (BUCKET ? BUCKET : 1)) * BUCKET;
    item.end = min(item.end, item.first + BUCKET);
  }
  item.stop = min(item.end, max(item.t.begin + (unsigned)p.tile_ends[tile], item.first));
  // Slots have to be written even where nobody looked.
  if (!SK_DETERMINISTIC) item.end = item.stop;
  item.exists = item.first < item.end;
  return item;
}

// A pixel before the item's first splat.
struct PixelStart {
  float transmittance, rest, v[VALUES], score;
  bool open;
};

SK_DEVICE PixelStart start_pixel(const BlendAdjParams &p, const Item &item, int sub, int lane) {
  const Pixel pixel(p, item.t, sub, lane);
  PixelStart s = {};
  s.transmittance = 1.0f;
  s.open = pixel.inside;
  if (!pixel.inside) return s;
  if constexpr (COLORS > 0) {
    for (int c = 0; c < COLORS; ++c) {
      s.v[c] = __ldg(p.v_rgb + 3 * pixel.index + c);
      s.rest = fma(s.v[c], __ldg(p.rgb + 3 * pixel.index + c), s.rest);
    }
    // alpha is 1 - final transmittance, and that belongs to the rest.
    if (p.v_alpha)
      s.rest = fma(-__ldg(p.v_alpha + pixel.index), 1.0f - __ldg(p.alpha + pixel.index), s.rest);
    if (SK_SCORES) s.score = __ldg(p.scores + pixel.index);
  }
#pragma unroll
  for (int c = 0; c < CHANNELS; ++c)
    if (c < p.channel_count) {
      const long long place = p.num_channels * pixel.index + p.channel_begin + c;
      s.v[COLORS + c] = __ldg(p.v_channel_image + place);
      s.rest = fma(s.v[COLORS + c], __ldg(p.channel_image + place), s.rest);
    }
  if (BUCKET && item.resumed) {
    const float *state = p.checkpoints + checkpoint_place(item.checkpoint) + sub * WARP + lane;
    s.transmittance = state[0];
    s.open = s.transmittance >= 0.0f;
#pragma unroll
    for (int d = 0; d < VALUES; ++d) s.rest = fma(-s.v[d], state[(d + 1) * TILE_PIXELS], s.rest);
  }
  return s;
}

// What one splat is at one pixel, and what it adds to its sums. Returns whether it was blended.
// `transmittance` falls below 0 where it ends the pixel.
SK_DEVICE bool blend_adj_pixel(float dx, float dy, float e, const float values[VALUES],
                               const float v[VALUES], [[maybe_unused]] float score,
                               float &transmittance, float &rest, float sums[SUMS]) {
  const float raw = exp2_fast(e), alpha = min(raw, (float)ALPHA_MAX);
  const float through = 1.0f - alpha, before = transmittance, after = before * through;
  if (after <= (float)TRANSMITTANCE_MIN) {
    transmittance = -1.0f;
    return false;
  }
  transmittance = after;
  const float weight = alpha * before;
  float v_weight = v[0] * values[0];
  sums[SUM_VALUES] = fma(weight, v[0], sums[SUM_VALUES]);
#pragma unroll
  for (int d = 1; d < VALUES; ++d) {
    v_weight = fma(v[d], values[d], v_weight);
    sums[SUM_VALUES + d] = fma(weight, v[d], sums[SUM_VALUES + d]);
  }
  rest = fma(-weight, v_weight, rest);
  // alpha times alpha_adj; none where alpha is clamped.
  const float odds = alpha * reciprocal_fast(through);
  const float v_log = raw <= (float)ALPHA_MAX ? fma(-rest, odds, weight * v_weight) : 0.0f;
  const float x = v_log * dx, y = v_log * dy;
  sums[0] += v_log;
  sums[1] += x;
  sums[2] += y;
  sums[3] = fma(x, dx, sums[3]);
  sums[4] = fma(x, dy, sums[4]);
  sums[5] = fma(y, dy, sums[5]);
#if SK_SCORES
  sums[SUM_SCORE] = fma(weight, score, sums[SUM_SCORE]);
  sums[SUM_SCORE + 1] += weight;
#endif
  return true;
}

// From a splat's sums to its results.
SK_DEVICE void finish_splat(const Splat &s, const float *sums, float result[SLOT]) {
  const float conic[3] = {s.conic.xx * (float)(-2.0 / LOG2_E), s.conic.xy * (float)(-1.0 / LOG2_E),
                          s.conic.yy * (float)(-2.0 / LOG2_E)};
  const AlphaMoments<float> moments = {sums[0], sums[1], sums[2], sums[3], sums[4], sums[5]};
  for (int i = 0; i < SLOT; ++i) result[i] = 0.0f;
  alpha_moments_adj(conic, exp2(s.conic.log2_opacity), moments, result + RECORD_MEAN,
                    result + RECORD_CONIC, result[RECORD_OPACITY]);
  for (int c = 0; c < COLORS; ++c) result[RECORD_COLOR + c] = sums[SUM_VALUES + c];
  for (int i = 0; i < 2 * SK_SCORES; ++i) result[SLOT_SCORE + i] = sums[SUM_SCORE + i];
#pragma unroll
  for (int c = 0; c < CHANNELS; ++c) result[SLOT_FLOATS + c] = sums[SUM_VALUES + COLORS + c];
}

// Brings the results of a warp's 32 splats, [WARP][RESULT_PITCH] in shared memory, to where they
// belong; only those in `touched` count. `place` is the lane's own entry, of which `here` exist.
SK_DEVICE void deliver(const BlendAdjParams &p, [[maybe_unused]] const Item &item,
                       const float *results, unsigned touched, [[maybe_unused]] unsigned row,
                       [[maybe_unused]] unsigned place, [[maybe_unused]] int here) {
  const int lane = lane_id();
#if SK_DETERMINISTIC
  constexpr int quads = SLOT / 4;
#pragma unroll
  for (int i = 0; i < quads; ++i) {
    const int flat = i * WARP + lane, splat = flat / quads, quad = flat % quads;
    const unsigned instance = __shfl_sync(FULL_WARP, place, splat);
    if (splat >= here) continue;
    float4 value = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    if (touched >> splat & 1) value = *(const float4 *)(results + splat * RESULT_PITCH + 4 * quad);
    ((float4 *)p.slots)[((long long)instance * PARTS + item.part) * quads + quad] = value;
  }
#else
  if (!touched) return;
#if SK_VECTOR_ATOMICS
  for (int i = 0; i < 2; ++i) {
    const int flat = i * WARP + lane, splat = flat / 2, quad = flat % 2;
    const unsigned to = __shfl_sync(FULL_WARP, row, splat);
    if (touched >> splat & 1)
      atomic_add4(p.v_records + (long long)RECORD_SIZE * to + 4 * quad,
                  *(const float4 *)(results + splat * RESULT_PITCH + 4 * quad));
  }
  if (touched >> lane & 1)
    atomicAdd(p.v_records + (long long)RECORD_SIZE * row + 8, results[lane * RESULT_PITCH + 8]);
#else
  // Lanes side by side in a row, so that a row is one or two transactions.
  for (int i = 0; i < RECORD_GRADIENTS; ++i) {
    const int flat = i * WARP + lane, splat = flat / RECORD_GRADIENTS,
              column = flat % RECORD_GRADIENTS;
    const unsigned to = __shfl_sync(FULL_WARP, row, splat);
    if (touched >> splat & 1)
      atomicAdd(p.v_records + (long long)RECORD_SIZE * to + column,
                results[splat * RESULT_PITCH + column]);
  }
#endif
  if (!(touched >> lane & 1)) return;
  const float *own = results + lane * RESULT_PITCH;
  for (int i = 0; i < 2 * SK_SCORES; ++i)
    atomicAdd(p.score_sums + 2ll * row + i, own[SLOT_SCORE + i]);
#pragma unroll
  for (int c = 0; c < CHANNELS; ++c)
    if (c < p.channel_count)
      atomicAdd(p.v_channels + (long long)row * p.num_channels + p.channel_begin + c,
                own[SLOT_FLOATS + c]);
#endif
}

#if SK_ADJ_FORM == 0

constexpr int PADDED_SUMS = SUMS <= 16 ? 16 : 32;

// A lane's pixels.
struct PixelStates {
  float x, y;                   // centre of the lane's pixel in the tile's first sub-tile
  float transmittance[PIXELS];  // below 0 where a pixel has ended or lies outside
  float rest[PIXELS], v[PIXELS][VALUES];
  float score[SK_SCORES ? PIXELS : 1];
};

#else

static_assert(SK_ADJ_FORM == 1 && VALUES == 3, "lanes as splats: colours only");
constexpr int SUB_TILES = TILE_PIXELS / WARP;
static_assert(SUB_TILES <= 8, "a list of sub-tiles is 8 numbers of 4 bits");

// The pixels of a tile, in shared memory.
struct PixelStates {
  float transmittance[TILE_PIXELS], rest[TILE_PIXELS], v[VALUES][TILE_PIXELS];
  float score[SK_SCORES ? TILE_PIXELS : 1];
};

#endif

}  // namespace SK_ISA

SK_GLOBAL(BLEND_ADJ_THREADS, ADJ_BLOCKS) blend_adj(const BlendAdjParams p) {
  alignas(16) __shared__ float all_results[BLEND_ADJ_WARPS][WARP * RESULT_PITCH];
  const int lane = lane_id();
  float *results = all_results[warp_id()];
  const Item item = find_item(p);
  if (!item.exists) return;

#if SK_ADJ_FORM == 0
  __shared__ StagedSplats<WARP> all_staged[BLEND_ADJ_WARPS];
  StagedSplats<WARP> &staged = all_staged[warp_id()];
  PixelStates s;
  const int first_sub = item.part * PIXELS;
  bool open = false;
#pragma unroll
  for (int k = 0; k < PIXELS; ++k) {
    const PixelStart start = start_pixel(p, item, first_sub + k, lane);
    s.transmittance[k] = start.open ? start.transmittance : -1.0f;
    s.rest[k] = start.rest;
    for (int d = 0; d < VALUES; ++d) s.v[k][d] = start.v[d];
    if (SK_SCORES) s.score[k] = start.score;
    open = open || start.open;
  }
  open = __any_sync(FULL_WARP, open);
  s.x = (float)(item.t.x + lane_x(lane)) + 0.5f;
  s.y = (float)(item.t.y + lane_y(lane)) + 0.5f;
#else
  __shared__ PixelStates all_states[BLEND_ADJ_WARPS];
  PixelStates &s = all_states[warp_id()];
  bool open = false;
  for (int sub = 0; sub < SUB_TILES; ++sub) {
    const PixelStart start = start_pixel(p, item, sub, lane);
    const int place = sub * WARP + lane;
    s.transmittance[place] = start.open ? start.transmittance : -1.0f;
    s.rest[place] = start.rest;
    for (int d = 0; d < VALUES; ++d) s.v[d][place] = start.v[d];
    if (SK_SCORES) s.score[place] = start.score;
    open = open || start.open;
  }
  open = __any_sync(FULL_WARP, open);
#endif

  for (unsigned at = item.first; at < item.end; at += WARP) {
    if (!SK_DETERMINISTIC && !open) break;
    const int here = (int)min(item.end - at, (unsigned)WARP);
    const unsigned entry = lane < here ? p.entries[at + lane] : 0u;
    const unsigned row = SK_DETERMINISTIC && lane < here ? p.instance_rows[entry] : entry;
    unsigned touched = 0;
    if (open && at < item.stop) {
      const bool some = at + lane < item.stop;
      unsigned subs = 0;  // that the lane's splat reaches
      Splat own = {};
      float values[4 * VALUE_QUADS] = {};
      if (some) {
        const LoadedRecord r(p.records, row);
        own = r.splat;
        load_values(p, row, r.color, values);
      }

#if SK_ADJ_FORM == 0
      __syncwarp();
      staged.put(lane, own, values);
#pragma unroll
      for (int k = 0; k < PIXELS; ++k)
        if (some && reaches_sub_tile(own, item.t, first_sub + k)) subs |= 1u << k;
      unsigned pending = __ballot_sync(FULL_WARP, subs != 0);
      __syncwarp();
      for (; pending; pending &= pending - 1) {
        const int j = __ffs((int)pending) - 1;
        const unsigned reached = __shfl_sync(FULL_WARP, subs, j);
        const Splat splat = staged.splat(j);
        staged.get_values(j, values);
        float sums[PADDED_SUMS];
#pragma unroll
        for (int i = 0; i < PADDED_SUMS; ++i) sums[i] = 0.0f;
        bool blended = false;
#pragma unroll
        for (int k = 0; k < PIXELS; ++k) {
          if (!(reached >> k & 1)) continue;
          const float dx = s.x + (float)sub_tile_x(first_sub + k) - splat.x;
          const float dy = s.y + (float)sub_tile_y(first_sub + k) - splat.y;
          const float e = exponent(splat, dx, dy);
          if (!(e >= (float)LOG2_ALPHA_MIN) || s.transmittance[k] < 0.0f) continue;
          if (blend_adj_pixel(dx, dy, e, values, s.v[k], SK_SCORES ? s.score[k] : 0.0f,
                              s.transmittance[k], s.rest[k], sums))
            blended = true;
        }
        if (!__any_sync(FULL_WARP, blended)) continue;
        touched |= 1u << j;
        const float total = transposed_sum<PADDED_SUMS>(sums);
        if (lane < SUMS) results[j * RESULT_PITCH + lane] = total;
      }
      __syncwarp();
      if (touched >> lane & 1) {
        float sums[SUMS], result[SLOT];
        for (int i = 0; i < SUMS; ++i) sums[i] = results[lane * RESULT_PITCH + i];
        finish_splat(own, sums, result);
        for (int i = 0; i < SLOT; ++i) results[lane * RESULT_PITCH + i] = result[i];
      }
      bool some_open = false;
#pragma unroll
      for (int k = 0; k < PIXELS; ++k) some_open = some_open || s.transmittance[k] >= 0.0f;
      open = __any_sync(FULL_WARP, some_open);
#else
      for (int sub = 0; sub < SUB_TILES; ++sub)
        if (some && reaches_sub_tile(own, item.t, sub)) subs |= 1u << sub;
      // The sub-tiles that any splat reaches, 4 bits each.
      unsigned list = 0;
      int listed = 0;
      for (int sub = 0; sub < SUB_TILES; ++sub)
        if (__any_sync(FULL_WARP, subs >> sub & 1)) list |= (unsigned)sub << (4 * listed++);
      float sums[SUMS];
      for (float &sum : sums) sum = 0.0f;
      float transmittance = -1.0f, rest = 0.0f;
      bool blended = false;
      const int pixels = listed * WARP;
      __syncwarp();
      for (int step = 0; step < pixels + WARP - 1; ++step) {
        transmittance = __shfl_up_sync(FULL_WARP, transmittance, 1);
        rest = __shfl_up_sync(FULL_WARP, rest, 1);
        const int number = step - lane;  // of the pixel in the lane
        const bool holds = number >= 0 && number < pixels;
        const int sub = list >> (4 * (number >> 5 & 7)) & 15u, in_sub = number & (WARP - 1);
        const int place = sub * WARP + in_sub;
        if (lane == 0 && holds) {
          transmittance = s.transmittance[place];
          rest = s.rest[place];
        }
        if (holds && transmittance >= 0.0f && (subs >> sub & 1)) {
          const float dx = (float)(item.t.x + sub_tile_x(sub) + lane_x(in_sub)) + 0.5f - own.x;
          const float dy = (float)(item.t.y + sub_tile_y(sub) + lane_y(in_sub)) + 0.5f - own.y;
          const float e = exponent(own, dx, dy);
          if (e >= (float)LOG2_ALPHA_MIN) {
            const float v[VALUES] = {s.v[0][place], s.v[1][place], s.v[2][place]};
            if (blend_adj_pixel(dx, dy, e, values, v, SK_SCORES ? s.score[place] : 0.0f,
                                transmittance, rest, sums))
              blended = true;
          }
        }
        if (lane == WARP - 1 && holds) {
          s.transmittance[place] = transmittance;
          s.rest[place] = rest;
        }
      }
      __syncwarp();
      touched = __ballot_sync(FULL_WARP, blended);
      if (blended) {
        float result[SLOT];
        finish_splat(own, sums, result);
        for (int i = 0; i < SLOT; ++i) results[lane * RESULT_PITCH + i] = result[i];
      }
      bool some_open = false;
      for (int sub = 0; sub < SUB_TILES; ++sub)
        some_open = some_open || s.transmittance[sub * WARP + lane] >= 0.0f;
      open = __any_sync(FULL_WARP, some_open);
#endif
      __syncwarp();
    }
    deliver(p, item, results, touched, row, entry, here);
  }
}

}  // namespace splatkit
