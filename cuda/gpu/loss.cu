// L1 + SSIM and its gradient in one kernel: a block a tile of 32x32 pixels, one channel after the
// other. The derivative at a pixel needs similarities five pixels around, and those need pixels
// five further, so a block computes 42x42 similarities from 52x52 pixels. Blurs are separable; a
// thread makes several neighbouring outputs of one line, so that each value is read from shared
// memory about twice rather than eleven times.

#include "gpu.h"
#include "splatkit/ssim.h"

namespace splatkit {
inline namespace SK_ISA {

constexpr int R = SSIM_RADIUS, TAPS = 2 * R + 1;
constexpr int MIDDLE = LOSS_TILE + 2 * R, OUTER = LOSS_TILE + 4 * R;
// Odd pitches: threads that work on neighbouring lines meet different banks.
constexpr int OUTER_PITCH = OUTER + 1, MIDDLE_PITCH = MIDDLE + 1, TILE_PITCH = LOSS_TILE + 1;
static_assert(OUTER % 2 == 0 && MIDDLE % 2 == 0 && LOSS_TILE % 2 == 0);

constexpr int QUANTITIES = 2;   // blurred at once
constexpr int DERIVATIVES = 3;  // with respect to mean_x, squares, product
constexpr int PIXELS_SIZE = 2 * OUTER * OUTER_PITCH;
constexpr int BLURRED_SIZE = QUANTITIES * OUTER * MIDDLE_PITCH;
static_assert(DERIVATIVES * MIDDLE * MIDDLE_PITCH <= PIXELS_SIZE);
static_assert(DERIVATIVES * MIDDLE * TILE_PITCH <= BLURRED_SIZE);

// Adds one value of a line to those of n neighbouring blurred ones that it counts for: value number
// `at` of the line, of which the first output's window begins at 0.
template <int n>
SK_DEVICE void blur_step(float value, int at, float *outputs) {
#pragma unroll
  for (int o = 0; o < n; ++o) {
    const int distance = at - o - R;
    if (distance >= -R && distance <= R)
      outputs[o] = fma(ssim_weight(distance < 0 ? -distance : distance), value, outputs[o]);
  }
}

template <int n>
SK_DEVICE void blur_line(const float *line, int stride, float *outputs) {
#pragma unroll
  for (int o = 0; o < n; ++o) outputs[o] = 0.0f;
#pragma unroll
  for (int at = 0; at < n + TAPS - 1; ++at) blur_step<n>(line[at * stride], at, outputs);
}

// Where a block works.
struct LossTile {
  int camera, x, y;  // first pixel

  SK_DEVICE explicit LossTile(const LossParams &p) {
    const int across = ceil_div(p.width, LOSS_TILE), down = ceil_div(p.height, LOSS_TILE);
    const int inside = blockIdx.x % (across * down);
    camera = blockIdx.x / (across * down);
    x = inside % across * LOSS_TILE;
    y = inside / across * LOSS_TILE;
  }
};

// Render and photo of one channel of a pixel; 0 outside the image, equal where the mask says so.
struct PixelPair {
  float render, photo;
  bool counts;  // the pixel exists and is not masked

  SK_DEVICE PixelPair(const LossParams &p, const LossTile &t, int x, int y, int channel) {
    render = photo = 0.0f;
    counts = false;
    if (x < 0 || y < 0 || x >= p.width || y >= p.height) return;
    const long long pixel = ((long long)t.camera * p.height + y) * p.width + x;
    render = __ldg(p.rgb + 3 * pixel + channel);
    counts = !p.mask || __ldg(p.mask + pixel);
    photo = counts ? (float)__ldg(p.targets + 3 * pixel + channel) * (1.0f / 255.0f) : render;
  }
};

SK_DEVICE void load_pixels(const LossParams &p, const LossTile &t, int channel, float *pixels) {
  for (int i = threadIdx.x; i < OUTER * OUTER; i += LOSS_THREADS) {
    const int row = i / OUTER, column = i % OUTER;
    const PixelPair pair(p, t, t.x + column - 2 * R, t.y + row - 2 * R, channel);
    pixels[row * OUTER_PITCH + column] = pair.render;
    pixels[(OUTER + row) * OUTER_PITCH + column] = pair.photo;
  }
}

// Blurs along rows: render and photo, or (`products`) the sum of their squares and their product.
template <bool products>
SK_DEVICE void blur_rows(const float *pixels, float *blurred) {
  constexpr int n = 11, pieces = (MIDDLE + n - 1) / n, items = OUTER * pieces;
#pragma unroll 1
  for (int i = threadIdx.x; i < QUANTITIES * items; i += LOSS_THREADS) {
    const bool second = i >= items;
    const int item = second ? i - items : i, row = item % OUTER;
    // The last piece overlaps the one before it.
    const int first = min(item / OUTER * n, MIDDLE - n);
    const float *x = pixels + row * OUTER_PITCH + first, *y = x + OUTER * OUTER_PITCH;
    float outputs[n];
#pragma unroll
    for (int o = 0; o < n; ++o) outputs[o] = 0.0f;
#pragma unroll
    for (int at = 0; at < n + TAPS - 1; ++at) {
      float value;
      if (products)
        value = second ? x[at] * y[at] : fma(x[at], x[at], y[at] * y[at]);
      else
        value = second ? y[at] : x[at];
      blur_step<n>(value, at, outputs);
    }
    float *out = blurred + (row + (second ? OUTER : 0)) * MIDDLE_PITCH + first;
#pragma unroll
    for (int o = 0; o < n; ++o) out[o] = outputs[o];
  }
}

// Similarity and v_score times its derivatives (mean_x, squares, product) of the moments mean_x,
// mean_y, squares, product. A call: inlined for every pixel of a column it would fill the
// registers.
SK_DEVICE float4 similarity_adj(float4 moments, float v_score) {
  const SsimMoments<float> m = {moments.x, moments.y, moments.z, moments.w};
  SsimMoments<float> v = {0.0f, 0.0f, 0.0f, 0.0f};
  ssim_adj(m, v_score, v);
  return make_float4(ssim(m), v.mean_x, v.squares, v.product);
}

// Each thread looks after a column of similarities.
constexpr int COLUMN = 7, COLUMNS = MIDDLE * (MIDDLE / COLUMN);
static_assert(MIDDLE % COLUMN == 0 && COLUMNS <= LOSS_THREADS);

// Similarities of the thread's column and their derivatives; returns the sum of those in the tile.
SK_DEVICE float differentiate(const LossParams &p, const LossTile &t, int row, int column,
                              const float mean_x[COLUMN], const float mean_y[COLUMN],
                              const float squares[COLUMN], const float product[COLUMN],
                              float v_score, float *derivatives) {
  float total = 0.0f;
#pragma unroll
  for (int k = 0; k < COLUMN; ++k) {
    const int x = t.x + column - R, y = t.y + row + k - R;
    const bool inside = x >= 0 && y >= 0 && x < p.width && y < p.height;
    float4 v = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    if (inside) {
      v = similarity_adj(make_float4(mean_x[k], mean_y[k], squares[k], product[k]), v_score);
      const bool own =
          column >= R && column < R + LOSS_TILE && row + k >= R && row + k < R + LOSS_TILE;
      if (own) total += v.x;
    }
    float *out = derivatives + (row + k) * MIDDLE_PITCH + column;
    out[0] = v.y;
    out[MIDDLE * MIDDLE_PITCH] = v.z;
    out[2 * MIDDLE * MIDDLE_PITCH] = v.w;
  }
  return total;
}

SK_DEVICE void blur_derivative_rows(const float *derivatives, float *blurred) {
  constexpr int n = 8, pieces = LOSS_TILE / n;
#pragma unroll 1
  for (int i = threadIdx.x; i < DERIVATIVES * MIDDLE * pieces; i += LOSS_THREADS) {
    const int line = i % (DERIVATIVES * MIDDLE), first = i / (DERIVATIVES * MIDDLE) * n;
    float outputs[n];
    blur_line<n>(derivatives + line * MIDDLE_PITCH + first, 1, outputs);
#pragma unroll
    for (int o = 0; o < n; ++o) blurred[line * TILE_PITCH + first + o] = outputs[o];
  }
}

// The sum over the block; in the first thread.
SK_DEVICE float block_sum(float value, float *warp_sums) {
  value = warp_sum(value);
  __syncthreads();
  if (lane_id() == 0) warp_sums[warp_id()] = value;
  __syncthreads();
  float total = 0.0f;
  for (int w = 0; w < LOSS_THREADS / WARP; ++w) total += warp_sums[w];
  return total;
}

}  // namespace SK_ISA

SK_GLOBAL(LOSS_THREADS, 2) image_loss(const LossParams p) {
  // The derivatives take the place of the pixels, and their blurs that of the pixels' blurs.
  __shared__ float pixels[PIXELS_SIZE];
  __shared__ float blurred[BLURRED_SIZE];
  const int thread = threadIdx.x;
  const LossTile t(p);
  const float values = 3.0f * (float)p.num_cameras * (float)p.height * (float)p.width;
  const float v_score = -p.ssim_weight / values, v_difference = (1.0f - p.ssim_weight) / values;
  float difference = 0.0f, similarity = 0.0f;

  // The thread's pixels: a column of a few in the tile.
  constexpr int OWN = LOSS_TILE * LOSS_TILE / LOSS_THREADS;
  const int own_column = thread % LOSS_TILE, own_row = thread / LOSS_TILE * OWN;
  float errors[OWN];
  for (float &error : errors) error = 0.0f;
  const int row = thread / MIDDLE * COLUMN, column = thread % MIDDLE;

#pragma unroll 1
  for (int channel = 0; channel < 3; ++channel) {
    __syncthreads();
    load_pixels(p, t, channel, pixels);
    __syncthreads();
    float mean_x[COLUMN], mean_y[COLUMN], squares[COLUMN], product[COLUMN];
    const float *line = blurred + row * MIDDLE_PITCH + column;
    blur_rows<false>(pixels, blurred);
    __syncthreads();
    if (thread < COLUMNS) {
      blur_line<COLUMN>(line, MIDDLE_PITCH, mean_x);
      blur_line<COLUMN>(line + OUTER * MIDDLE_PITCH, MIDDLE_PITCH, mean_y);
    }
    __syncthreads();
    blur_rows<true>(pixels, blurred);
    __syncthreads();
    if (thread < COLUMNS) {
      blur_line<COLUMN>(line, MIDDLE_PITCH, squares);
      blur_line<COLUMN>(line + OUTER * MIDDLE_PITCH, MIDDLE_PITCH, product);
      similarity +=
          differentiate(p, t, row, column, mean_x, mean_y, squares, product, v_score, pixels);
    }
    __syncthreads();
    float v_mean[OWN], v_squares[OWN], v_product[OWN];
    if (p.v_rgb) {
      blur_derivative_rows(pixels, blurred);
      __syncthreads();
      const float *own = blurred + own_row * TILE_PITCH + own_column;
      blur_line<OWN>(own, TILE_PITCH, v_mean);
      blur_line<OWN>(own + MIDDLE * TILE_PITCH, TILE_PITCH, v_squares);
      blur_line<OWN>(own + 2 * MIDDLE * TILE_PITCH, TILE_PITCH, v_product);
    }
#pragma unroll
    for (int k = 0; k < OWN; ++k) {
      const int x = t.x + own_column, y = t.y + own_row + k;
      if (x >= p.width || y >= p.height) continue;
      const PixelPair pair(p, t, x, y, channel);
      const float step = pair.render - pair.photo, size = step < 0.0f ? -step : step;
      difference += size;
      errors[k] += size;
      if (!p.v_rgb) continue;
      float v = fma(v_squares[k], 2.0f * pair.render, v_mean[k]);
      v = fma(v_product[k], pair.photo, v);
      v += step > 0.0f ? v_difference : step < 0.0f ? -v_difference : 0.0f;
      const long long pixel = ((long long)t.camera * p.height + y) * p.width + x;
      p.v_rgb[3 * pixel + channel] = pair.counts ? v : 0.0f;
    }
  }

#pragma unroll
  for (int k = 0; k < OWN; ++k) {
    const int x = t.x + own_column, y = t.y + own_row + k;
    if (p.errors && x < p.width && y < p.height)
      p.errors[((long long)t.camera * p.height + y) * p.width + x] = errors[k] * (1.0f / 3.0f);
  }
  difference = block_sum(difference, blurred);
  similarity = block_sum(similarity, blurred);
  if (thread == 0) {
    p.partial[2 * blockIdx.x] = difference;
    p.partial[2 * blockIdx.x + 1] = similarity;
  }
}

SK_GLOBAL(LOSS_THREADS) image_loss_sum(const LossParams p) {
  __shared__ double sums[2][LOSS_THREADS];
  double difference = 0.0, similarity = 0.0;
  for (int i = threadIdx.x; i < p.blocks; i += LOSS_THREADS) {
    difference += p.partial[2 * i];
    similarity += p.partial[2 * i + 1];
  }
  sums[0][threadIdx.x] = difference;
  sums[1][threadIdx.x] = similarity;
  for (int half = LOSS_THREADS / 2; half > 0; half /= 2) {
    __syncthreads();
    if ((int)threadIdx.x < half)
      for (int k = 0; k < 2; ++k) sums[k][threadIdx.x] += sums[k][threadIdx.x + half];
  }
  if (threadIdx.x != 0) return;
  const double values = 3.0 * p.num_cameras * p.height * p.width;
  const double w = p.ssim_weight, l1 = sums[0][0] / values, mean = sums[1][0] / values;
  p.loss[0] = (float)((1.0 - w) * l1 + w * (1.0 - mean));
  p.loss[1] = (float)l1;
  p.loss[2] = (float)mean;
}

}  // namespace splatkit
