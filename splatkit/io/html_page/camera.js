import { UP, about, add, axesOf, clamp, dot, length, mix, slerp, subtract, times, turned } from "./math.js";

// How steeply a visitor may look up or down: cosine of the angle between view and vertical.
const STEEPEST = Math.cos((3 * Math.PI) / 180);
// Where window and view have different shapes, at most this much more than the view is shown.
const WIDEST = 1.5;

/**
 * Where one looks from. A lens is [fx, fy, cx, cy, width, height] in pixels, as a photo has it;
 * `distance` is how far ahead the point lies that orbiting turns about.
 */
export class Camera {
  constructor({ position, rotation, lens }, distance) {
    this.position = position;
    this.rotation = rotation;
    this.lens = lens;
    this.distance = distance;
  }

  /** A view of the file; orbiting turns about the point ahead that is nearest to the focus. */
  static from(view, focus) {
    const toFocus = subtract(focus, view.position);
    const ahead = dot(toFocus, axesOf(view.rotation)[2]);
    return new Camera(view, Math.max(ahead, 0.1 * length(toFocus), 1e-6));
  }

  /** A view along +z of a ball. */
  static facing(center, radius) {
    const distance = 3 * radius;
    const position = subtract(center, [0, 0, distance]);
    return new Camera({ position, rotation: [1, 0, 0, 0], lens: [1100, 1100, 640, 400, 1280, 800] }, distance);
  }

  copy() {
    return new Camera(this, this.distance);
  }

  get center() {
    return add(this.position, times(axesOf(this.rotation)[2], this.distance));
  }

  same(other) {
    const numbers = (c) => [...c.position, ...c.rotation, ...c.lens, c.distance];
    const mine = numbers(this);
    return numbers(other).every((value, i) => value === mine[i]);
  }

  /** Turn about the centre: to the right and downward, radians. */
  orbit(yaw, pitch) {
    const center = this.center;
    this.turn(yaw, pitch);
    this.position = subtract(center, times(axesOf(this.rotation)[2], this.distance));
  }

  /** Turn on the spot, radians. What a photo was tilted by goes bit by bit. */
  turn(yaw, pitch) {
    this.rotation = turned(about(UP, -yaw), this.rotation);
    let [right, , forward] = axesOf(this.rotation);
    const steep = Math.acos(clamp(dot(forward, UP), -1, 1));
    const limit = Math.acos(STEEPEST);
    const wanted = steep + pitch;
    // A view that is too steep already may stay so, but gets no steeper.
    const allowed = clamp(wanted, Math.min(limit, steep), Math.max(Math.PI - limit, steep));
    this.rotation = turned(about(right, steep - allowed), this.rotation);
    [right, , forward] = axesOf(this.rotation);
    const roll = Math.asin(clamp(dot(right, UP), -1, 1));
    const share = Math.min(1, 3 * (Math.abs(yaw) + Math.abs(pitch)));
    this.rotation = turned(about(forward, roll * share), this.rotation);
  }

  /** Move in units of the world along the camera's own axes. */
  move(right, down, forward) {
    const axes = axesOf(this.rotation);
    [right, down, forward].forEach((way, i) => {
      this.position = add(this.position, times(axes[i], way));
    });
  }

  /** Go nearer to the centre (factor below 1) or away from it. */
  zoom(factor, nearest) {
    const distance = Math.max(this.distance * factor, nearest);
    this.move(0, 0, this.distance - distance);
    this.distance = distance;
  }

  /** A camera a share of the way to another, around what both look at. */
  towards(other, share) {
    const rotation = slerp(this.rotation, other.rotation, share);
    const distance = Math.exp(mix([Math.log(this.distance)], [Math.log(other.distance)], share)[0]);
    const center = mix(this.center, other.center, share);
    const position = subtract(center, times(axesOf(rotation)[2], distance));
    return new Camera({ position, rotation, lens: mixLens(this.lens, other.lens, share) }, distance);
  }
}

/** A lens between two; pictures of different size are compared by their height. */
export function mixLens(a, b, share) {
  const factor = a[5] / b[5];
  return mix(a, b.map((value) => value * factor), share);
}

/**
 * [fx, fy, cx, cy] in pixels of a window of width x height. The whole view is seen where the
 * shapes are alike; where they are not, its borders give way, or narrow windows would show
 * mostly what no photo saw.
 */
export function lensFor(lens, width, height) {
  const [fx, fy, cx, cy, viewWidth, viewHeight] = lens;
  const inside = Math.min(width / viewWidth, height / viewHeight);
  const around = Math.max(width / viewWidth, height / viewHeight);
  const scale = inside * Math.max(1, around / inside / WIDEST);
  return [
    fx * scale,
    fy * scale,
    width / 2 + (cx - viewWidth / 2) * scale,
    height / 2 + (cy - viewHeight / 2) * scale,
  ];
}
