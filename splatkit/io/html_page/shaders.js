// The formulas are those of cuda/include/splatkit and splatkit/render/backends/torch_ref.py.

const HEAD = `#version 300 es
precision highp float;
precision highp int;
precision highp sampler2D;
precision highp usampler2D;
precision highp isampler2DArray;
`;

/** A triangle that covers everything. */
export const COVER = `${HEAD}
void main() {
  gl_Position = vec4(vec2(gl_VertexID & 1, gl_VertexID >> 1) * 4.0 - 1.0, 0.0, 1.0);
}`;

/**
 * From Gaussians to ellipses on the screen, one texel each:
 *   place   pixel x, y; the longer half axis x, y, pixels, as far as it is seen
 *   look    length of the shorter half axis; red, green; blue, opacity (halves); camera z
 * Texels of what is not seen are 0.
 */
export const projectShader = (degree, antialiased) => `${HEAD}
#define DEGREE ${degree}
#define ANTIALIASED ${Number(antialiased)}
const float NEAR = 0.01;
const float LOW_PASS = 0.3;  // pixels squared, added to every covariance
const float ALPHA_MIN = 1.0 / 255.0;

uniform usampler2D centers;
uniform usampler2D shapes;
uniform isampler2DArray harmonics;
uniform mat3 cameraFromWorld;
uniform vec3 eye;
uniform vec4 lens;    // fx, fy, cx, cy, pixels
uniform vec4 limits;  // of x/z (low, high) and y/z (low, high), where the derivative is taken
uniform vec2 size;    // of the picture, pixels

layout(location = 0) out uvec4 place;
layout(location = 1) out uvec4 look;

ivec2 texel;

vec3 h(int k) {
  return vec3(texelFetch(harmonics, ivec3(texel, k - 1), 0).rgb);
}

// Harmonics without the constant one, in steps; d is the direction from the eye, of length 1.
vec3 harmonicsAlong(vec3 d) {
  vec3 sum = vec3(0.0);
  float x = d.x, y = d.y, z = d.z;
#if DEGREE >= 1
  sum += 0.4886025119029199 * (-y * h(1) + z * h(2) - x * h(3));
#endif
#if DEGREE >= 2
  float xx = x * x, yy = y * y, zz = z * z, xy = x * y, yz = y * z, xz = x * z;
  sum += 1.0925484305920792 * (xy * h(4) - yz * h(5) - xz * h(7))
       + 0.31539156525252005 * (2.0 * zz - xx - yy) * h(6)
       + 0.5462742152960396 * (xx - yy) * h(8);
#endif
#if DEGREE >= 3
  sum += 0.5900435899266435 * (-y * (3.0 * xx - yy) * h(9) - x * (xx - 3.0 * yy) * h(15))
       + 2.890611442640554 * xy * z * h(10)
       - 0.4570457994644658 * (4.0 * zz - xx - yy) * (y * h(11) + x * h(13))
       + 0.3731763325901154 * z * (2.0 * zz - 3.0 * xx - 3.0 * yy) * h(12)
       + 1.445305721320277 * z * (xx - yy) * h(14);
#endif
#if DEGREE >= 4
  sum += 2.5033429417967046 * xy * (xx - yy) * h(16)
       - 1.7701307697799304 * (yz * (3.0 * xx - yy) * h(17) + xz * (xx - 3.0 * yy) * h(23))
       + 0.9461746957575601 * xy * (7.0 * zz - 1.0) * h(18)
       - 0.6690465435572892 * (7.0 * zz - 3.0) * (yz * h(19) + xz * h(21))
       + 0.10578554691520431 * (zz * (35.0 * zz - 30.0) + 3.0) * h(20)
       + 0.47308734787878004 * (xx - yy) * (7.0 * zz - 1.0) * h(22)
       + 0.6258357354491761 * (xx * (xx - 3.0 * yy) - yy * (3.0 * xx - yy)) * h(24);
#endif
  return sum;
}

// Three of wxyz in 10 bits each, and the place of the fourth, which is the largest.
mat3 rotationOf(uint word) {
  vec3 others = (vec3(uvec3(word, word >> 10, word >> 20) & 1023u) / 511.0 - 1.0) * sqrt(0.5);
  float largest = sqrt(max(0.0, 1.0 - dot(others, others)));
  uint at = word >> 30;
  vec4 q = at == 0u ? vec4(largest, others)
         : at == 1u ? vec4(others.x, largest, others.yz)
         : at == 2u ? vec4(others.xy, largest, others.z)
         : vec4(others, largest);
  float w = q.x, x = q.y, y = q.z, z = q.w;
  return mat3(1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y + w * z), 2.0 * (x * z - w * y),
              2.0 * (x * y - w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z + w * x),
              2.0 * (x * z + w * y), 2.0 * (y * z - w * x), 1.0 - 2.0 * (x * x + y * y));
}

// The two signed 16-bit numbers of a word.
vec2 pair(uint word) {
  return vec2(ivec2(int(word << 16), int(word)) >> 16);
}

void main() {
  place = look = uvec4(0);
  texel = ivec2(gl_FragCoord.xy);
  uvec4 center = texelFetch(centers, texel, 0);
  vec2 opacityAndStep = unpackUnorm2x16(center.w);
  float opacity = opacityAndStep.x;
  vec3 offset = uintBitsToFloat(center.xyz) - eye;
  vec3 p = cameraFromWorld * offset;
  if (!(p.z > NEAR && opacity > ALPHA_MIN)) return;

  uvec4 shape = texelFetch(shapes, texel, 0);
  vec2 scalesXY = pair(shape.y), scaleZAndRed = pair(shape.z), greenAndBlue = pair(shape.w);
  vec3 scales = exp(vec3(scalesXY, scaleZAndRed.x) / 64.0);
  vec2 slope = clamp(p.xy / p.z, limits.xz, limits.yw);
  vec2 focal = lens.xy / p.z;
  mat3 axes = cameraFromWorld * rotationOf(shape.x);
  // Each principal axis on the screen, in pixels: the derivative of the projection times it.
  vec2 u = scales.x * focal * (axes[0].xy - slope * axes[0].z);
  vec2 v = scales.y * focal * (axes[1].xy - slope * axes[1].z);
  vec2 w = scales.z * focal * (axes[2].xy - slope * axes[2].z);
  float xx = u.x * u.x + v.x * v.x + w.x * w.x;
  float xy = u.x * u.y + v.x * v.y + w.x * w.y;
  float yy = u.y * u.y + v.y * v.y + w.y * w.y;
#if ANTIALIASED
  float before = xx * yy - xy * xy;
#endif
  xx += LOW_PASS;
  yy += LOW_PASS;
  float determinant = xx * yy - xy * xy;
  if (!(determinant > 0.0)) return;
#if ANTIALIASED
  opacity *= sqrt(max(before / determinant, 0.0));
  if (!(opacity > ALPHA_MIN)) return;
#endif

  vec2 pixel = lens.xy * p.xy / p.z + lens.zw;
  float reach = 2.0 * log(opacity / ALPHA_MIN);  // squared, in standard deviations
  vec2 extent = sqrt(reach * vec2(xx, yy));
  if (any(lessThan(pixel + extent, vec2(0.0))) || any(greaterThan(pixel - extent, size))) return;

  float middle = 0.5 * (xx + yy);
  float longer = middle + length(vec2(0.5 * (xx - yy), xy));
  vec2 along = xx >= yy ? vec2(longer - yy, xy) : vec2(xy, longer - xx);
  along = dot(along, along) > 0.0 ? normalize(along) : vec2(1.0, 0.0);
  vec3 color = vec3(scaleZAndRed.y, greenAndBlue) / 255.0 + 0.5;
  color += opacityAndStep.y * harmonicsAlong(normalize(offset));
  color = max(color, 0.0);

  place = floatBitsToUint(vec4(pixel, along * sqrt(reach * longer)));
  look = uvec4(floatBitsToUint(sqrt(reach * determinant / longer)), packHalf2x16(color.rg),
               packHalf2x16(vec2(color.b, opacity)), floatBitsToUint(p.z));
}`;

/** One rectangle around each ellipse; instances come from far to near. */
export const SPLAT_VERTEX = `${HEAD}
uniform usampler2D places;
uniform usampler2D looks;
uniform vec2 size;
uniform int rowShift;  // the textures are 2^rowShift wide

layout(location = 0) in uint index;

out vec2 corner;           // 1 where alpha falls to 1/255
flat out vec3 color;
flat out float logOpacity;

void main() {
  int i = int(index);
  ivec2 texel = ivec2(i & ((1 << rowShift) - 1), i >> rowShift);
  uvec4 look = texelFetch(looks, texel, 0);
  vec2 blueAndOpacity = unpackHalf2x16(look.z);
  gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
  if (blueAndOpacity.y == 0.0) return;
  vec4 place = uintBitsToFloat(texelFetch(places, texel, 0));
  vec2 across = vec2(-place.w, place.z) / length(place.zw) * uintBitsToFloat(look.x);
  corner = vec2(gl_VertexID & 1, gl_VertexID >> 1) * 2.0 - 1.0;
  vec2 pixel = place.xy + corner.x * place.zw + corner.y * across;
  gl_Position = vec4(vec2(2.0, -2.0) * pixel / size + vec2(-1.0, 1.0), 0.0, 1.0);
  color = vec3(unpackHalf2x16(look.y), blueAndOpacity.x);
  logOpacity = log(blueAndOpacity.y);
}`;

export const SPLAT_FRAGMENT = `${HEAD}
const float ALPHA_MAX = 0.99;
const float LOG_ALPHA_MIN = -5.541263545158426;

in vec2 corner;
flat in vec3 color;
flat in float logOpacity;
out vec4 pixel;

void main() {
  float share = dot(corner, corner);
  if (share > 1.0) discard;
  float alpha = min(ALPHA_MAX, exp(mix(logOpacity, LOG_ALPHA_MIN, share)));
  pixel = vec4(color * alpha, alpha);
}`;

/** The picture onto the page, enlarged where it was drawn smaller. */
export const SHOW = `${HEAD}
uniform sampler2D picture;
uniform vec2 drawn;   // size of what was drawn, pixels
uniform vec2 window;  // size of the page's canvas, pixels
out vec4 pixel;

void main() {
  vec2 at = clamp(gl_FragCoord.xy / window * drawn, vec2(0.5), drawn - 0.5);
  pixel = vec4(texture(picture, at / vec2(textureSize(picture, 0))).rgb, 1.0);
}`;
