import { Camera, lensFor } from "./camera.js";
import { Controls } from "./controls.js";
import { Interface, canvas, hideHint, showFacts, showFault, showOpened, showProgress } from "./interface.js";
import { add, axesOf, times } from "./math.js";
import { ROW, Renderer, Unable } from "./renderer.js";
import { Tour } from "./tour.js";

const FLIGHT_SECONDS = 0.9;
const MOST_PIXELS = 2; // of the screen for one of the page: beyond it nobody sees a difference
const SLOW = 1 / 24; // seconds a frame: slower, and fewer pixels are drawn while something moves
const FAST = 1 / 45;
const COARSEST = 0.35;
const SETTLE_SECONDS = 0.15; // after which a still picture is drawn in full

/** The page: one camera, what moves it, and when to draw. */
class Viewer {
  constructor(scene) {
    this.scene = scene;
    this.renderer = new Renderer(canvas, scene);
    this.tour = scene.path && new Tour(scene.path, scene.focus);
    this.background = scene.background;
    this.camera = this.firstCamera();
    this.flight = null;
    this.view = scene.views.length ? scene.first : null;
    this.scale = 1; // of the pixels, while something moves
    this.opened = false;
    this.sorting = false;
    this.sorted = null; // axis that the present order is for
    this.frame = null; // the animation frame that is asked for
    this.last = null; // time of the frame before, while frames follow each other
    this.waiting = []; // promises to keep once the picture is final
    this.interface = new Interface(this, scene);
    this.controls = new Controls(canvas, scene.radius, {
      start: () => this.takeOver(),
      change: () => this.invalidate(),
      centerAt: (x, y) => this.centerAt(x, y),
    });
    this.interface.markView(this.view);
    if (this.tour) {
      this.tour.startNear(this.camera);
      this.interface.markTour(this.tour);
    }
    new ResizeObserver((entries) => this.resize(entries[0])).observe(canvas);
    canvas.addEventListener("webglcontextlost", (event) => {
      event.preventDefault();
      showFault("The graphics card was taken away from this page. Reload the page to go on.");
    });
  }

  // What a script on the page may use, too.

  /** Fly to a view of the list. */
  goToView(index) {
    this.pause();
    this.fly(Camera.from(this.scene.views[index], this.scene.focus));
    this.view = index;
    this.interface.markView(index);
  }

  stepView(step) {
    const count = this.scene.views.length;
    if (count) this.goToView(((this.view ?? (step > 0 ? -1 : 0)) + step + count) % count);
  }

  /** Fly back to where the page opened. */
  reset() {
    this.pause();
    this.fly(this.firstCamera());
    this.view = this.scene.views.length ? this.scene.first : null;
    this.interface.markView(this.view);
  }

  /** Jump to { position, rotation (wxyz, world_from_camera), lens }. */
  lookFrom(view) {
    this.takeOver();
    this.controls.halt();
    this.camera = Camera.from(view, this.scene.focus);
    this.invalidate();
  }

  setBackground(color) {
    this.background = color;
    this.invalidate();
  }

  togglePlaying() {
    if (!this.tour) return;
    if (this.tour.playing) this.pause();
    else {
      this.leaveView();
      this.tour.play();
      this.fly(this.tour.camera());
    }
    this.interface.markTour(this.tour);
  }

  /** Jump to a place of the walk, 0 to 1. */
  goAlong(share) {
    this.pause();
    this.leaveView();
    this.flight = null;
    this.tour.share = share;
    this.camera = this.tour.camera();
    this.interface.markTour(this.tour);
    this.invalidate();
  }

  /** Kept once the picture shows the present camera in full. */
  settled() {
    this.invalidate();
    return new Promise((keep) => this.waiting.push(keep));
  }

  // The rest is the viewer's own.

  firstCamera() {
    const { views, first, focus, radius } = this.scene;
    return views.length ? Camera.from(views[first], focus) : Camera.facing(focus, radius);
  }

  /** Someone moves the camera: nothing else does from now on. */
  takeOver() {
    hideHint();
    this.flight = null;
    this.pause();
    this.leaveView();
  }

  leaveView() {
    if (this.view === null) return;
    this.view = null;
    this.interface.markView(null);
  }

  pause() {
    if (!this.tour?.playing) return;
    this.tour.playing = false;
    this.interface.markTour(this.tour);
  }

  fly(goal) {
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.controls.halt();
    this.flight = { from: this.camera.copy(), goal, share: calm ? 1 : 0 };
    this.invalidate();
  }

  /** Turn about the splat under a pixel of the page from now on, and bring it to the middle. */
  centerAt(x, y) {
    const pixels = canvas.width / canvas.clientWidth;
    const depth = this.renderer.depthAt(x * pixels, y * pixels);
    if (depth === null) return;
    const [fx, fy, cx, cy] = this.lens();
    const [right, down, forward] = axesOf(this.camera.rotation);
    const sideways = times(right, (depth * (x * pixels - cx)) / fx);
    const downward = times(down, (depth * (y * pixels - cy)) / fy);
    const goal = this.camera.copy();
    goal.distance = depth;
    goal.position = add(goal.position, add(sideways, downward));
    this.fly(goal);
  }

  lens() {
    return lensFor(this.camera.lens, canvas.width, canvas.height);
  }

  resize(entry) {
    const exact = entry.devicePixelContentBoxSize?.[0];
    const ratio = Math.min(devicePixelRatio, MOST_PIXELS);
    const shrink = ratio / devicePixelRatio;
    const width = exact ? exact.inlineSize * shrink : entry.contentRect.width * ratio;
    const height = exact ? exact.blockSize * shrink : entry.contentRect.height * ratio;
    canvas.width = Math.max(1, Math.round(width));
    canvas.height = Math.max(1, Math.round(height));
    this.invalidate();
  }

  invalidate() {
    this.frame ??= requestAnimationFrame((time) => this.step(time / 1000));
  }

  step(time) {
    this.frame = null;
    const seconds = this.last === null ? 1 / 60 : Math.min(time - this.last, 0.25);
    if (this.last !== null) this.pace(seconds);
    const moving = this.advance(seconds);
    const sorted = this.sort();
    if (moving) {
      this.last = time;
      this.stillSince = null;
      this.invalidate();
    } else {
      this.last = null;
      this.stillSince ??= time;
    }
    const rest = SETTLE_SECONDS - (time - this.stillSince);
    const coarse = this.scale < 1 && (moving || rest > 0);
    this.renderer.draw(this.camera, this.lens(), this.background, coarse ? this.scale : 1);
    if (moving) return;
    if (coarse) this.invalidate();
    else if (sorted) this.finish();
  }

  /** Move the camera on by one frame; whether it will go on moving. */
  advance(seconds) {
    const { flight, tour } = this;
    if (flight) {
      flight.share = Math.min(1, flight.share + seconds / FLIGHT_SECONDS);
      const eased = flight.share * flight.share * (3 - 2 * flight.share);
      this.camera = flight.share < 1 ? flight.from.towards(flight.goal, eased) : flight.goal.copy();
      if (flight.share === 1) this.flight = null;
      return Boolean(this.flight) || Boolean(tour?.playing);
    }
    if (tour?.playing) {
      tour.advance(seconds);
      this.camera = tour.camera();
      this.interface.markTour(tour);
      return tour.playing;
    }
    return this.controls.advance(this.camera, seconds);
  }

  /** Draw fewer pixels where frames take too long, more where there is time. */
  pace(seconds) {
    this.rate = this.rate ? this.rate + (1 / Math.max(seconds, 1e-3) - this.rate) * 0.1 : 1 / seconds;
    showFacts(this.scene.count, this.rate);
    if (this.rate < 1 / SLOW) this.scale = Math.max(COARSEST, this.scale * 0.94);
    else if (this.rate > 1 / FAST) this.scale = Math.min(1, this.scale * 1.02);
  }

  finish() {
    this.rate = 0;
    showFacts(this.scene.count);
    for (const keep of this.waiting.splice(0)) keep();
  }

  /** See to it that the order fits the camera; whether it does already. */
  sort() {
    if (!this.opened) return false;
    const axis = axesOf(this.camera.rotation)[2];
    axis.push(-axis.reduce((sum, value, i) => sum + value * this.camera.position[i], 0));
    if (this.sorted?.every((value, i) => value === axis[i])) return true;
    if (this.sorting) return false;
    this.sorting = axis;
    this.worker.postMessage({ axis, spare: this.spare }, this.spare ? [this.spare.buffer] : []);
    this.spare = null;
    return false;
  }

  takeOrder({ order, visible }) {
    this.renderer.setOrder(order, visible);
    this.spare = order;
    this.sorted = this.sorting;
    this.sorting = false;
    this.invalidate();
  }

  /** Unpack the scene in the worker; kept when the first picture is there. */
  open() {
    const source = document.getElementById("worker").textContent;
    const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    this.worker = new Worker(address);
    const streams = {};
    for (const element of document.querySelectorAll('script[id^="splats-"]')) {
      streams[element.id.slice("splats-".length)] = element.textContent;
      element.remove();
    }
    this.worker.postMessage({ open: { scene: this.scene, streams, width: ROW } });
    const parts = 2 + (this.scene.degree + 1) ** 2 - 1;
    let loaded = 0;
    return new Promise((keep, fail) => {
      this.worker.onerror = (event) => fail(new Error(event.message || "the worker could not be started"));
      this.worker.onmessage = ({ data }) => {
        if (data.error) fail(new Error(data.error));
        else if (data.part) {
          this.renderer.load(data.part, data.array, data.layer);
          showProgress(++loaded / parts);
        } else if (data.ready) {
          this.opened = true;
          this.settled().then(keep);
        } else this.takeOrder(data);
      };
    });
  }
}

async function start() {
  try {
    if (!("DecompressionStream" in window)) throw new Unable("This browser is too old to unpack the scene.");
    const viewer = new Viewer(JSON.parse(document.getElementById("scene").textContent));
    window.splatkit = viewer;
    await viewer.open();
    showOpened();
  } catch (error) {
    const advice = "Try a current Chrome, Edge, Firefox or Safari, and see that hardware acceleration is on.";
    showFault(error instanceof Unable ? `${error.message}\n${advice}` : `The scene cannot be shown: ${error.message}`);
    throw error;
  }
}

start();
