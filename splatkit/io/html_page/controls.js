import { clamp } from "./math.js";

const SETTLE = 0.07; // seconds in which movement fades to a third
const ORBIT = 0.005; // radians a pixel
const WHEEL = 0.0012; // of the distance a pixel
const WALK = 0.6; // radii a second
const KEY_TURN = 1.2; // radians a second
const KEY_ZOOM = 1.5; // e-folds a second
const TAP_PIXELS = 8;
const DOUBLE_TAP = { seconds: 0.35, pixels: 30 };

/** Keys that move while they are held, and what one second of each adds. */
const HELD = {
  KeyW: { forward: WALK },
  KeyS: { forward: -WALK },
  KeyA: { right: -WALK },
  KeyD: { right: WALK },
  KeyE: { down: -WALK },
  KeyQ: { down: WALK },
  ArrowLeft: { yaw: KEY_TURN },
  ArrowRight: { yaw: -KEY_TURN },
  ArrowUp: { pitch: KEY_TURN },
  ArrowDown: { pitch: -KEY_TURN },
  Equal: { zoom: -KEY_ZOOM },
  NumpadAdd: { zoom: -KEY_ZOOM },
  Minus: { zoom: KEY_ZOOM },
  NumpadSubtract: { zoom: KEY_ZOOM },
};

const still = () => ({ yaw: 0, pitch: 0, right: 0, down: 0, forward: 0, zoom: 0 });

/**
 * Mouse, touch and keyboard to movements of a camera, which are spread over some frames.
 *   on.start(): someone takes hold;  on.change(): there is something to advance;
 *   on.centerAt(x, y): a double click or tap, pixels of the page
 */
export class Controls {
  constructor(canvas, radius, on) {
    this.canvas = canvas;
    this.radius = radius;
    this.on = on;
    this.rest = still(); // movement yet to be made
    this.pointers = new Map();
    this.keys = new Set();
    this.lastTap = null;
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.moved(event));
    canvas.addEventListener("pointerup", (event) => this.up(event));
    canvas.addEventListener("pointercancel", (event) => this.pointers.delete(event.pointerId));
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    window.addEventListener("keydown", (event) => this.key(event));
    window.addEventListener("keyup", (event) => this.keys.delete(event.code));
    window.addEventListener("blur", () => this.keys.clear());
  }

  /** Stop where one is. */
  halt() {
    this.rest = still();
  }

  /** Move a camera on by one frame; false once nothing moves any more. */
  advance(camera, seconds) {
    const faster = this.keys.has("ShiftLeft") || this.keys.has("ShiftRight") ? 4 : 1;
    for (const code of this.keys) {
      for (const [what, speed] of Object.entries(HELD[code] ?? {})) {
        const size = what in { right: 0, down: 0, forward: 0 } ? this.radius : 1;
        this.rest[what] += speed * size * faster * seconds;
      }
    }
    const share = 1 - Math.exp(-seconds / SETTLE);
    const step = {};
    for (const what of Object.keys(this.rest)) {
      step[what] = this.rest[what] * share;
      this.rest[what] -= step[what];
    }
    if (step.yaw || step.pitch) camera.orbit(step.yaw, step.pitch);
    if (step.right || step.down || step.forward) camera.move(step.right, step.down, step.forward);
    if (step.zoom) camera.zoom(Math.exp(step.zoom), 0.01 * this.radius);
    const left = Math.max(...Object.entries(this.rest).map(([what, value]) =>
      Math.abs(value) / (what in { right: 0, down: 0, forward: 0 } ? camera.distance : 1)));
    if (left > 1e-4 || this.moving) return true;
    this.halt();
    return false;
  }

  get moving() {
    return [...this.keys].some((code) => code in HELD);
  }

  add(movement) {
    for (const [what, value] of Object.entries(movement)) this.rest[what] += value;
    this.on.start();
    this.on.change();
  }

  /** Move sideways such that what is under the pointer at the centre's distance stays there. */
  pan(dx, dy) {
    const unit = this.unitsAPixel();
    this.add({ right: -dx * unit, down: -dy * unit });
  }

  down(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.canvas.focus({ preventScroll: true });
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY, way: 0 });
    if (this.pointers.size === 1) this.on.start();
  }

  moved(event) {
    const pointer = this.pointers.get(event.pointerId);
    if (!pointer) return;
    const [dx, dy] = [event.clientX - pointer.x, event.clientY - pointer.y];
    const before = this.pinch();
    pointer.x = event.clientX;
    pointer.y = event.clientY;
    pointer.way += Math.hypot(dx, dy);
    if (before) {
      const after = this.pinch();
      this.add({ zoom: Math.log(Math.max(before.spread, 1) / Math.max(after.spread, 1)) });
      this.pan(after.x - before.x, after.y - before.y);
    } else if (event.buttons & 6 || event.shiftKey) this.pan(dx, dy);
    else this.add({ yaw: dx * ORBIT, pitch: dy * ORBIT });
  }

  /** Middle and spread of two fingers; null when there are not two. */
  pinch() {
    if (this.pointers.size !== 2) return null;
    const [a, b] = this.pointers.values();
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, spread: Math.hypot(a.x - b.x, a.y - b.y) };
  }

  up(event) {
    const pointer = this.pointers.get(event.pointerId);
    this.pointers.delete(event.pointerId);
    // With two fingers down, or after a drag, it was no tap.
    if (!pointer || pointer.way > TAP_PIXELS || this.pointers.size || event.button !== 0) return;
    const tap = { x: event.clientX, y: event.clientY, time: event.timeStamp };
    const last = this.lastTap;
    const double =
      last &&
      tap.time - last.time < 1000 * DOUBLE_TAP.seconds &&
      Math.hypot(tap.x - last.x, tap.y - last.y) < DOUBLE_TAP.pixels;
    this.lastTap = double ? null : tap;
    if (double) this.on.centerAt(tap.x, tap.y);
  }

  wheel(event) {
    event.preventDefault();
    const pixels = event.deltaY * [1, 30, 400][event.deltaMode];
    // A pinch on a touchpad comes as a wheel with Ctrl, in small numbers.
    this.add({ zoom: clamp(pixels, -300, 300) * WHEEL * (event.ctrlKey ? 6 : 1) });
  }

  key(event) {
    const typing = event.target.closest?.("input");
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    this.keys.add(event.code);
    if (!(event.code in HELD)) return;
    event.preventDefault();
    this.on.start();
    this.on.change();
  }
}
