"use strict";
// Draws one run, or two beside each other, from the JSON in the element #runs.

const COLORS = ["var(--a)", "var(--b)"];
const SVG = "http://www.w3.org/2000/svg";

function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node[name] = value;
    else if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

function svg(tag, attributes, text) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

// Figures as people read them.
const known = (value) => value !== null && value !== undefined;
const count = (value) => (known(value) ? Math.round(value).toLocaleString("en") : "–");
const fixed = (digits) => (value) => (known(value) ? value.toFixed(digits) : "–");
const short = (value) =>
  Math.abs(value) >= 1e6 ? +(value / 1e6).toPrecision(3) + "M"
  : Math.abs(value) >= 1e4 ? +(value / 1e3).toPrecision(3) + "k"
  : String(+value.toPrecision(3));
function bytes(value) {
  if (!value) return "–";
  return value >= 1e9 ? (value / 1e9).toFixed(2) + " GB" : Math.round(value / 1e6) + " MB";
}
function time(seconds) {
  if (!known(seconds)) return "–";
  if (seconds < 9.95) return seconds.toFixed(1) + " s";
  const whole = Math.round(seconds);
  if (whole < 60) return whole + " s";
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  return `${Math.floor(whole / 3600)} h ${String(Math.floor((whole % 3600) / 60)).padStart(2, "0")} min`;
}

function dot(index, runs) {
  return runs.length > 1 ? el("i", { class: "dot", style: `background:${COLORS[index]}` }) : null;
}

function header(runs) {
  const title = el("h1");
  runs.forEach((run, index) => {
    if (index) title.append(" ", el("span", { class: "vs" }, "and"), " ");
    title.append(...[dot(index, runs), run.name].filter(Boolean));
  });
  const left = el("div", {}, title);
  runs.forEach((run, index) => {
    const stats = run.stats;
    const words = [run.date];
    words.push(`${stats.photos.registered} of ${stats.photos.found} photos placed`);
    words.push(`${count(stats.num_gaussians)} Gaussians`);
    if (stats.iterations) words.push(`${count(stats.iterations)} steps`);
    words.push(`backend ${stats.backend}`, `splatkit ${stats.version}`);
    left.append(el("p", {}, dot(index, runs), words.filter(Boolean).join("  ·  ")));
  });
  const pick = el("input", { type: "file", accept: ".html", onchange: () => compare(pick.files[0]) });
  const button = runs.length > 1
    ? el("button", { onclick: () => show([runs[0]]) }, "Show the first alone")
    : el("label", { class: "button" }, pick, "Compare with another report…");
  return el("header", {}, left, button);
}

function tiles(runs) {
  const wanted = [
    ["PSNR, held-out photos", (s) => s.mean.psnr, fixed(2), "dB", 1],
    ["SSIM", (s) => s.mean.ssim, fixed(4), "", 1],
    ["LPIPS", (s) => s.mean.lpips, fixed(4), "", -1],
    ["PSNR, colour-corrected", (s) => s.mean.psnr_cc, fixed(2), "dB", 1],
    ["Gaussians", (s) => s.num_gaussians, count, "", 0],
    ["Training time", (s) => s.seconds_train, time, "", -1],
    ["Peak memory", (s) => s.peak_memory_bytes, bytes, "", -1],
  ];
  const box = el("div", { class: "tiles" });
  for (const [name, get, format, unit, better] of wanted) {
    const values = runs.map((run) => get(run.stats));
    if (!values.some(known)) continue;
    const tile = el("div", { class: runs.length > 1 ? "card tile two" : "card tile" });
    values.forEach((value, index) => {
      tile.append(el("b", {}, dot(index, runs), format(value), el("small", {}, known(value) ? unit : "")));
    });
    const caption = el("span", {}, name);
    if (runs.length > 1 && values.every(known) && better) {
      const change = values[1] - values[0];
      const good = change * better > 0;
      if (change) caption.append(" ", el("span", { class: good ? "good" : "bad" },
        `${change > 0 ? "+" : "−"}${format(Math.abs(change))}`));
    }
    tile.append(caption);
    box.append(tile);
  }
  return box;
}

// Line charts.
function niceTicks(low, high, wanted = 4) {
  const span = high - low || 1;
  const raw = span / wanted;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= raw);
  const ticks = [];
  for (let tick = Math.ceil(low / step - 1e-9) * step; tick <= high + step * 1e-6; tick += step)
    ticks.push(Math.abs(tick) < step * 1e-6 ? 0 : tick);
  return ticks;
}

function chart(title, unit, lines, format, fromZero) {
  lines = lines.filter((line) => line.x.length > 1 && line.y.some((v) => v));
  if (!lines.length) return null;
  const W = 400, H = 200, left = 44, right = 8, top = 12, bottom = 26;
  const xs = lines.flatMap((line) => line.x), ys = lines.flatMap((line) => line.y);
  const x1 = Math.max(...xs);
  let y0 = fromZero ? 0 : Math.min(...ys), y1 = Math.max(...ys);
  if (y1 === y0) { y1 += Math.abs(y1) * 0.05 || 1; y0 -= fromZero ? 0 : Math.abs(y0) * 0.05 || 1; }
  const pad = (y1 - y0) * 0.06;
  y1 += pad; if (!fromZero) y0 -= pad;
  const px = (x) => left + (x / x1) * (W - left - right);
  const py = (y) => H - bottom - ((y - y0) / (y1 - y0)) * (H - top - bottom);
  const drawing = svg("svg", { viewBox: `0 0 ${W} ${H}`, role: "img" });
  drawing.append(svg("title", {}, title));
  for (const tick of niceTicks(y0, y1)) {
    drawing.append(svg("line", { x1: left, x2: W - right, y1: py(tick), y2: py(tick), class: "grid" }));
    drawing.append(svg("text", { x: left - 7, y: py(tick) + 4, "text-anchor": "end" }, format(tick)));
  }
  for (const tick of niceTicks(0, x1, 5))
    drawing.append(svg("text", { x: px(tick), y: H - 8, "text-anchor": "middle" }, short(tick)));
  for (const line of lines) {
    const points = line.x.map((x, i) => `${px(x).toFixed(1)},${py(line.y[i]).toFixed(1)}`).join(" ");
    drawing.append(svg("polyline", {
      points, fill: "none", stroke: line.color, "stroke-width": 2, "stroke-linejoin": "round",
      "vector-effect": "non-scaling-stroke",
    }));
    if (line.x.length <= 40)
      line.x.forEach((x, i) => drawing.append(
        svg("circle", { cx: px(x), cy: py(line.y[i]), r: 2.6, fill: line.color })));
  }
  const cross = svg("line", { y1: top, y2: H - bottom, class: "cross", visibility: "hidden" });
  drawing.append(cross);
  const tip = el("div", { class: "tip" });
  drawing.addEventListener("pointermove", (event) => {
    const place = drawing.getBoundingClientRect();
    const x = (((event.clientX - place.left) / place.width) * W - left) / (W - left - right) * x1;
    if (x < 0 || x > x1) return;
    tip.replaceChildren();
    for (const line of lines) {
      let best = 0;
      line.x.forEach((value, i) => { if (Math.abs(value - x) < Math.abs(line.x[best] - x)) best = i; });
      cross.setAttribute("x1", px(line.x[best]));
      cross.setAttribute("x2", px(line.x[best]));
      const when = line.seconds ? `, ${time(line.seconds[best])}` : "";
      tip.append(el("div", { style: `color:${line.color}` },
        el("b", {}, format(line.y[best])), ` at step ${count(line.x[best])}${when}`));
    }
    cross.setAttribute("visibility", "visible");
  });
  drawing.addEventListener("pointerleave", () => {
    cross.setAttribute("visibility", "hidden");
    tip.replaceChildren();
  });
  return el("div", { class: "card chart" }, el("h3", {}, title, el("small", {}, unit)), tip, drawing);
}

function charts(runs) {
  const of = (key) => runs.map((run, i) => ({
    x: run.curves.step, y: run.curves[key], seconds: run.curves.seconds, color: COLORS[i] }));
  const held = runs.map((run, i) => ({ x: run.measured.step, y: run.measured.psnr, color: COLORS[i] }));
  const drawn = [
    chart("Held-out photos while training", "PSNR, dB", held, (v) => v.toFixed(1), false),
    chart("Loss", "running mean", of("loss"), (v) => String(+v.toPrecision(3)), true),
    chart("Gaussians", "", of("gaussians"), short, true),
    chart("Speed", "steps a second", of("rate"), (v) => String(+v.toPrecision(3)), true),
    chart("Memory", "resident, GB", of("memory").map((line) => ({ ...line, y: line.y.map((v) => v / 1e9) })),
      (v) => v.toFixed(2), true),
    chart("Steps over time", "minutes", runs.map((run, i) => ({
      x: run.curves.step, y: run.curves.seconds.map((s) => s / 60), color: COLORS[i] })),
      (v) => String(+v.toPrecision(3)), true),
  ].filter(Boolean);
  return drawn.length ? [el("h2", {}, "Curves ", el("small", {}, "over steps")),
    el("div", { class: "charts" }, ...drawn)] : [];
}

function stages(runs) {
  const names = [...new Set(runs.flatMap((run) => run.stages.map((stage) => stage.stage)))];
  if (!names.length) return [];
  const longest = Math.max(...runs.flatMap((run) => run.stages.map((stage) => stage.seconds)));
  const rows = names.map((name) => {
    const found = runs.map((run) => run.stages.find((stage) => stage.stage === name));
    const bars = found.map((stage, i) => el("div", { class: "bar", style:
      `width:${stage ? (100 * stage.seconds) / longest : 0}%;background:${COLORS[i]}` }));
    const lines = (format) => found.flatMap((stage, i) => [i ? el("br") : null, stage ? format(stage) : "–"]);
    return el("tr", {}, el("td", {}, name), el("td", { class: "bars" }, ...bars),
      el("td", { class: "number" }, ...lines((s) => time(s.seconds))),
      el("td", { class: "number" }, ...lines((s) => bytes(s.memory))));
  });
  const head = el("tr", {}, el("th", {}, "Stage"), el("th"),
    el("th", { class: "number" }, "Time"), el("th", { class: "number" }, "Memory"));
  return [el("h2", {}, "Time and memory by stage"), el("div", { class: "card" }, el("table", {}, head, ...rows))];
}

function photos(runs) {
  const first = runs[0];
  const names = new Set(first.photos.map((photo) => photo.name));
  const added = runs.slice(1).flatMap((run) => run.photos).filter((photo) => !names.has(photo.name));
  if (!first.photos.length && !added.length) return [el("h2", {}, "Held-out photos"), el("p", { class: "soft" },
    "None were held out, so there is nothing to compare with.")];
  const box = [el("h2", {}, "Held-out photos ", el("small", {}, "worst first; error from 0 to ",
    String(first.error_peak), el("i", { class: "scale" }), "mean absolute difference, 1 is white against black"))];
  if (runs.length > 1 && added.length === runs[1].photos.length) box.push(el("p", { class: "soft warning" },
    "No photo was held out in both runs: their figures are of different photos and cannot be compared."));
  const rest = [];
  for (const photo of [...first.photos, ...added]) {
    const others = runs.map((run) => run.photos.find((other) => other.name === photo.name));
    const title = el("h3", {}, photo.name);
    others.forEach((other, i) => title.append(el("span", {}, dot(i, runs), other ? figures(other) : "not compared")));
    if (!photo.truth) { rest.push(el("tr", {}, el("td", {}, photo.name),
      ...others.map((other) => el("td", {}, other ? figures(other) : "–")))); continue; }
    const strip = el("div", { class: "strip" }, picture(photo.truth, "photo", photo.name));
    others.forEach((other, i) => {
      const who = runs.length > 1 ? ` of ${runs[i].name}` : "";
      if (other && other.render) strip.append(
        picture(other.render, "render" + who, photo.name, i, runs),
        picture(other.error, "error" + who, photo.name, i, runs));
    });
    box.push(el("div", { class: "card photo" }, title, strip));
  }
  if (rest.length) box.push(el("div", { class: "card" }, el("details", {},
    el("summary", {}, `${rest.length} better ones`), el("table", {}, ...rest))));
  return box;
}

function figures(photo) {
  const words = [`${fixed(2)(photo.psnr)} dB`, `SSIM ${fixed(3)(photo.ssim)}`];
  if (known(photo.psnr_cc)) words.push(`colour-corrected ${fixed(2)(photo.psnr_cc)} dB`);
  if (known(photo.lpips)) words.push(`LPIPS ${fixed(3)(photo.lpips)}`);
  return words.join(", ");
}

function picture(source, caption, name, index = 0, runs = []) {
  const image = el("img", { src: source, alt: `${caption}: ${name}`, loading: "lazy",
    onclick: () => enlarge(image) });
  return el("figure", {}, image, el("figcaption", {}, dot(index, runs.length > 1 ? runs : []), caption));
}

// A picture over the whole window; arrow keys go through those of the same photo.
function enlarge(image) {
  const lens = document.getElementById("lens");
  const siblings = [...image.closest(".strip").querySelectorAll("img")];
  lens.replaceChildren(el("img", { src: image.src }), el("p", {}, `${image.alt}   (← → other pictures of it)`));
  lens.hidden = false;
  lens.onclick = () => { lens.hidden = true; };
  document.onkeydown = (event) => {
    const turn = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (turn) enlarge(siblings[(siblings.indexOf(image) + turn + siblings.length) % siblings.length]);
    if (event.key === "Escape") lens.hidden = true;
  };
}

function keyed(title, runs, get, open) {
  const names = [...new Set(runs.flatMap((run) => Object.keys(get(run))))];
  if (!names.length) return null;
  const text = (value) => (value === null || value === undefined ? "–" : String(value));
  const rows = names.map((name) => {
    const values = runs.map((run) => text(get(run)[name]));
    const differs = values.some((value) => value !== values[0]);
    return [differs, el("tr", { class: differs ? "differs" : null }, el("th", {}, name),
      ...values.map((value) => el("td", {}, value)))];
  });
  rows.sort((first, second) => second[0] - first[0]);
  const details = el("details", {}, el("summary", {}, title), el("table", {}, ...rows.map((row) => row[1])));
  details.open = open;
  return el("div", { class: "card" }, details);
}

function machine(run) {
  const told = { ...run.machine };
  if (known(told.memory_bytes)) told.memory_bytes = bytes(told.memory_bytes);
  return Object.fromEntries(Object.entries(told).map(([name, value]) => [name.replace("_bytes", ""), value]));
}

function show(runs) {
  document.title = `${runs.map((run) => run.name).join(" and ")} · splatkit report`;
  const parts = [header(runs), tiles(runs)];
  runs.forEach((run) => {
    if (run.notes.length) parts.push(el("div", { class: "card notes" },
      ...run.notes.map((note) => el("p", {}, note))));
  });
  parts.push(...charts(runs), ...stages(runs), ...photos(runs));
  const recipe = (name) => name.startsWith("recipe.");
  const some = (wanted) => (run) => Object.fromEntries(
    Object.entries(run.settings).filter(([name]) => recipe(name) === wanted));
  parts.push(el("h2", {}, "Settings and machine"), el("div", { class: "columns" },
    ...[keyed("Options", runs, some(false), true), keyed("Machine", runs, machine, true),
      keyed("Recipe", runs, some(true), false)].filter(Boolean)));
  document.getElementById("page").replaceChildren(...parts);
}

// Another report, picked or dropped on the page, is shown beside this one.
async function compare(file) {
  if (!file) return;
  const text = await file.text();
  const other = new DOMParser().parseFromString(text, "text/html").getElementById("runs");
  if (!other) { alert(`${file.name} is no splatkit report`); return; }
  show([mine[0], JSON.parse(other.textContent)[0]]);
}

const mine = JSON.parse(document.getElementById("runs").textContent);
show(mine);
addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("dropping"); });
addEventListener("dragleave", () => document.body.classList.remove("dropping"));
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  compare(event.dataTransfer.files[0]);
});
