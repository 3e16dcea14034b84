// The page of a scene: viser's page in a frame, and what stands around it.

import { Brush } from "./brush.js";
import { $, ask, attempt, count, duration, make, takeDrops, tell, toast } from "./common.js";

const LINK_WORDS = ["position", "look_at", "fov", "mode"];
const MORE_STEPS = 2000;
const COVER_SECONDS = 30;
const scene = location.pathname.split("/")[2];
const tab = [...crypto.getRandomValues(new Uint8Array(9))].map((value) => value.toString(16).padStart(2, "0")).join("");
let paused = false;
let saved = null;

function openPath(file) {
  if (!file.name.toLowerCase().endsWith(".json")) return false;
  attempt(async () => {
    const { views } = await ask(`/api/tabs/${tab}/path`, { method: "POST", body: file });
    toast(`A path of ${views.toLocaleString("en")} views is open, see Path`, 4);
  })();
  return true;
}

function openView() {
  if (document.querySelector("iframe")) return;
  const link = new URLSearchParams(location.search);
  const query = new URLSearchParams(LINK_WORDS.filter((word) => link.has(word)).map((word) => [word, link.get(word)]));
  const socket = `${location.origin.replace(/^http/, "ws")}/ws/${scene}/${tab}?${query}`;
  const dpr = link.has("fixedDpr") ? "&fixedDpr=1" : "";
  const frame = make("iframe", { src: `/viser?darkMode&hideViserLogo&websocket=${encodeURIComponent(socket)}${dpr}`, title: "The scene" });
  $("waiting").hidden = true;
  $("cover").firstChild.style.backgroundImage = `url(/api/scenes/${scene}/thumbnail.jpg)`;
  $("view").append(frame);
  $("view").hidden = false;
  uncover(performance.now() + 1000 * COVER_SECONDS);
  frame.onload = () => {
    frame.contentWindow.focus();
    new Brush(frame, tab);
    takeDrops([document, frame.contentDocument], openPath, "Drop a scene or a camera path to open it");
  };
  for (const name of ["paint", "picture", "share"]) $(name).hidden = false;
  $("picture").href = `/api/tabs/${tab}/picture.png`;
}

// The scene's small picture covers the view until the first one of its own is there. What went
// wrong is told in the view itself, so it is uncovered in the end whatever happens.
async function uncover(end) {
  const { drawn } = await ask(`/api/tabs/${tab}`).catch(() => ({}));
  if (drawn || performance.now() > end) $("cover").classList.add("gone");
  else setTimeout(uncover, 150, end);
}

function showTraining(told) {
  const steps = told.training;
  const busy = !["done", "stopped", "failed"].includes(told.state);
  paused = told.state === "paused";
  $("training").hidden = !told.ready;
  $("state").textContent = told.words;
  $("fill").style.width = steps ? `${(100 * steps.step) / steps.iterations}%` : "0";
  const figures = [];
  const add = (value, words) => figures.push(make("span", {}, make("b", {}, value), ` ${words}`));
  if (steps) {
    add(steps.step.toLocaleString("en"), `of ${steps.iterations.toLocaleString("en")} steps`);
    if (told.state === "training") {
      add(steps.rate.toFixed(1), "steps/s");
      add(duration(steps.seconds_left), "left");
    }
    add(count(steps.gaussians), "Gaussians");
    if (told.psnr) add(told.psnr.toFixed(1), "dB on held-out photos");
  }
  if (told.message) figures.push(make("span", { class: told.state === "failed" ? "bad" : "" }, told.message));
  $("figures").replaceChildren(...figures);
  $("pause").textContent = paused ? "Go on" : "Pause";
  for (const name of ["pause", "save"]) $(name).hidden = !["training", "paused"].includes(told.state);
  $("stop").hidden = !["training", "paused"].includes(told.state);
  $("longer").hidden = busy || !steps;
  const unfinished = steps && steps.step < steps.iterations;
  $("longer").textContent = unfinished ? "Go on" : `Train ${MORE_STEPS.toLocaleString("en")} steps more`;
  $("longer").dataset.steps = unfinished ? 0 : MORE_STEPS;
  if (told.saved && saved !== null && told.saved !== saved) toast(`Saved: ${told.saved}`, 3);
  saved = told.saved || "";
}

function showWaiting(told) {
  $("waiting").hidden = told.ready;
  $("stage").textContent = told.state === "failed" ? "This did not work" : told.stage?.name || told.words;
  const { done, total } = told.stage || {};
  $("stagefill").style.width = total ? `${(100 * done) / total}%` : "0";
  $("stagefill").parentElement.hidden = told.state === "failed";
  $("detail").textContent = told.message || (total ? `${done} of ${total}` : "The scene appears here as soon as training begins.");
}

async function refresh() {
  const told = await ask(`/api/scenes/${scene}`);
  document.title = `${told.name} - splatkit`;
  $("name").textContent = told.name;
  $("photos").hidden = !told.photos;
  $("photos").href = `/s/${scene}/photos`;
  $("file").hidden = !told.file;
  $("file").href = `/api/scenes/${scene}/file`;
  $("report").hidden = !told.report;
  $("report").href = `/api/scenes/${scene}/report`;
  if (told.training) {
    showTraining(told.training);
    if (!told.training.ready) showWaiting(told.training);
  }
  if (!told.training || told.training.ready) openView();
  if (told.training) setTimeout(watch, 1000);
}

// The server may be gone for a while; the page goes on when it is back.
const watch = () => refresh().catch(() => setTimeout(watch, 2000));

const wish = (name, document) => attempt(async () => showTraining(await tell(`/api/trainings/${scene}/${name}`, document?.())));
$("pause").onclick = () => wish(paused ? "go_on" : "pause")();
$("save").onclick = wish("save");
$("stop").onclick = wish("stop");
$("longer").onclick = wish("longer", () => ({ steps: Number($("longer").dataset.steps) }));

$("share").onclick = attempt(async () => {
  const link = new URL(location.pathname, location.href);
  link.search = new URLSearchParams(await ask(`/api/tabs/${tab}/link`));
  history.replaceState(null, "", link);
  try {
    await navigator.clipboard.writeText(link.href);
    toast("The link to this view is in the clipboard");
  } catch {
    toast("The link to this view is in the address bar");
  }
});

refresh().catch((error) => {
  $("waiting").hidden = false;
  $("stagefill").parentElement.hidden = true;
  $("stage").textContent = "This scene cannot be shown";
  $("detail").textContent = error.message;
});
