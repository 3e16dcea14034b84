// Large pictures from small ones: a thread a large pixel, a block a tile of them.

#include "gpu.h"
#include "splatkit/fsr.h"
#include "splatkit/upscale.h"

namespace splatkit {
inline namespace SK_ISA {

constexpr int FOLDED_WIDTH = UPSCALE_TILE_WIDTH / 2, FOLDED_HEIGHT = UPSCALE_TILE_HEIGHT / 2;
constexpr int FEATURE_BLOCKS = 3;  // a processor shall hold: registers are dealt out accordingly
constexpr int FOLDED_WORDS = 2 * UPSCALE_FEATURES;  // of two halves, a place
static_assert(UPSCALE_THREADS == UPSCALE_TILE_WIDTH * UPSCALE_TILE_HEIGHT);
static_assert(UPSCALE_THREADS * 4 == FOLDED_WIDTH * FOLDED_HEIGHT * FOLDED_WORDS);

// The large pixel of this thread.
struct LargePixel {
  int tile_x, tile_y;  // number of its tile
  int x, y;
  bool inside;
  long long index;
};
template <class P>
SK_DEVICE LargePixel large_pixel(const P &p) {
  const int across = ceil_div(p.width, UPSCALE_TILE_WIDTH);
  LargePixel pixel;
  pixel.tile_x = (int)blockIdx.x % across;
  pixel.tile_y = (int)blockIdx.x / across;
  pixel.x = pixel.tile_x * UPSCALE_TILE_WIDTH + (int)threadIdx.x % UPSCALE_TILE_WIDTH;
  pixel.y = pixel.tile_y * UPSCALE_TILE_HEIGHT + (int)threadIdx.x / UPSCALE_TILE_WIDTH;
  pixel.inside = pixel.x < p.width && pixel.y < p.height;
  pixel.index = (long long)pixel.y * p.width + pixel.x;
  return pixel;
}

// Between which small pixels the centre of a large one lies.
template <class P>
SK_DEVICE Cell column_cell(const P &p, int x) {
  return cell_at(place_of(x, p.step, p.origin_x), p.small_width);
}
template <class P>
SK_DEVICE Cell row_cell(const P &p, int y) {
  return cell_at(place_of(y, p.step, p.origin_y), p.small_height);
}

template <class P>
SK_DEVICE void hermite_color(const P &p, const Cell &x, const Cell &y, float color[3]) {
  const Hermite<float> across = hermite(x.t), down = hermite(y.t);
  const long long pitch = 3ll * p.small_width, row = y.first * pitch;
  for (int c = 0; c < 3; ++c) {
    // What bends downward in the columns from one before the cell to one behind it.
    float bend[4], value[2], slope[2];
    for (int i = 0; i < 4; ++i) {
      const int column = min(max(x.first + i - 1, 0), p.small_width - 1);
      const float *dy = p.dy + row + 3 * column + c;
      bend[i] = fma(dy[0], down.slope0, dy[pitch] * down.slope1);
    }
    for (int i = 0; i < 2; ++i) {
      const long long place = row + 3 * (x.first + i) + c;
      const float *rgb = p.rgb + place, *dx = p.dx + place;
      value[i] = fma(rgb[0], down.value0, fma(rgb[pitch], down.value1, bend[i + 1]));
      // The mixed derivative is the slope along the row of what bends downward.
      const float mixed = (bend[i + 2] - bend[i]) * 0.5f;
      slope[i] = fma(dx[0], down.value0, fma(dx[pitch], down.value1, mixed));
    }
    const float sum = fma(value[1], across.value1, value[0] * across.value0);
    color[c] = fma(slope[1], across.slope1, fma(slope[0], across.slope0, sum));
  }
}

// One of `channels` interleaved values of an image, linear between four pixels.
SK_DEVICE float linear(const float *image, int width, const Cell &x, const Cell &y,
                       int channels = 1) {
  const long long pitch = (long long)width * channels;
  const float *above = image + y.first * pitch + (long long)x.first * channels;
  const float *below = above + pitch, sx = 1.0f - x.t, sy = 1.0f - y.t;
  float sum = above[0] * (sx * sy);
  sum = fma(above[channels], x.t * sy, sum);
  sum = fma(below[0], sx * y.t, sum);
  return fma(below[channels], x.t * y.t, sum);
}

// The colour of an image [height,width,3] by splines.
SK_DEVICE void spline_color(const float *image, int width, int height, const Cell &x, const Cell &y,
                            float color[3]) {
  float across[4], down[4];
  catmull_rom(x.t, across);
  catmull_rom(y.t, down);
  for (int c = 0; c < 3; ++c) color[c] = 0.0f;
  for (int j = 0; j < 4; ++j)
    for (int i = 0; i < 4; ++i) {
      const float *from = pixel_of(image, width, height, x.first + i - 1, y.first + j - 1);
      const float weight = across[i] * down[j];
      for (int c = 0; c < 3; ++c) color[c] = fma(from[c], weight, color[c]);
    }
}

// What earlier frames left of a pixel: a colour and its weight, 0 where it is not this pixel's.
struct Past {
  float color[3], weight;
};

// Of pixel x, y with this colour now, at these places of the small picture.
SK_DEVICE Past past_in_motion(const HistoryParams &p, const LargePixel &pixel, const Cell &x,
                              const Cell &y, const float color[3]) {
  const float px = (float)pixel.x + 0.5f, py = (float)pixel.y + 0.5f;
  const float inverse_depth = linear(p.inverse_depth, p.small_width, x, y);
  const float ratio = reciprocal(moved(p.motion + 8, px, py, inverse_depth));
  const float past_x = moved(p.motion, px, py, inverse_depth) * ratio;
  const float past_y = moved(p.motion + 4, px, py, inverse_depth) * ratio;
  Past past = {};
  if (!(ratio > 0.0f && past_x >= 0.5f && past_x <= (float)p.width - 0.5f && past_y >= 0.5f &&
        past_y <= (float)p.height - 0.5f))
    return past;
  const Cell sx = cell_at(fma(past_x, p.past_step, -p.past_origin_x), p.past_width);
  const Cell sy = cell_at(fma(past_y, p.past_step, -p.past_origin_y), p.past_height);
  if (!same_surface(linear(p.past_inverse_depth, p.past_width, sx, sy), inverse_depth * ratio,
                    linear(p.past_alpha, p.past_width, sx, sy),
                    linear(p.alpha, p.small_width, x, y)))
    return past;
  const Cell cx = cell_at(past_x - 0.5f, p.width), cy = cell_at(past_y - 0.5f, p.height);
  spline_color(p.past_rgb, p.width, p.height, cx, cy, past.color);
  float square = 0.0f, detail = 0.0f;
  for (int c = 0; c < 3; ++c) {
    const float difference = past.color[c] - color[c];
    square = fma(difference, difference, square);
    const float bent = color[c] - linear(p.rgb + c, p.small_width, x, y, 3);
    detail = fma(bent, bent, detail);
  }
  const float weight = min(linear(p.past_weight, p.width, cx, cy) * p.decay, p.most_weight);
  past.weight = weight_followed(weight, square, detail, p.color_tolerance);
  return past;
}

}  // namespace SK_ISA

SK_GLOBAL(UPSCALE_THREADS) upscale_hermite(const UpscaleParams p) {
  const LargePixel pixel = large_pixel(p);
  if (!pixel.inside) return;
  float color[3];
  hermite_color(p, column_cell(p, pixel.x), row_cell(p, pixel.y), color);
  for (int c = 0; c < 3; ++c) p.out[3 * pixel.index + c] = color[c];
}

SK_GLOBAL(UPSCALE_THREADS) upscale_fsr(const UpscaleParams p) {
  const LargePixel pixel = large_pixel(p);
  if (!pixel.inside) return;
  easu(p.rgb, p.small_width, p.small_height, place_of(pixel.x, p.step, p.origin_x),
       place_of(pixel.y, p.step, p.origin_y), p.out + 3 * pixel.index);
}

SK_GLOBAL(UPSCALE_THREADS) upscale_history(const HistoryParams p) {
  const LargePixel pixel = large_pixel(p);
  if (!pixel.inside) return;
  const Cell x = column_cell(p, pixel.x), y = row_cell(p, pixel.y);
  float color[3];
  hermite_color(p, x, y, color);
  Past past = {};
  if (p.past_rgb && p.resting) {
    past.weight = p.past_weight[pixel.index];
    for (int c = 0; c < 3; ++c) past.color[c] = p.past_rgb[3 * pixel.index + c];
  } else if (p.past_rgb) {
    past = past_in_motion(p, pixel, x, y, color);
  }
  const float off_x = to_nearest(x.t), off_y = to_nearest(y.t);
  const float total = sample_weight(fma(off_x, off_x, off_y * off_y)) + past.weight;
  const float share = past.weight / total;
  for (int c = 0; c < 3; ++c)
    p.out[3 * pixel.index + c] = fma(past.color[c] - color[c], share, color[c]);
  p.weight[pixel.index] = total;
}

SK_GLOBAL(UPSCALE_THREADS, FEATURE_BLOCKS) upscale_features(const FeatureParams p) {
  // Of each place, its words; one more lets threads write to different banks.
  __shared__ unsigned staged[FOLDED_WIDTH * FOLDED_HEIGHT][FOLDED_WORDS + 1];
  const LargePixel pixel = large_pixel(p);
  // Beyond the border the last row and column go on.
  const int column = min(pixel.x, p.width - 1), row = min(pixel.y, p.height - 1);
  const Cell x = column_cell(p, column), y = row_cell(p, row);
  const float *base = p.base + 3 * ((long long)row * p.width + column);
  float bicubic[3], values[UPSCALE_FEATURES];
  spline_color(p.rgb, p.small_width, p.small_height, x, y, bicubic);
  for (int c = 0; c < 3; ++c) {
    values[c] = base[c];
    values[3 + c] = (base[c] - bicubic[c]) * p.detail_scale;
  }
  const float off_x = to_nearest(x.t), off_y = to_nearest(y.t);
  values[6] = sqrt(fma(off_x, off_x, off_y * off_y));
  values[7] = linear(p.alpha, p.small_width, x, y);
  const int in_x = pixel.x % UPSCALE_TILE_WIDTH, in_y = pixel.y % UPSCALE_TILE_HEIGHT;
  unsigned *words = staged[in_y / 2 * FOLDED_WIDTH + in_x / 2];
  for (int c = 0; c < UPSCALE_FEATURES; ++c) {
    const unsigned own = half_bits(values[c]), right = __shfl_xor_sync(FULL_WARP, own, 1);
    if (in_x % 2 == 0) words[2 * c + in_y % 2] = own | right << 16;
  }
  __syncthreads();
  // Four threads a place, 16 bytes each, so that a warp writes whole lines.
  const int place = (int)threadIdx.x / 4, part = (int)threadIdx.x % 4;
  const int to_x = pixel.tile_x * FOLDED_WIDTH + place % FOLDED_WIDTH;
  const int to_y = pixel.tile_y * FOLDED_HEIGHT + place / FOLDED_WIDTH;
  const int folded_width = ceil_div(p.width, 2);
  if (to_x >= folded_width || to_y >= ceil_div(p.height, 2)) return;
  const unsigned *from = staged[place] + 4 * part;
  ((uint4 *)p.seen)[4 * ((long long)to_y * folded_width + to_x) + part] =
      make_uint4(from[0], from[1], from[2], from[3]);
}

SK_GLOBAL(UPSCALE_THREADS) upscale_add(const ResidualParams p) {
  const LargePixel pixel = large_pixel(p);
  if (!pixel.inside) return;
  const long long place = (long long)(pixel.y / 2) * ceil_div(p.width, 2) + pixel.x / 2;
  const unsigned short *answer = p.answer + 12 * place + 2 * (pixel.y % 2) + pixel.x % 2;
  const float scale = p.share ? p.scale * p.share[pixel.index] : p.scale;
  for (int c = 0; c < 3; ++c) {
    const long long i = 3 * pixel.index + c;
    p.out[i] = fma(half_value(answer[4 * c]), scale, p.base[i]);
  }
}

SK_GLOBAL(UPSCALE_THREADS) sharpen_image(const SharpenParams p) {
  const LargePixel pixel = large_pixel(p);
  if (!pixel.inside) return;
  sharpen_pixel(p.rgb, p.width, p.height, pixel.x, pixel.y, p.sharpness, p.out + 3 * pixel.index);
}

}  // namespace splatkit
