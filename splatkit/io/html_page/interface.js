// What stands around the scene: buttons, the list of views, the walk's slider, messages.

const find = (id) => document.getElementById(id);
const body = document.body;
const HINT_SECONDS = 6;

export const canvas = find("canvas");

/** How far opening has come, 0 to 1. */
export function showProgress(share) {
  find("progress").firstElementChild.style.width = `${100 * share}%`;
  find("progress").setAttribute("aria-valuenow", Math.round(100 * share));
}

export function showOpened() {
  body.classList.remove("opening");
  body.classList.add("hinting");
  setTimeout(hideHint, 1000 * HINT_SECONDS);
}

export function hideHint() {
  body.classList.remove("hinting");
}

/** Say over the whole page why there is no scene. */
export function showFault(text) {
  body.classList.add("opening", "failed");
  find("message").textContent = text;
}

/** Splats, and frames a second while there are any. */
export function showFacts(count, rate) {
  const splats = `${count.toLocaleString("en")} ${count === 1 ? "splat" : "splats"}`;
  find("facts").textContent = rate ? `${splats} · ${Math.round(rate)} fps` : splats;
}

/** Connect the page to a viewer. */
export class Interface {
  constructor(viewer, scene) {
    this.viewer = viewer;
    const hex = scene.background.map((value) => Math.round(255 * value).toString(16).padStart(2, "0"));
    find("background").value = `#${hex.join("")}`;
    find("background").addEventListener("input", (event) => {
      const word = parseInt(event.target.value.slice(1), 16);
      viewer.setBackground([word >> 16, (word >> 8) & 255, word & 255].map((value) => value / 255));
    });
    this.listViews(scene.views);
    find("views-button").hidden = scene.views.length === 0;
    find("views-button").addEventListener("click", () => this.toggleViews());
    find("help-button").addEventListener("click", () => find("help").showModal());
    find("fullscreen-button").hidden = !document.fullscreenEnabled;
    find("fullscreen-button").addEventListener("click", toggleFullscreen);
    find("reset").addEventListener("click", () => viewer.reset());
    find("play").hidden = find("scrubber").hidden = !viewer.tour;
    find("transport").classList.toggle("short", !viewer.tour);
    find("play").addEventListener("click", () => viewer.togglePlaying());
    find("scrubber").addEventListener("input", (event) => viewer.goAlong(Number(event.target.value)));
    // A click outside closes what is open.
    find("help").addEventListener("click", (event) => {
      if (event.target === find("help")) find("help").close();
    });
    canvas.addEventListener("pointerdown", () => this.toggleViews(false));
    window.addEventListener("keydown", (event) => this.key(event));
  }

  listViews(views) {
    const items = views.map((view, index) => {
      const button = document.createElement("button");
      button.textContent = button.title = view.name;
      button.addEventListener("click", () => this.viewer.goToView(index));
      const item = document.createElement("li");
      item.append(button);
      return item;
    });
    find("views").firstElementChild.append(...items);
  }

  toggleViews(open = find("views").hidden) {
    if (find("views-button").hidden) return;
    find("views").hidden = !open;
    find("views-button").setAttribute("aria-expanded", open);
    if (open) find("views").querySelector('[aria-current="true"]')?.scrollIntoView({ block: "nearest" });
  }

  /** Mark the view that one is in; null for none. */
  markView(index) {
    [...find("views").querySelectorAll("button")].forEach((button, i) => {
      if (i === index) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    });
  }

  markTour({ share, playing }) {
    body.classList.toggle("is-playing", playing);
    find("play").setAttribute("aria-label", playing ? "Pause the walk" : "Play the walk");
    find("scrubber").value = share;
    find("scrubber").style.setProperty("--share", share);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || find("help").open) return;
    const { viewer } = this;
    const action = {
      KeyR: () => viewer.reset(),
      KeyV: () => this.toggleViews(),
      KeyB: () => find("background").click(),
      KeyF: () => toggleFullscreen(),
      KeyH: () => find("help").showModal(),
      KeyI: () => body.classList.toggle("bare"),
      Space: () => viewer.togglePlaying(),
      Comma: () => viewer.stepView(-1),
      Period: () => viewer.stepView(1),
      Escape: () => this.toggleViews(false),
    }[event.code];
    // Space on a button presses the button.
    const pressing = event.code === "Space" && event.target.closest?.("button");
    if (!action || pressing || event.repeat) return;
    event.preventDefault();
    action();
  }
}

function toggleFullscreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else document.documentElement.requestFullscreen?.();
}
