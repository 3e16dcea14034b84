// What blend_adj.cu hands to gather_slots.cu in deterministic mode.
#pragma once

#include "blending.h"

#ifndef SK_SCORES
#define SK_SCORES 0
#endif
#ifndef SK_ADJ_FORM
#define SK_ADJ_FORM 0
#endif
#ifndef SK_ADJ_PIXELS
#define SK_ADJ_PIXELS 8
#endif

namespace splatkit {
inline namespace SK_ISA {

constexpr int PIXELS = SK_ADJ_PIXELS;  // of a lane, form 0
constexpr int PARTS = SK_ADJ_FORM == 0 ? TILE_PIXELS / (WARP * PIXELS) : 1;

// A splat's results: v_record's columns, weight times score, weight, 0, channels.
constexpr int SLOT_SCORE = 9, SLOT = SLOT_FLOATS + (CHANNELS + 3) / 4 * 4;
[[maybe_unused]] constexpr int RECORD_GRADIENTS = 9;

}  // namespace SK_ISA
}  // namespace splatkit
