// Every photo beside its render and error; each finds its place as soon as it is measured.

import { $, ask, make, toast } from "./common.js";

const scene = location.pathname.split("/")[2];
const found = [];

function place(psnr, element) {
  const at = found.findIndex((other) => other.psnr > psnr);
  found.splice(at < 0 ? found.length : at, 0, { psnr, element });
  $("strips").insertBefore(element, at < 0 ? null : $("strips").children[at]);
}

async function measure(photo, index) {
  const response = await fetch(`/api/scenes/${scene}/photos/${index}`);
  if (!response.ok) throw new Error((await response.json()).error);
  const psnr = Number(response.headers.get("X-Psnr"));
  const image = make("img", { src: URL.createObjectURL(await response.blob()), alt: `${photo.name}: photo, render, error` });
  const tag = photo.held_out ? make("span", { class: "tag held" }, "held out") : make("span", { class: "tag trained" }, "trained on");
  const words = make("div", { class: "words" }, make("b", {}, `${psnr.toFixed(1)} dB`), make("span", {}, photo.name), tag);
  place(psnr, make("div", { class: "strip" }, image, words));
}

async function main() {
  const { name, photos } = await ask(`/api/scenes/${scene}/photos`);
  document.title = `Photos of ${name} - splatkit`;
  $("name").textContent = name;
  $("name").href = $("back").href = `/s/${scene}`;
  // Held-out photos first: they say most.
  const order = photos.map((photo, index) => [photo, index]).sort(([a], [b]) => b.held_out - a.held_out);
  for (const [photo, index] of order) {
    $("summary").textContent = `${found.length} of ${photos.length} compared`;
    await measure(photo, index);
  }
  $("summary").textContent = photos.length ? `${photos.length} compared` : "There are no photos here.";
}

main().catch((error) => toast(error.message, 60));
