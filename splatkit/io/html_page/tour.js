import { Camera } from "./camera.js";
import { clamp, length, subtract } from "./math.js";

/** The walk of the file: where it is, whether it plays. */
export class Tour {
  constructor({ cameras, seconds, closed }, focus) {
    this.cameras = cameras.map((view) => Camera.from(view, focus));
    if (closed) this.cameras.push(this.cameras[0]);
    this.seconds = seconds;
    this.closed = closed;
    this.share = 0; // of the way, 0 to 1
    this.playing = false;
  }

  /** Go to the place nearest to a camera. */
  startNear(camera) {
    const ways = this.cameras.map((other) => length(subtract(other.position, camera.position)));
    this.share = ways.indexOf(Math.min(...ways)) / Math.max(1, this.cameras.length - 1);
  }

  /** The camera at the present place. */
  camera() {
    const place = this.share * (this.cameras.length - 1);
    const index = clamp(Math.floor(place), 0, Math.max(0, this.cameras.length - 2));
    const next = this.cameras[Math.min(index + 1, this.cameras.length - 1)];
    return this.cameras[index].towards(next, place - index);
  }

  /** From here on, or from the start where it has ended. */
  play() {
    if (this.share >= 1) this.share = 0;
    this.playing = true;
  }

  advance(seconds) {
    this.share += seconds / this.seconds;
    if (this.closed) this.share %= 1;
    else if (this.share >= 1) {
      this.share = 1;
      this.playing = false;
    }
  }
}
