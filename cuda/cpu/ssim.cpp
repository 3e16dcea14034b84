// One piece of the image loss. Rows roll through two rings of 11: blurred products of render and
// photo give the derivative of the similarity at a row, blurred derivatives give the gradient five
// rows above. Blurs are separable, first down the ring, then along the row; interleaved channels
// only make the horizontal step three floats wide. Everything outside the image is 0.

#include "ssim.h"

#include "simd.h"
#include "splatkit/ssim.h"

namespace splatkit {
inline namespace SK_ISA {
namespace {

constexpr int TAPS = 2 * SSIM_RADIUS + 1;
constexpr int HALO = 3 * SSIM_RADIUS;  // floats that a blur reaches beside a pixel
constexpr int ORIGIN = 48;             // place of the piece's first float in a row buffer

constexpr int X = 0, Y = 1, SQUARES = 2, PRODUCT = 3, QUANTITIES = 4;
constexpr int V_MEAN = 0, V_SQUARES = 1, V_PRODUCT = 2, DERIVATIVES = 3;

struct Rows {
  const ImageLoss &a;
  const ImagePiece &piece;
  float *scratch;
  int floats;  // of the piece in a row
  int pitch;   // of a row buffer

  float *ring(int quantity, int row) const {
    const int slot = (row + 4 * TAPS) % TAPS;
    return scratch + (int64_t)(quantity * TAPS + slot) * pitch + ORIGIN;
  }
  float *derivative(int field, int row) const { return ring(QUANTITIES + field, row); }
  float *column_blur(int quantity) const {
    return scratch + (int64_t)((QUANTITIES + DERIVATIVES) * TAPS + quantity) * pitch + ORIGIN;
  }
};

// One output row of a blur down `field` (0 = X ... of the rings), for floats begin..end.
SK_INLINE void blur_down(const Rows &rows, int field, int row, int begin, int end, float *out) {
  const float *r[TAPS];
  for (int k = 0; k < TAPS; ++k) r[k] = rows.ring(field, row + k - SSIM_RADIUS);
  for (int j = begin; j < end; j += vfloat::size) {
    vfloat sum = load(r[SSIM_RADIUS] + j) * vfloat(ssim_weight(0));
    for (int k = 1; k <= SSIM_RADIUS; ++k)
      sum = fma(load(r[SSIM_RADIUS - k] + j) + load(r[SSIM_RADIUS + k] + j), vfloat(ssim_weight(k)),
                sum);
    store(out + j, sum);
  }
}

// A blur along a row at one vector.
SK_INLINE vfloat blur_along(const float *row) {
  vfloat sum = load(row) * vfloat(ssim_weight(0));
  for (int k = 1; k <= SSIM_RADIUS; ++k)
    sum = fma(load(row - 3 * k) + load(row + 3 * k), vfloat(ssim_weight(k)), sum);
  return sum;
}

void fill(float *row, int begin, int end, float value) {
  for (int j = begin; j < end; ++j) row[j] = value;
}

// Reads an image row into the rings: render, photo and their products.
void read_row(const Rows &rows, int row) {
  const ImageLoss &a = rows.a;
  float *x = rows.ring(X, row), *y = rows.ring(Y, row);
  float *squares = rows.ring(SQUARES, row), *product = rows.ring(PRODUCT, row);
  const int reach = 2 * HALO, n = rows.floats;
  int begin = -3 * rows.piece.column_begin, end = 3 * (a.width - rows.piece.column_begin);
  begin = begin < -reach ? -reach : begin;
  end = end > n + reach ? n + reach : end;
  if (row < 0 || row >= a.height) begin = end = 0;
  float *const buffers[] = {x, y, squares, product};
  for (float *buffer : buffers) {
    fill(buffer, -ORIGIN, begin, 0.0f);
    fill(buffer, end, rows.pitch - ORIGIN, 0.0f);
  }
  if (begin == end) return;
  const int64_t line = ((int64_t)rows.piece.camera * a.height + row) * a.width;
  const int64_t first = 3 * (line + rows.piece.column_begin);
  for (int j = begin; j < end; j += vfloat::size) {
    uint8_t tail[vfloat::size] = {};
    const uint8_t *bytes = a.targets + first + j;
    if (end - j < vfloat::size) bytes = (const uint8_t *)std::memcpy(tail, bytes, end - j);
    store_first(x + j, load_first(a.rgb + first + j, end - j), end - j);
    store_first(y + j, load_bytes(bytes) / vfloat(255.0f), end - j);
  }
  if (a.mask) {
    const uint8_t *mask = a.mask + line + rows.piece.column_begin;
    for (int j = begin; j < end; ++j)
      if (!mask[(j + 3 * TAPS) / 3 - TAPS]) y[j] = x[j];
  }
  for (int j = begin; j < end; j += vfloat::size) {
    const vfloat vx = load(x + j), vy = load(y + j);
    store_first(squares + j, fma(vx, vx, vy * vy), end - j);
    store_first(product + j, vx * vy, end - j);
  }
}

// Similarity of a row, and its derivative with respect to the window averages into the rings.
float differentiate_row(const Rows &rows, int row, float v_score) {
  const int n = rows.floats;
  if (row < 0 || row >= rows.a.height) {
    for (int f = 0; f < DERIVATIVES; ++f)
      fill(rows.derivative(f, row), -ORIGIN, rows.pitch - ORIGIN, 0.0f);
    return 0.0f;
  }
  const float *blurred[QUANTITIES];
  for (int q = 0; q < QUANTITIES; ++q) {
    blur_down(rows, q, row, -2 * HALO - 2, n + 2 * HALO, rows.column_blur(q));
    blurred[q] = rows.column_blur(q);
  }
  float *v_mean = rows.derivative(V_MEAN, row), *v_squares = rows.derivative(V_SQUARES, row),
        *v_product = rows.derivative(V_PRODUCT, row);
  vfloat total(0.0f);
  for (int j = -16; j < n + HALO; j += vfloat::size) {
    const SsimMoments<vfloat> m = {blur_along(blurred[X] + j), blur_along(blurred[Y] + j),
                                   blur_along(blurred[SQUARES] + j),
                                   blur_along(blurred[PRODUCT] + j)};
    SsimMoments<vfloat> v_m = {vfloat(0.0f), vfloat(0.0f), vfloat(0.0f), vfloat(0.0f)};
    ssim_adj(m, vfloat(v_score), v_m);
    store(v_mean + j, v_m.mean_x);
    store(v_squares + j, v_m.squares);
    store(v_product + j, v_m.product);
    if (j >= 0 && j < n) total = total + select(first_lanes(n - j), ssim(m), vfloat(0.0f));
  }
  float *const fields[] = {v_mean, v_squares, v_product};
  for (float *field : fields) {
    if (rows.piece.column_begin == 0) fill(field, -16, 0, 0.0f);
    if (rows.piece.column_end == rows.a.width) fill(field, n, n + HALO + 1, 0.0f);
  }
  return hsum(total);
}

// Gradient of a row; returns the sum of |render - photo|.
float write_row(const Rows &rows, int row, float v_difference) {
  const ImageLoss &a = rows.a;
  const int n = rows.floats;
  for (int f = 0; f < DERIVATIVES; ++f)
    blur_down(rows, QUANTITIES + f, row, -16, n + HALO, rows.column_blur(f));
  const float *x = rows.ring(X, row), *y = rows.ring(Y, row);
  const int64_t line =
      ((int64_t)rows.piece.camera * a.height + row) * a.width + rows.piece.column_begin;
  float *out = a.v_rgb + 3 * line;
  vfloat total(0.0f);
  for (int j = 0; j < n; j += vfloat::size) {
    const vfloat vx = load(x + j), vy = load(y + j), difference = vx - vy;
    const vmask inside = first_lanes(n - j);
    vfloat v = blur_along(rows.column_blur(V_MEAN) + j);
    v = fma(blur_along(rows.column_blur(V_SQUARES) + j), vx + vx, v);
    v = fma(blur_along(rows.column_blur(V_PRODUCT) + j), vy, v);
    v = v + select(difference > vfloat(0.0f), vfloat(v_difference), vfloat(0.0f)) -
        select(difference < vfloat(0.0f), vfloat(v_difference), vfloat(0.0f));
    store_first(out + j, v, n - j);
    total = total + select(inside, abs(difference), vfloat(0.0f));
  }
  if (a.mask)
    for (int j = 0; j < n; ++j)
      if (!a.mask[line + j / 3]) out[j] = 0.0f;
  return hsum(total);
}

}  // namespace

void image_loss_piece(const ImageLoss &arguments, const ImagePiece &piece, RowLoss *row_losses,
                      float *scratch) {
  const int floats = 3 * (piece.column_end - piece.column_begin);
  const int pitch = (floats + 2 * HALO + 2 * ORIGIN + 15) / 16 * 16;
  const Rows rows = {arguments, piece, scratch, floats, pitch};
  const double values = 3.0 * arguments.cameras * arguments.height * arguments.width;
  const float v_score = (float)(-arguments.ssim_weight / values);
  const float v_difference = (float)((1.0 - arguments.ssim_weight) / values);
  // The column blurs' margins are read but never written.
  for (int q = 0; q < QUANTITIES; ++q) fill(rows.column_blur(q), -ORIGIN, pitch - ORIGIN, 0.0f);
  constexpr int R = SSIM_RADIUS;
  for (int row = piece.row_begin - 2 * R; row < piece.row_end + 2 * R; ++row) {
    read_row(rows, row);
    const int middle = row - R, out = row - 2 * R;
    if (middle >= piece.row_begin - R) {
      const float similarity = differentiate_row(rows, middle, v_score);
      if (middle >= piece.row_begin && middle < piece.row_end)
        row_losses[middle - piece.row_begin].similarity = similarity;
    }
    if (out >= piece.row_begin)
      row_losses[out - piece.row_begin].difference = write_row(rows, out, v_difference);
  }
}

}  // namespace SK_ISA
}  // namespace splatkit
