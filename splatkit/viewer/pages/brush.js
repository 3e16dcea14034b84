// A brush over the view: paints a stroke, sends it, and what lies under it is selected.

import { $, ask, make, toast } from "./common.js";

const LEAST = 0.005;
const MOST = 0.3;
const MOST_POINTS = 1000;

export class Brush {
  // `frame` is the view's element, `tab` the key of this page's tab.
  constructor(frame, tab) {
    this.frame = frame;
    this.tab = tab;
    this.radius = 0.04;
    this.points = null;
    this.sheet = make("canvas", { id: "brush", hidden: "" });
    frame.after(this.sheet);
    this.sheet.addEventListener("pointerdown", (event) => this.begin(event));
    this.sheet.addEventListener("pointermove", (event) => this.move(event));
    this.sheet.addEventListener("pointerup", () => this.end());
    this.sheet.addEventListener("pointercancel", () => (this.points = null));
    this.sheet.addEventListener("wheel", (event) => this.resize(event), { passive: false });
    for (const place of [document, frame.contentDocument]) {
      place.addEventListener("keydown", (event) => this.key(event));
    }
    $("paint").onclick = () => this.toggle();
  }

  toggle(on = this.sheet.hidden) {
    this.sheet.hidden = !on;
    $("paint").classList.toggle("on", on);
    if (on) {
      this.sheet.width = this.sheet.clientWidth;
      this.sheet.height = this.sheet.clientHeight;
      toast("Paint to select, with Alt to take away. The wheel changes the size; B or Esc ends.", 5);
    }
  }

  key(event) {
    if (event.target.closest?.("input, textarea, [contenteditable]") || event.ctrlKey || event.metaKey) return;
    if (event.key.toLowerCase() === "b") this.toggle();
    else if (event.key === "Escape") this.toggle(false);
  }

  place(event) {
    return [event.offsetX / this.sheet.width, event.offsetY / this.sheet.height]
      .map((share) => Math.min(1, Math.max(0, share)));
  }

  begin(event) {
    this.sheet.setPointerCapture(event.pointerId);
    this.points = [this.place(event)];
    this.how = event.altKey ? "remove" : "add";
    this.draw(event);
  }

  move(event) {
    if (this.points && this.points.length < MOST_POINTS) this.points.push(this.place(event));
    this.draw(event);
  }

  resize(event) {
    event.preventDefault();
    this.radius = Math.min(MOST, Math.max(LEAST, this.radius * (event.deltaY < 0 ? 1.15 : 1 / 1.15)));
    this.draw(event);
  }

  draw(event) {
    const { width, height } = this.sheet;
    const pen = this.sheet.getContext("2d");
    pen.clearRect(0, 0, width, height);
    pen.lineCap = pen.lineJoin = "round";
    if (this.points) {
      pen.strokeStyle = this.how === "add" ? "#ff962866" : "#ffffff55";
      pen.lineWidth = 2 * this.radius * height;
      pen.beginPath();
      for (const [x, y] of this.points) pen.lineTo(x * width, y * height);
      pen.lineTo(this.points.at(-1)[0] * width + 0.01, this.points.at(-1)[1] * height);
      pen.stroke();
    }
    pen.strokeStyle = "#fff";
    pen.lineWidth = 1.5;
    pen.beginPath();
    pen.arc(event.offsetX, event.offsetY, this.radius * height, 0, 2 * Math.PI);
    pen.stroke();
  }

  async end() {
    const points = this.points;
    this.points = null;
    if (!points) return;
    try {
      const document = { points, radius: this.radius, how: this.how };
      const { selected } = await ask(`/api/tabs/${this.tab}/stroke`, { method: "POST", body: JSON.stringify(document) });
      toast(`${selected.toLocaleString("en")} Gaussians are selected, see Edit`, 3);
    } catch (error) {
      toast(error.message);
    }
    this.sheet.getContext("2d").clearRect(0, 0, this.sheet.width, this.sheet.height);
  }
}
