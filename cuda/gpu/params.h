// What the launch code needs to know about the kernels: names, arguments, geometry, options.
//
// Every kernel is `extern "C"`, is named once in the table below and takes one struct by value.
// Structs hold raw pointers, sizes and numbers only; kernels allocate nothing, use static shared
// memory only (at most 48 KB) and never wait for the host. Counts that a kernel finds (visible
// records, instances) stay on the device in `counters`: grids are sized for capacities, and what
// lies beyond a count ends at once. So a whole step is one fixed sequence of launches, which a
// CUDA graph can hold.
//
// To be read by programs too: a struct is `struct NAME {`, then one field a line as
// `TYPE NAME;` or `TYPE NAME[n];`, then `};`. TYPE is float, int, unsigned, long long, unsigned
// long long, or a pointer to anything (it holds a `*`, 8 bytes); C layout. Constants are
// `constexpr int NAME = VALUE;`.
//
// Vocabulary: N Gaussians with K stored harmonics, C cameras of one image size, M records (visible
// pairs of camera and Gaussian, ordered by camera, then Gaussian; splatkit/render/screen.py),
// T = C * tiles_x * tiles_y tiles, I instances (pairs of record and tile), D values blended at
// once.
//
// Kernels, in the order of a step. NVRTC options for all: -std=c++17 --fmad=false -I cuda/include
// -I cuda/gpu. (--fmad=false: a product is fused where the source says fma and nowhere else, so
// alpha has the same bits forward and backward.)
//
//   kernel          file            arguments      threads       blocks
//   prepare_cameras project.cu      PrepareParams  32            ceil(C / 32)
//   project         project.cu      ProjectParams  256           C * ceil(N / 256)
//   sort_histogram  sort.cu         SortParams     256           min(512, ceil(capacity / 4096))
//   sort_pass       sort.cu         SortParams     256           ceil(capacity / SORT_BLOCK_ITEMS)
//   emit            bin.cu          EmitParams     256           ceil(record_capacity / 256)
//   tile_ranges     bin.cu          RangesParams   256           ceil((T + 1) / 256)
//   blend           blend.cu        BlendParams    BLEND_THREADS T
//   blend_adj       blend_adj.cu    BlendAdjParams 128           ceil(adj_items / 4), see there
//   gather_slots    gather_slots.cu GatherParams   256           ceil(record_capacity / 64)
//   finish          finish.cu       FinishParams   128           ceil(N / 128)
//   project_adj     project_adj.cu  FinishParams   128           ceil(N / 128)
//   view_adj        project_adj.cu  FinishParams   32            C
//   image_loss      loss.cu         LossParams     256           C * ceil(W / 32) * ceil(H / 32)
//   image_loss_sum  loss.cu         LossParams     256           1
//   sample_keys     densify.cu      SampleParams   256           ceil(count / 256)
//   morton_keys     densify.cu      MortonParams   256           ceil(count / 256)
//   split_rows      densify.cu      SplitParams    128           ceil(count / 128)
//   disturb_means   densify.cu      DisturbParams  256           ceil(count / 256)
//   shrink_image    image.cu        ShrinkParams   256           ceil(width * height / 256)
//   upscale_hermite upscale.cu      UpscaleParams  UPSCALE_THREADS ceil(W / 64) * ceil(H / 4)
//   upscale_fsr     upscale.cu      UpscaleParams  UPSCALE_THREADS ceil(W / 64) * ceil(H / 4)
//   upscale_history upscale.cu      HistoryParams  UPSCALE_THREADS ceil(W / 64) * ceil(H / 4)
//   upscale_features upscale.cu     FeatureParams  UPSCALE_THREADS ceil(W / 64) * ceil(H / 4)
//   upscale_add     upscale.cu      ResidualParams UPSCALE_THREADS ceil(W / 64) * ceil(H / 4)
//   sharpen_image   upscale.cu      SharpenParams  UPSCALE_THREADS ceil(W / 64) * ceil(H / 4)
//   triangle_bin    triangles_bin.cu TriangleBinParams 256       C * ceil(N / 256)
//   triangle_blend  triangles.cu    TriangleBlendParams 256      T
//   triangle_blend_adj triangles_adj.cu TriangleBlendParams 256  T
//   triangle_gather triangles_bin.cu TriangleGatherParams 256    C * ceil(N / 256)
//   triangle_view_adj triangles_bin.cu TriangleGatherParams 32   ceil(C / 32)
//
// The last five draw triangles: there N is the number of faces, V of vertices, F of values at each
// vertex, and an instance is a pair of face and tile; camera C's face n has the number C * N + n.
//
// All launches of a kernel that would have 0 blocks are left out; outputs of size 0 need nothing.
//
// Compile-time options (-DNAME=VALUE); all have the defaults given here.
//
//   SK_SH_DEGREE      0    project, finish, project_adj: degree in use, 0..4
//   SK_BASES          1    the same: K stored harmonics, at least (SK_SH_DEGREE + 1)^2
//   SK_MOVING_BASES   K    finish: harmonics from here on have no gradient and no moments, and stay
//   SK_MANY_CAMERAS   0    finish, project_adj: 1 where C > 1 (0 uses less memory, for C = 1 only)
//   SK_VIEW_GRADIENT  0    project_adj: 1 sums the gradient of viewmats for view_adj
//   SK_HALF_RECORDS   0    project, emit, blend: 32-byte records (HalfRecord), for rendering only
//   SK_TILE_WIDTH     16   emit, blend, blend_adj: pixels; multiples of 8
//   SK_TILE_HEIGHT    16   the same; multiples of 4
//   SK_KEY_BITS       32   sort: bits of a key, 32 or 16. emit, tile_ranges: of a tile's number; 16
//                          where T <= 65536
//   SK_DETERMINISTIC  0    emit, blend, blend_adj: 1 sums gradients over instances in fixed order
//   SK_COLORS         3    blend, blend_adj: 3 in the first pass over the channels, then 0
//   SK_VALUES         3    blend, blend_adj: D = SK_COLORS + room for channels: 3, 8 or 16
//   SK_BLEND_PIXELS   1    blend: pixels a thread; BLEND_THREADS = tile pixels / SK_BLEND_PIXELS,
//                          32 to 1024. 1 for 16x16 tiles, 4 for 32x32
//   SK_BUCKET         128  blend, blend_adj: entries of a tile between two checkpoints, a multiple
//                          of 32; 0: none (rendering only, or a backward pass over whole tiles)
//   SK_MEDIAN         0    blend: 1 writes depth_median
//   SK_WEIGHTS        0    blend: 1 writes weight_sum, weight_max, weight_count
//   SK_TOP_K          0    blend: 0 to 32, writes top_ids, top_weights
//   SK_GRADIENT       0    blend: 1 writes rgb_dx, rgb_dy
//   SK_SCORES         0    blend_adj, gather_slots: 1 sums scores
//   SK_ADJ_FORM       0    blend_adj: 0 lanes are pixels, 1 lanes are splats; both give the same
//                          gradients, the faster one is found by timing a few steps
//   SK_SOFT           0    triangles: 1 blends them by depth, 0 takes the nearest
//   SK_NORMALS        0    triangles: 1 blends normals, too
//   SK_ATTRIBUTES     0    triangles: F
//   SK_WEIGHTS        0    triangle_blend: 1 writes statistics of the faces
//   SK_ADJ_PIXELS     8    blend_adj, form 0: pixels a thread, 8, 4 or 2: 8 for D = 3, 4 for D = 8,
//                          2 for D = 16; tile pixels must be a multiple of 32 * SK_ADJ_PIXELS
//
// Everything named "zeroed" must hold zeros at launch; `scratch` below says how to lay all of it
// out so that one memset a step does.
#pragma once

namespace splatkit {

// Places in `counters`, unsigned [COUNTERS], zeroed at the start of a step.
constexpr int COUNTER_RECORDS = 0;           // M, at most record_capacity
constexpr int COUNTER_RECORDS_WANTED = 1;    // M if there had been room; to be read later
constexpr int COUNTER_INSTANCES = 2;         // I, at most instance_capacity
constexpr int COUNTER_INSTANCES_WANTED = 3;  // I if there had been room (saturates at 2^30 - 1);
                                             // the farthest splats are what is left out
constexpr int COUNTER_TICKET_PROJECT = 4;
constexpr int COUNTER_TICKET_EMIT = 5;
constexpr int COUNTERS = 8;

constexpr int PROJECT_THREADS = 256;
constexpr int EMIT_THREADS = 256;
constexpr int SORT_THREADS = 256;
constexpr int SORT_ITEMS = 12;          // keys a thread
constexpr int SORT_BLOCK_ITEMS = 3072;  // SORT_THREADS * SORT_ITEMS
constexpr int SORT_HISTOGRAM_ITEMS = 4096;
constexpr int SORT_DIGITS = 256;  // 8 bits a pass
constexpr int SORT_MAX_PASSES = 4;
constexpr int BLEND_ADJ_THREADS = 128;  // 4 warps, each with an item of its own
constexpr int BLEND_ADJ_WARPS = 4;
constexpr int GATHER_THREADS = 256;
constexpr int GATHER_ROWS = 64;  // records a block
constexpr int FINISH_THREADS = 128;
constexpr int LOSS_TILE = 32;  // pixels a side
constexpr int LOSS_THREADS = 256;
constexpr int CAMERA_FLOATS = 28;         // of a prepared camera, 112 bytes, 16-byte aligned
constexpr int VIEW_GRADIENT_FLOATS = 16;  // 15 sums and padding
constexpr int SLOT_FLOATS = 12;           // of a slot, besides its channels; see GatherParams

// What all splats of an image share, from cameras as torch has them.
struct PrepareParams {
  const float *viewmats;  // [C,4,4] camera_from_world
  const float *Ks;        // [C,3,3]
  float *cameras;         // [C,CAMERA_FLOATS] out, 16-byte aligned
  int num_cameras;
  int width;  // pixels
  int height;
  int antialiased;  // 0 or 1
  float eps2d;      // pixel^2
  float near;       // camera z
  float offset_x;   // pixels are sampled at their centre plus this
  float offset_y;
  float left;  // the part of the image that spans the frustum, pixels
  float top;
  float right;
  float bottom;
};

// Gaussians to records. The only kernel that decides what is visible.
// Block order gives record order (a running sum over blocks, `lookback`).
struct ProjectParams {
  const float *means;            // [N,3]
  const float *quats;            // [N,4] 16-byte aligned
  const float *log_scales;       // [N,3]
  const float *logit_opacities;  // [N]
  const float *sh;               // [N,K,3] 16-byte aligned
  const float *cameras;          // [C,CAMERA_FLOATS]
  float *records;                // [record_capacity,12] out, or with SK_HALF_RECORDS HalfRecord
                                 // [record_capacity], 32 bytes each; 16-byte aligned
  int *gaussian_ids;             // [record_capacity] out
  int *camera_ids;               // [record_capacity] out, or null
  int *rows;                     // [C,N] out: record of each pair, -1 where there is none; or null
  unsigned *depth_keys;          // [record_capacity] out: sort like camera z; or null
  unsigned *counters;            // RECORDS, RECORDS_WANTED, TICKET_PROJECT
  unsigned *lookback;            // [blocks] zeroed
  long long count;               // N, below 2^30 / C
  int num_cameras;
  int record_capacity;  // C * N never overflows
};

// One pass of a stable radix sort of (key, value) pairs by 8 bits, least significant first.
// sort_histogram runs once for all passes of a sort, then sort_pass once a pass, each reading what
// the last one wrote; two pairs of buffers suffice. A sort of b bits has ceil(b / 8) passes of
// shifts 0, 8, 16, 24; bits above b must be 0.
struct SortParams {
  const unsigned *keys_in;    // [capacity]; unsigned short with SK_KEY_BITS 16
  unsigned *keys_out;         // [capacity]
  const unsigned *values_in;  // [capacity], or null: the values are 0, 1, 2, ...
  unsigned *values_out;       // [capacity]
  unsigned *histograms;       // [passes,SORT_DIGITS] zeroed before sort_histogram
  unsigned *tickets;          // [passes] zeroed
  unsigned *lookback;         // [blocks,SORT_DIGITS] zeroed, one such a pass
  const unsigned *count;      // where the number of pairs stands, such as &counters[RECORDS]
  int pass;                   // 0 to passes - 1; shift is 8 * pass. sort_histogram: 0
  int passes;
};

// Records in order of depth to instances: for each tile that a splat can reach, the tile's number
// (camera * tiles_x * tiles_y + row * tiles_x + column) and the record. Exact coverage.
struct EmitParams {
  const float *records;      // [M,12] or HalfRecord
  const int *camera_ids;     // [M], or null where C = 1
  const unsigned *order;     // [M] records, nearest first: the values that the depth sort gave
  unsigned *tile_keys;       // [instance_capacity] out; unsigned short with SK_KEY_BITS 16
  unsigned *values;          // [instance_capacity] out: the record; null with SK_DETERMINISTIC, the
                             // tile sort has values_in null then
  unsigned *instance_rows;   // [instance_capacity] out with SK_DETERMINISTIC: the record of each
                             // instance, in order of emission; else null
  unsigned *first_instance;  // [record_capacity + 1] out with SK_DETERMINISTIC: of each place in
                             // `order`, and their end; else null
  unsigned *counters;        // RECORDS in; INSTANCES, INSTANCES_WANTED, TICKET_EMIT
  unsigned *lookback;        // [ceil(record_capacity / 256)] zeroed
  int width;
  int height;
  int tiles_x;  // ceil(width / SK_TILE_WIDTH)
  int tiles_y;
  int instance_capacity;  // below 2^30
};

// Where each tile's instances begin among the sorted ones.
struct RangesParams {
  const unsigned *tile_keys;  // [I] sorted; unsigned short with SK_KEY_BITS 16
  const unsigned *counters;   // INSTANCES
  unsigned *tile_begin;       // [T + 1] out
  int tiles;                  // T
};

// Blends tiles front to back. Null outputs where their option is off.
//
// With SK_BUCKET the state of a tile's pixels before its entries SK_BUCKET, 2 SK_BUCKET, ... is
// kept for the backward pass: checkpoint number s = tile_begin / SK_BUCKET + k for the k-th of a
// tile, [D + 1, tile pixels] floats each (transmittance, below 0 where the pixel has ended, then
// values), of which at most instance_capacity / SK_BUCKET + 1 exist.
struct BlendParams {
  const float *records;            // [M,12] or HalfRecord
  const int *gaussian_ids;         // [M]; read with SK_WEIGHTS or SK_TOP_K
  const float *channels;           // [M,num_channels] or null
  const float *background;         // [C,3]
  const unsigned *entries;         // [I] the values that the tile sort gave
  const unsigned *instance_rows;   // as emit wrote it, with SK_DETERMINISTIC; else null
  const unsigned *tile_begin;      // [T + 1]
  float *rgb;                      // [C,H,W,3]
  float *alpha;                    // [C,H,W]
  float *channel_image;            // [C,H,W,num_channels] or null
  float *depth_median;             // [C,H,W]
  unsigned long long *weight_sum;  // [N] zeroed; sums of weights in units of 2^-32
  float *weight_max;               // [N] zeroed
  int *weight_count;               // [N] zeroed
  int *top_ids;                    // [C,H,W,SK_TOP_K]
  float *top_weights;              // [C,H,W,SK_TOP_K]
  float *rgb_dx;                   // [C,H,W,3] with SK_GRADIENT, in the pass with colours
  float *rgb_dy;                   // [C,H,W,3]
  float *checkpoints;     // [instance_capacity / SK_BUCKET + 1][D + 1][tile pixels], or null
                          // without SK_BUCKET
  int *checkpoint_tiles;  // [instance_capacity / SK_BUCKET + 1] out: tile of a checkpoint;
                          // filled with -1 (bytes 0xff) before; null without SK_BUCKET
  int *tile_ends;         // [T] out: entries of a tile that some pixel looked at; or null
  int width;
  int height;
  int tiles_x;
  int tiles_y;
  int num_channels;   // F of the tensors
  int channel_begin;  // first channel of this pass
  int channel_count;  // channels in this pass, at most SK_VALUES - SK_COLORS
};

// Gradients of records and channels of what `blend` blended with the same options.
//
// Each warp takes one item: a bucket of a tile (and, in form 0, one of `parts` equal parts of its
// pixels). adj_items = (T + instance_capacity / SK_BUCKET + 1) * parts, without SK_BUCKET
// T * parts; parts = tile pixels / (32 * SK_ADJ_PIXELS) in form 0, 1 in form 1.
//
// Without SK_DETERMINISTIC it adds into v_records, v_channels, score_sums (zeroed before the first
// pass over the channels). With it, it writes each instance's own slots, which gather_slots sums.
struct BlendAdjParams {
  const float *records;           // [M,12]
  const float *channels;          // [M,num_channels] or null
  const unsigned *entries;        // [I]
  const unsigned *instance_rows;  // [I] with SK_DETERMINISTIC, else null
  const unsigned *tile_begin;     // [T + 1]
  const float *rgb;               // [C,H,W,3] as blended
  const float *alpha;             // [C,H,W] as blended
  const float *channel_image;     // [C,H,W,num_channels] as blended, or null
  const float *v_rgb;             // [C,H,W,3]
  const float *v_alpha;           // [C,H,W] or null
  const float *v_channel_image;   // [C,H,W,num_channels] or null
  const float *scores;            // [C,H,W] with SK_SCORES, else null
  const float *checkpoints;       // as blend left them
  const int *checkpoint_tiles;
  const int *tile_ends;
  float *v_records;   // [M,12] zeroed, 16-byte aligned; null with SK_DETERMINISTIC
  float *v_channels;  // [M,num_channels] zeroed, or null
  float *score_sums;  // [M,2] zeroed: sums of weight times score and of weight; or null
  float *slots;       // with SK_DETERMINISTIC [instance_capacity,parts,slot] written whole,
                      // 16-byte aligned; slot = SLOT_FLOATS + SK_VALUES - SK_COLORS rounded
                      // up to a multiple of 4; else null
  int tiles;          // T
  int width;
  int height;
  int tiles_x;
  int tiles_y;
  int num_channels;
  int channel_begin;
  int channel_count;
};

// Slots to gradients of records, in a fixed order; compiled with the options of its blend_adj.
// A slot: v_record's columns 0 to 8, then weight times score and weight (columns 9 and 10), 0, then
// channels.
struct GatherParams {
  const float *slots;
  const unsigned *order;           // [M] as emit read it
  const unsigned *first_instance;  // as emit wrote it
  const unsigned *counters;        // RECORDS
  float *v_records;                // [M,12] written whole in the first pass, then added to
  float *v_channels;               // [M,num_channels] or null: written
  float *score_sums;               // [M,2] or null: written
  int num_channels;
  int channel_begin;
  int channel_count;
};

// Gradients of records to Gaussians.
// finish: one Adam update of every Gaussian in place, with gradient zero where it was not seen.
// project_adj: gradients of the parameters, written whole (harmonics above the degree in use: 0).
// view_adj: after project_adj with SK_VIEW_GRADIENT, adds up the gradient of viewmats.
// Arrays of five are in the order means, quats, log_scales, logit_opacities, sh; quats and sh (with
// their moments and gradients) 16-byte aligned.
struct FinishParams {
  float *value[5];  // [N,3] [N,4] [N,3] [N] [N,K,3]
  float *first[5];  // finish: Adam's moments
  float *second[5];
  float *gradient[5];      // project_adj: out; each null where not wanted
  const float *records;    // [M,12]
  const float *v_records;  // [M,12]
  const int *rows;         // [C,N] as project wrote it
  const float *cameras;    // [C,CAMERA_FLOATS]
  const float *viewmats;   // view_adj: [C,4,4]
  float *view_sums;        // project_adj, view_adj: [C,ceil(N / 128),VIEW_GRADIENT_FLOATS]
  float *v_viewmats;       // view_adj: [C,4,4] out
  float *gradient_sum;     // finish: running statistics [N], all null or none
  float *visible_count;
  float *extent_max;
  float *score_sum;
  float *weight_sum;
  const float *score_sums;  // [M,2] or null: score_sum and weight_sum stay
  long long count;          // N
  int num_cameras;
  float rates[6];  // of the five, the last for harmonics of degree 0; then of the others
  float beta1;
  float beta2;
  float rest1;  // 1 - beta1, rounded once, from double
  float rest2;
  float inverse_bias1;       // 1 / (1 - beta1^step), step counting from 1
  float inverse_root_bias2;  // 1 / sqrt(1 - beta2^step)
  float epsilon;
  float opacity_weight;  // per value: already divided by N
  float scale_weight;    // per value: already divided by 3 N
};

// (1 - w) L1 + w (1 - SSIM), means over pixels and channels, and its gradient.
struct LossParams {
  const float *rgb;              // [C,H,W,3]
  const unsigned char *targets;  // [C,H,W,3]
  const unsigned char *mask;     // [C,H,W], 0 where a pixel does not count; or null
  float *v_rgb;                  // [C,H,W,3] out, or null: the loss only
  float *errors;                 // [C,H,W] out: mean over channels of |rgb - target|, 0 where
                                 // masked; or null
  float *partial;                // [blocks of image_loss,2]: sums of |rgb - target| and of SSIM
  float *loss;                   // [3] out of image_loss_sum: loss, mean |rgb - target|, mean SSIM
  int num_cameras;
  int width;
  int height;
  int blocks;         // of image_loss
  float ssim_weight;  // w
};

// Random keys whose ascending order is a sample without replacement: the first n of the sorted
// indices are drawn with chances in proportion to the weights (exponential races; Efraimidis and
// Spirakis 2006). Weights that are not above 0 come last. Sort by 32 bits.
struct SampleParams {
  const float *weights;  // [count]
  unsigned *keys;        // [count] out
  unsigned long long seed;
  long long count;
};

// Half of the 60-bit place along a Z-curve (20 bits an axis, as splatkit/train/strategy.py): sort
// by the low half, then, in the order found, by the high half; 30 bits, 4 passes each.
struct MortonParams {
  const float *points;    // [count,3]
  const float *bounds;    // [2,3] smallest and largest of each axis
  const unsigned *order;  // [count]: key i is that of point order[i]; or null
  unsigned *keys;         // [count] out
  long long count;
  int high;  // 0: low 30 bits, 1: high ones
};

// Rows of a model with some of them split in two (splatkit/train/strategy.py, `split`): output row
// i is row source[order[i]] of the inputs, moved and shrunk where side[order[i]] is 1 or -1, with
// moments zero there. Null outputs are left out (means alone first, to find the order).
struct SplitParams {
  const float *value[5];  // inputs; the first four are always read
  const float *first[5];
  const float *second[5];
  float *out_value[5];  // [count, ...]
  float *out_first[5];
  float *out_second[5];
  const int *source;        // [count]
  const signed char *side;  // [count] 0: as it is
  const unsigned *order;    // [count] or null
  long long count;
  int num_bases;  // K
};

// Random steps of the centres, shaped by each Gaussian's covariance and held back by its opacity
// (splatkit/train/strategies/mcmc.py, `disturb`).
struct DisturbParams {
  float *means;                  // [count,3] in and out
  const float *quats;            // [count,4] 16-byte aligned
  const float *log_scales;       // [count,3]
  const float *logit_opacities;  // [count]
  unsigned long long seed;
  long long count;
  float strength;       // standard deviation of a step of a Gaussian of unit variance
  float opacity_floor;  // where a step is held back by half
  float steepness;      // of holding back, over opacity
};

// Area average of a uint8 image [from_height,from_width,channels], as splatkit/io/images.py
// `resize_area`.
struct ShrinkParams {
  const unsigned char *from;
  unsigned char *to;  // [height,width,channels]
  int from_width;
  int from_height;
  int width;     // at most from_width
  int height;    // at most from_height
  int channels;  // 1 to 4
};

// Large images of W x H pixels from small ones of w x h (splatkit/enhance): pixel x of the large
// image has its centre at (x + 0.5) step - origin of the small one, in small pixels from the centre
// of the first one. Images are float, interleaved.
constexpr int UPSCALE_TILE_WIDTH = 64;  // large pixels of a block; both are even
constexpr int UPSCALE_TILE_HEIGHT = 4;
constexpr int UPSCALE_THREADS = 256;  // one a pixel
constexpr int UPSCALE_FEATURES = 8;   // values of a pixel that the network sees

// By Hermite interpolation, or by FSR 1, which has no derivatives.
struct UpscaleParams {
  const float *rgb;  // [h,w,3]
  const float *dx;   // [h,w,3] derivative with respect to x, 1 / small pixel; or null
  const float *dy;   // [h,w,3] with respect to y; or null
  float *out;        // [H,W,3]
  int width;
  int height;
  int small_width;  // at least 2
  int small_height;
  float step;
  float origin_x;
  float origin_y;
};

// Hermite interpolation mixed with what earlier frames left.
struct HistoryParams {
  const float *rgb;                 // [h,w,3], like those of UpscaleParams
  const float *dx;                  // [h,w,3]
  const float *dy;                  // [h,w,3]
  const float *inverse_depth;       // [h,w]
  const float *alpha;               // [h,w]
  const float *past_rgb;            // [H,W,3], or null: there is no past
  const float *past_weight;         // [H,W], or null
  const float *past_inverse_depth;  // small image of the frame before, or null
  const float *past_alpha;          // of its size, or null
  float *out;                       // [H,W,3]
  float *weight;                    // [H,W]
  float motion[12];                 // [3,4] by rows: a large pixel's place (x, y, 1, 1 / z) to its
                                    // place in the frame before, times the ratio of depths
  int width;
  int height;
  int small_width;
  int small_height;
  int past_width;  // of the frame before's small image
  int past_height;
  int resting;  // 1: nothing has moved, the past is taken as it is
  float step;
  float origin_x;
  float origin_y;
  float past_step;  // of the frame before
  float past_origin_x;
  float past_origin_y;
  float most_weight;      // that the past may have in motion, times decay
  float decay;            // of the past's weight a frame in motion
  float color_tolerance;  // difference of colour at which the past counts half
};

// What the network sees (splatkit/enhance/network.py, `features`), folded two by two: value c of
// pixel (x, y) is value 4 c + 2 (y % 2) + x % 2 of place (x / 2, y / 2). Where a size is odd the
// last row or column comes twice.
struct FeatureParams {
  const float *base;     // [H,W,3] the reconstruction
  const float *rgb;      // [h,w,3]
  const float *alpha;    // [h,w]
  unsigned short *seen;  // [ceil(H / 2),ceil(W / 2),4 * UPSCALE_FEATURES] out, half precision;
                         // 16-byte aligned
  int width;
  int height;
  int small_width;
  int small_height;
  float step;
  float origin_x;
  float origin_y;
  float detail_scale;  // by which the difference from the bicubic picture is magnified
};

// The reconstruction plus what the network answered.
struct ResidualParams {
  const float *base;             // [H,W,3]
  const unsigned short *answer;  // [ceil(H / 2),ceil(W / 2),12] half precision, folded likewise
  const float *share;            // [H,W] by which a pixel's residual is multiplied; or null
  float *out;                    // [H,W,3]
  int width;
  int height;
  float scale;  // colour of an answer of 1
};

// FSR 1's sharpening.
struct SharpenParams {
  const float *rgb;  // [H,W,3]
  float *out;        // [H,W,3]
  int width;
  int height;
  float sharpness;  // 0..1
};

constexpr int TRIANGLE_THREADS = 256;
constexpr int SCREEN_TRIANGLE_FLOATS = 16;  // of a face on the screen, 64 bytes
constexpr int TRIANGLE_SUM_FLOATS = 15;     // of a face's gradient, besides its corners' values

// Faces to the screen and to tiles: what project and emit do for Gaussians.
struct TriangleBinParams {
  const float *vertices;  // [V,3]
  const int *faces;       // [N,3] within 0..V-1
  const float *viewmats;  // [C,4,4]
  const float *Ks;        // [C,3,3]
  float *screen;          // [C,N,SCREEN_TRIANGLE_FLOATS] out, 16-byte aligned
  unsigned *tile_keys;    // [instance_capacity] out, in the order of faces
  unsigned *values;       // [instance_capacity] out: number of the face
  unsigned *counters;     // INSTANCES, INSTANCES_WANTED, TICKET_EMIT
  unsigned *lookback;     // [blocks] zeroed
  long long count;        // N, below 2^30 / C
  int num_cameras;
  int width;
  int height;
  int tiles_x;
  int tiles_y;
  int instance_capacity;  // below 2^30
  float near;
};

// Draws tiles; triangle_blend_adj reads what triangle_blend wrote and adds to `sums`.
// Channels: F values, camera z, and with SK_NORMALS the normal, turned towards the camera.
struct TriangleBlendParams {
  const int *faces;                // [N,3]
  const float *attributes;         // [V,SK_ATTRIBUTES]
  const float *opacities;          // [V] with SK_SOFT, else null
  const float *normals;            // [N,3] with SK_NORMALS, else null
  const float *screen;             // [C,N,SCREEN_TRIANGLE_FLOATS]
  const unsigned *entries;         // [I] numbers of faces, by tile
  const unsigned *tile_begin;      // [T + 1]
  float *channels;                 // [C,H,W,SK_ATTRIBUTES + 1 or + 4]
  float *alpha;                    // [C,H,W]
  int *ids;                        // [C,H,W] face of the largest weight, -1 where none
  unsigned long long *weight_sum;  // [N] zeroed; units of 2^-32; with SK_WEIGHTS, else null
  float *weight_max;               // [N] zeroed
  int *weight_count;               // [N] zeroed
  const float *v_channels;         // triangle_blend_adj: like channels
  const float *v_alpha;            // [C,H,W]
  float *sums;      // [C,N,TRIANGLE_SUM_FLOATS + 3 * SK_ATTRIBUTES] zeroed: gradients of planes 9,
                    // corners' opacities 3, normal 3, corners' values
  long long count;  // N
  int width;
  int height;
  int tiles_x;
  int tiles_y;
  float softness;
  float near;
};

// Sums of faces to gradients of what is stored; triangle_view_adj ends those of viewmats.
struct TriangleGatherParams {
  const float *vertices;
  const int *faces;  // [N,3]
  const float *viewmats;
  const float *Ks;
  const float *screen;  // [C,N,SCREEN_TRIANGLE_FLOATS]
  const float *sums;    // as triangle_blend_adj left them
  float *v_vertices;    // zeroed [V,3], or null; likewise the others
  float *v_attributes;  // [V,SK_ATTRIBUTES]
  float *v_opacities;   // [V]
  float *v_normals;     // [N,3]
  double *view_sums;    // zeroed [C,VIEW_GRADIENT_FLOATS], or null
  float *v_viewmats;    // [C,4,4] out of triangle_view_adj
  long long count;      // N
  int num_cameras;
};

// Scratch: one buffer of unsigned, zeroed once a step, may hold in any order: counters [COUNTERS],
// project's lookback [blocks], for the depth sort (4 passes) and the tile sort (1 to 3) histograms,
// tickets and lookbacks, emit's lookback. Sizes follow from capacities, so addresses hold still.

}  // namespace splatkit
