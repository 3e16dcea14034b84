// What all pages share: asking the server, telling people, dropping files.

export const $ = (id) => document.getElementById(id);

// The answer to a question as JSON; an error is an exception with the server's words.
export async function ask(path, options = {}) {
  const response = await fetch(path, options);
  const type = response.headers.get("Content-Type") || "";
  const answer = type.includes("json") ? await response.json() : await response.text();
  if (!response.ok) throw new Error(answer.error || answer || `the server said ${response.status}`);
  return answer;
}

export const tell = (path, document = {}) =>
  ask(path, { method: "POST", body: JSON.stringify(document) });

// An element with attributes and children; text is always text, never HTML.
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `/static/icons.svg#${name}`);
  svg.append(use);
  return svg;
}

let toastTimer;
export function toast(text, seconds = 6) {
  let box = $("toast");
  if (!box) document.body.append((box = make("div", { id: "toast", role: "status" })));
  box.textContent = text;
  box.hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => (box.hidden = true), seconds * 1000);
}

export const attempt = (work) => async (...values) => {
  try {
    return await work(...values);
  } catch (error) {
    toast(error.message);
  }
};

export function count(number) {
  if (number >= 1e6) return `${(number / 1e6).toFixed(1)} M`;
  return number >= 1e4 ? `${Math.round(number / 1000)}k` : number.toLocaleString("en");
}

export function bytes(number) {
  return number >= 1e9 ? `${(number / 1e9).toFixed(1)} GB`
    : number >= 1e6 ? `${Math.round(number / 1e6)} MB` : `${Math.max(1, Math.round(number / 1e3))} kB`;
}

export function duration(seconds) {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

export const day = (seconds) =>
  new Date(seconds * 1000).toLocaleDateString(undefined, { year: "numeric", month: "short", day: "numeric" });

// Sends a scene file that was dropped on any of these documents, then opens it; what `first` takes
// (it answers true) is no scene.
export function takeDrops(documents, first = () => false, words = "Drop a scene file to open it") {
  const sign = make("div", { id: "drop", hidden: "" }, words);
  document.body.append(sign);
  for (const place of documents) {
    place.addEventListener("dragover", (event) => {
      if (!event.dataTransfer.types.includes("Files")) return;
      event.preventDefault();
      sign.hidden = false;
    });
    place.addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) sign.hidden = true;
    });
    place.addEventListener("drop", (event) => {
      event.preventDefault();
      sign.hidden = true;
      const file = event.dataTransfer.files[0];
      if (file && !first(file, event.dataTransfer.files)) sendScene(file);
    });
  }
}

export const sendScene = attempt(async (file) => {
  toast(`Sending ${file.name} (${bytes(file.size)}) ...`, 600);
  const scene = await ask(`/api/scenes?name=${encodeURIComponent(file.name)}`, { method: "POST", body: file });
  location.href = `/s/${scene.id}`;
});
