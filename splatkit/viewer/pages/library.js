// The library: every scene as a card, running trainings, and the way to a new one.

import { $, ask, attempt, bytes, day, icon, make, sendScene, takeDrops, tell, toast } from "./common.js";

const EFFORTS = {
  draft: ["Draft", "quick look"],
  standard: ["Standard", "the default"],
  high: ["High", "larger pictures, more detail, takes several times as long"],
};

const PHOTO = /\.(jpe?g|png|webp|tiff?|bmp|hei[cf]|hif|avif)$/i;
const isPhoto = (file) => PHOTO.test(file.name);
let takesDrops = false;

// Photos that were dropped wait in the dialog for Start.
function takePhotos(file, dropped) {
  if (!isPhoto(file)) return false;
  attempt(async () => {
    await prepareDialog();
    $("photos").files = dropped;
    $("dialog").showModal();
  })();
  return true;
}

function card(scene) {
  const picture = make("div", { class: "picture" });
  const image = make("img", { src: `/api/scenes/${scene.id}/thumbnail.jpg?${scene.modified || 0}`, alt: "", loading: "lazy" });
  image.onerror = () => image.replaceWith(icon("logo"));
  picture.append(image);
  const facts = make("div", { class: "facts" });
  const add = (...parts) => facts.append(make("span", {}, ...parts));
  if (scene.psnr) add(make("b", {}, scene.psnr.toFixed(1)), " dB");
  if (scene.photos) add(`${scene.photos} photos`);
  if (scene.size) add(bytes(scene.size));
  if (scene.modified) add(day(scene.modified));
  if (!scene.is_run && scene.file) add(scene.file.replace(/^.*?\./, "."));
  const words = make("div", { class: "words" }, make("h2", { title: scene.name }, scene.name), facts);
  return make("a", { class: "card", href: `/s/${scene.id}` }, picture, words);
}

const showScenes = attempt(async () => {
  const { scenes, uploads } = await ask("/api/scenes");
  $("open").hidden = !uploads;
  if (uploads && !takesDrops) {
    takesDrops = true;
    takeDrops([document], takePhotos, "Drop a scene file, or photos to train from");
  }
  $("scenes").replaceChildren(...scenes.map(card));
  $("summary").textContent = scenes.length > 1 ? `${scenes.length}, the newest first` : "";
  $("empty").hidden = scenes.length > 0;
  $("empty").textContent = uploads
    ? "No scene yet. Train one from photos, or drop a scene file (.ply, .spz, .splat, .sog, .glb, ...) on this page."
    : "No scene was found below the folders given.";
});

const showRunning = attempt(async () => {
  const { trainings } = await ask("/api/trainings");
  const busy = trainings.filter((one) => !["done", "stopped"].includes(one.state));
  $("running").hidden = busy.length === 0;
  $("running").replaceChildren(...busy.map((one) => {
    const steps = one.training;
    const share = steps ? steps.step / steps.iterations : one.stage?.total ? one.stage.done / one.stage.total : 0;
    const fill = make("i", { style: `width: ${100 * share}%` });
    const words = steps ? `step ${steps.step.toLocaleString("en")} of ${steps.iterations.toLocaleString("en")}` : one.stage?.name || "";
    return make("a", { class: "card", href: `/s/${one.id}` },
      make("div", { class: "words" }, make("h2", {}, one.name),
        make("div", { class: "facts", style: "margin-bottom: 9px" }, make("b", { class: one.state === "failed" ? "bad" : "" }, one.words), make("span", {}, one.message || words)),
        make("div", { class: "bar" }, fill)));
  }));
});

async function prepareDialog() {
  const { folders, presets, can_train } = await ask("/api/folders");
  $("train").hidden = !can_train;
  $("folder").replaceChildren(
    ...folders.map(({ path, photos }) => make("option", { value: path }, `${path.split(/[\\/]/).slice(-2).join("/")} (${photos} photos)`)),
    make("option", { value: "" }, folders.length ? "None of these" : "No photo folder found below the folders given"),
  );
  $("presets").replaceChildren(...Object.entries(presets).map(([name, steps]) => {
    const [title, words] = EFFORTS[name] || [name, ""];
    return make("label", {}, make("input", { type: "radio", name: "preset", value: name, checked: name === "draft" ? "" : null }),
      make("span", {}, make("b", {}, title), make("span", { class: "quiet" }, `  ${words}, ${steps.toLocaleString("en")} steps`)));
  }));
}

async function sendPhotos(files) {
  const folder = `photos-${new Date().toISOString().slice(0, 19).replace(/[T:]/g, "-")}`;
  let sent = 0;
  let answer;
  for (const file of files) {
    toast(`Sending photo ${++sent} of ${files.length} ...`, 60);
    answer = await ask(`/api/photos?folder=${folder}&name=${encodeURIComponent(file.name)}`, { method: "POST", body: file });
  }
  return answer.folder;
}

$("train").onclick = attempt(async () => {
  await prepareDialog();
  $("dialog").showModal();
});
$("cancel").onclick = () => $("dialog").close();
$("start").onsubmit = attempt(async (event) => {
  event.preventDefault();
  $("begin").disabled = true;
  try {
    const files = [...$("photos").files, ...$("photofolder").files].filter(isPhoto);
    const folder = files.length ? await sendPhotos(files) : $("folder").value;
    const preset = new FormData($("start")).get("preset");
    const { id } = await tell("/api/trainings", { folder, preset });
    location.href = `/s/${id}`;
  } finally {
    $("begin").disabled = false;
  }
});
$("phone").onclick = attempt(async () => {
  const { url } = await ask("/api/phone");
  $("code").hidden = !url;
  if (url) $("code").src = "/api/phone.svg";
  $("way").textContent = url
    ? `In the same network: point the phone's camera here, or open ${url}. The code carries the token, so show it only to those you let in.`
    : "This viewer answers on this machine alone. Start it with --host 0.0.0.0 --token auto to let a phone of the same network in; it can then look at scenes and send its photos.";
  $("qr").showModal();
});
$("open").onclick = () => $("file").click();
$("file").onchange = () => sendScene($("file").files[0]);

showScenes();
showRunning();
prepareDialog().catch((error) => toast(error.message));
setInterval(showRunning, 2000);
