// What changing the set of Gaussians needs: a random sample, an order in space, and rows copied
// with some of them split in two.

#include "gpu.h"
#include "splatkit/gaussian.h"

namespace splatkit {
inline namespace SK_ISA {

// A well mixed number of a counter (the finaliser of Steele, Lea and Flood 2014, SplitMix64).
SK_DEVICE unsigned long long mixed(unsigned long long x) {
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ x >> 27) * 0x94d049bb133111ebull;
  return x ^ x >> 31;
}

// Two zero bits between each of the low 10 bits.
SK_DEVICE unsigned spread(unsigned x) {
  x &= 0x3ffu;
  x = (x | x << 16) & 0x030000ffu;
  x = (x | x << 8) & 0x0300f00fu;
  x = (x | x << 4) & 0x030c30c3u;
  return (x | x << 2) & 0x09249249u;
}

constexpr int MORTON_BITS = 20;  // an axis
// Halves of a split stand this many standard deviations from the old centre.
constexpr float SPLIT_DISTANCE = 0.6f;

// In (0, 1], 24 bits.
SK_DEVICE float chance_of(unsigned long long bits) {
  return (float)((bits >> 40) + 1) * (1.0f / 16777216.0f);
}

// Two normal numbers of a counter (Box and Muller 1958).
SK_DEVICE void normal_pair(unsigned long long seed, unsigned long long counter, float pair[2]) {
  const float radius =
      sqrt(-2.0f * log(chance_of(mixed(seed + 0x9e3779b97f4a7c15ull * (2 * counter + 1)))));
  const float angle =
      6.28318530718f * chance_of(mixed(seed + 0x9e3779b97f4a7c15ull * (2 * counter + 2)));
  pair[0] = radius * ::cosf(angle);
  pair[1] = radius * ::sinf(angle);
}

// A step held back more than this moves nothing: its Gaussian is not even read.
constexpr float LEAST_STEP = 1e-8f;

constexpr int SPLIT_THREADS = 128;
// Columns of a row of means, quats, log_scales, logit_opacities.
SK_DEVICE constexpr int columns_of(int tensor) { return tensor == 1 ? 4 : tensor == 3 ? 1 : 3; }

}  // namespace SK_ISA

SK_GLOBAL(256) sample_keys(const SampleParams p) {
  const long long i = blockIdx.x * 256ll + threadIdx.x;
  if (i >= p.count) return;
  const float chance =
      chance_of(mixed(p.seed + 0x9e3779b97f4a7c15ull * ((unsigned long long)i + 1)));
  const float weight = p.weights[i];
  // A race: who has the larger weight tends to arrive earlier. Floats from 0 on sort like their
  // bits.
  p.keys[i] = weight > 0.0f ? __float_as_uint(-log(chance) / weight) & 0x7fffffffu : 0xffffffffu;
}

SK_GLOBAL(256) morton_keys(const MortonParams p) {
  const long long i = blockIdx.x * 256ll + threadIdx.x;
  if (i >= p.count) return;
  const long long from = p.order ? p.order[i] : i;
  unsigned key = 0;
  for (int axis = 0; axis < 3; ++axis) {
    const float low = p.bounds[axis], size = max(p.bounds[3 + axis] - low, 1e-20f);
    const float place = (p.points[3 * from + axis] - low) / size;
    const int cell = (int)(max(0.0f, min(place, 1.0f)) * (float)((1 << MORTON_BITS) - 1));
    key |= spread((unsigned)cell >> (p.high ? MORTON_BITS / 2 : 0)) << axis;
  }
  p.keys[i] = key;
}

SK_GLOBAL(256) disturb_means(const DisturbParams p) {
  const long long i = blockIdx.x * 256ll + threadIdx.x;
  if (i >= p.count) return;
  const float opacity = sigmoid(p.logit_opacities[i]);
  const float step = p.strength * sigmoid(p.steepness * (p.opacity_floor - opacity));
  if (!(step > LEAST_STEP * p.strength)) return;
  const float4 quat = ((const float4 *)p.quats)[i];
  const float values[4] = {quat.x, quat.y, quat.z, quat.w};
  float unit[4], r[9], noise[4], local[3];
  normalize<4>(values, unit);
  rotation_from_unit_quat(unit, r);
  normal_pair(p.seed, 2ull * i, noise);
  normal_pair(p.seed, 2ull * i + 1, noise + 2);
  for (int k = 0; k < 3; ++k) {
    const float along = fma(noise[0], r[k], fma(noise[1], r[3 + k], noise[2] * r[6 + k]));
    local[k] = step * along * exp(2.0f * p.log_scales[3 * i + k]);
  }
  for (int c = 0; c < 3; ++c) p.means[3 * i + c] += dot3(r + 3 * c, local);
}

SK_GLOBAL(SPLIT_THREADS) split_rows(const SplitParams p) {
  const long long first = (long long)blockIdx.x * SPLIT_THREADS + warp_id() * WARP;
  const long long i = first + lane_id();
  const bool alive = i < p.count;
  long long from = 0;
  int side = 0;
  if (alive) {
    const long long listed = p.order ? p.order[i] : i;
    from = p.source[listed];
    side = p.side[listed];
    float values[4][4];
    for (int t = 0; t < 4; ++t)
      for (int c = 0; c < columns_of(t); ++c) values[t][c] = p.value[t][columns_of(t) * from + c];
    if (side != 0) {
      float unit[4], rotation[9];
      normalize<4>(values[1], unit);
      rotation_from_unit_quat(unit, rotation);
      const float *scales = values[2];
      const float largest = max(max(scales[0], scales[1]), scales[2]);
      const float opacity = sigmoid(values[3][0]);
      // With these two halves, one before the other, come nearest to the old profile.
      const float half = max(1e-6f, min(opacity * (0.655f + 0.135f * opacity), 1.0f - 1e-6f));
      bool found = false;
      for (int k = 0; k < 3; ++k) {
        const bool longest = !found && scales[k] == largest;
        found = found || longest;
        const float offset = (float)side * SPLIT_DISTANCE * exp(scales[k]);
        if (longest)
          for (int c = 0; c < 3; ++c) values[0][c] += offset * rotation[3 * c + k];
        values[2][k] += log(longest ? 0.757f - 0.04f * opacity : 1.0f - 0.037f * opacity);
      }
      values[3][0] = log(half / (1.0f - half));
    }
    for (int t = 0; t < 4; ++t)
      for (int c = 0; c < columns_of(t); ++c) {
        const long long to = columns_of(t) * i + c, was = columns_of(t) * from + c;
        if (p.out_value[t]) p.out_value[t][to] = values[t][c];
        if (p.out_first[t]) p.out_first[t][to] = side ? 0.0f : p.first[t][was];
        if (p.out_second[t]) p.out_second[t][to] = side ? 0.0f : p.second[t][was];
      }
  }
  // Harmonics row by row, so that a warp reads and writes whole lines.
  const int width = 3 * p.num_bases;
  for (int row = 0; row < WARP && first + row < p.count; ++row) {
    const long long was = __shfl_sync(FULL_WARP, from, row) * width, to = (first + row) * width;
    const bool fresh = __shfl_sync(FULL_WARP, side, row) != 0;
    for (int c = lane_id(); c < width; c += WARP) {
      if (p.out_value[4]) p.out_value[4][to + c] = p.value[4][was + c];
      if (p.out_first[4]) p.out_first[4][to + c] = fresh ? 0.0f : p.first[4][was + c];
      if (p.out_second[4]) p.out_second[4][to + c] = fresh ? 0.0f : p.second[4][was + c];
    }
  }
}

}  // namespace splatkit
