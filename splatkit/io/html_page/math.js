// Vectors are arrays of three numbers, quaternions are [w, x, y, z], world_from_camera.
// The world is x right, y down, z forward, and so is a camera.

export const UP = [0, -1, 0];

export const add = (a, b) => [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
export const subtract = (a, b) => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
export const times = (a, factor) => [a[0] * factor, a[1] * factor, a[2] * factor];
export const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
export const length = (a) => Math.hypot(...a);
export const mix = (a, b, share) => a.map((value, i) => value + (b[i] - value) * share);
export const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

export function cross(a, b) {
  return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
}

/** The same direction (or rotation) at length 1. */
export function normalized(a) {
  const size = Math.hypot(...a) || 1;
  return a.map((value) => value / size);
}

/** The rotation b first, then a. */
export function turned(a, b) {
  const [w, x, y, z] = a;
  const [bw, bx, by, bz] = b;
  return normalized([
    w * bw - x * bx - y * by - z * bz,
    w * bx + x * bw + y * bz - z * by,
    w * by - x * bz + y * bw + z * bx,
    w * bz + x * by - y * bx + z * bw,
  ]);
}

/** A turn about a unit axis by an angle, by the right hand. */
export function about(axis, angle) {
  return [Math.cos(angle / 2), ...times(axis, Math.sin(angle / 2))];
}

/** The camera's axes in the world: right, down, forward. */
export function axesOf(rotation) {
  const [w, x, y, z] = rotation;
  return [
    [1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)],
    [2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)],
    [2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)],
  ];
}

/** The rotation a share of the way from a to b, by the shorter arc. */
export function slerp(a, b, share) {
  let cosine = a.reduce((sum, value, i) => sum + value * b[i], 0);
  const sign = cosine < 0 ? -1 : 1;
  cosine = Math.min(cosine * sign, 1);
  const angle = Math.acos(cosine);
  const [wa, wb] =
    angle < 1e-4
      ? [1 - share, share]
      : [Math.sin((1 - share) * angle), Math.sin(share * angle)];
  return normalized(a.map((value, i) => wa * value + wb * sign * b[i]));
}
