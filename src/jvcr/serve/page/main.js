// Wires the page: photos and camera in, results out.

import { Camera } from "./camera.js";
import { byId } from "./dom.js";
import { showDownloads } from "./downloads.js";
import { complain, say } from "./messages.js";
import { listenForPhotos } from "./pictures.js";
import { Result } from "./result.js";
import { findFaces, serviceInfo, useToken } from "./service.js";
import { copyText } from "./table.js";

const MAX_NAME = 200;
// A face has about 4,000 voxels over the threshold.
const MAX_VOXELS = 6000;

const result = new Result();
const camera = new Camera();
let info = null;
let request = null;

const counted = (count) => (count === 1 ? "1 face" : `${count} faces`);
const volumeWanted = () => document.querySelector("[data-layer=cloud]").checked;

/** Parameters of a request. */
function wanted(name) {
  const options = { name: name.slice(0, MAX_NAME), weights: byId("weights").value };
  return volumeWanted() ? { ...options, volume: true, voxels: MAX_VOXELS } : options;
}

listenForPhotos(takePhoto, complain);
byId("camera").addEventListener("click", toggleCamera);
document.querySelector("[data-layer=cloud]").addEventListener("change", fetchVolumes);
byId("copy").addEventListener("click", copyTable);
byId("token-form").addEventListener("submit", takeToken);
start();

/** Ask what the service offers, and show it. */
async function start() {
  try {
    info = await serviceInfo();
  } catch (error) {
    return complain(error.message);
  }
  byId("version").textContent = info.version;
  byId("token-form").hidden = !info.token_needed;
  showWeights();
  showLicence();
  showDownloads(info, () => result.shown, report);
}

function showWeights() {
  byId("weights").replaceChildren(...info.weights.map(({ name }) => new Option(name, name)));
  byId("weights-choice").hidden = info.weights.length < 2;
}

/** The licence of weights of the server's own is what the server says; the page's text is that of the package's. */
function showLicence() {
  const others = info.weights.filter(({ licence }) => !licence?.startsWith("research only"));
  const lines = others.map(({ name, licence }) => `Licence of the weights ${name}: ${licence ?? "not stated"}.`);
  if (others.length === info.weights.length) byId("licence").textContent = "The code is under the MIT licence.";
  if (lines.length) byId("licence").append(` ${lines.join(" ")}`);
}

function takeToken(event) {
  event.preventDefault();
  useToken(byId("token").value);
  byId("token-form").hidden = true;
  say("The token is used from now on.");
}

/** Find the faces of a photo and show them. A newer photo replaces one that is still being worked on. */
async function takePhoto(image, name) {
  camera.stop();
  const limit = info?.limits.body_bytes;
  if (image.size > limit) {
    return complain(
      `${name} has ${megabytes(image.size)}; this server takes up to ${megabytes(limit)}. Choose a smaller photo.`,
    );
  }
  await requested("Looking for faces …", async (signal) => {
    const options = wanted(name);
    const [record, picture] = await Promise.all([findFaces(image, options, signal), readable(image)]);
    if (signal.aborted) return;
    result.show({ record, picture, image, options });
    say(summary(record, picture));
  });
}

/** The volume is large, so it is asked for when it is to be seen. */
async function fetchVolumes() {
  const { shown } = result;
  if (!volumeWanted() || camera.running || !shown?.record.faces.length || shown.record.faces[0].volume) return;
  await requested("Fetching the volume …", async (signal) => {
    const record = await findFaces(shown.image, wanted(shown.options.name), signal);
    if (signal.aborted || result.shown !== shown) return;
    result.addVolumes(record);
    say("The volume is shown.");
  });
}

/** One request at a time: a newer one ends the older one. Errors are shown. */
async function requested(text, work) {
  cancelRequest();
  const { signal } = (request = new AbortController());
  byId("drop").classList.add("busy");
  say(text);
  try {
    await work(signal);
  } catch (error) {
    if (error.name !== "AbortError") fail(error);
  } finally {
    if (request?.signal === signal) cancelRequest();
  }
}

function cancelRequest() {
  request?.abort();
  request = null;
  byId("drop").classList.remove("busy");
}

/** The photo as the browser reads it, upright; null if it cannot read this type. */
function readable(image) {
  return createImageBitmap(image).catch(() => null);
}

function summary({ faces, ms, image }, picture) {
  if (!faces.length) return `No face found in ${image}.`;
  const unseen = picture ? "" : " This browser cannot show this type of photo, so only the landmarks are drawn.";
  return `${counted(faces.length)} found in ${image}, in ${Math.round(ms)} ms.${unseen}`;
}

const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

async function toggleCamera() {
  if (camera.running) return camera.stop();
  cancelRequest();
  const rate = new Rate();
  say("The camera is on. Frames go to this server only.");
  showCamera(true);
  try {
    await camera.run((frame, signal) => takeFrame(frame, signal, rate));
    // A photo that ended the camera has something else to say.
    if (!request) say("The camera is off. The last frame stays.");
  } catch (error) {
    fail(error);
  } finally {
    showCamera(false);
  }
}

function showCamera(on) {
  byId("camera").textContent = on ? "Stop the camera" : "Use the camera";
  document.body.classList.toggle("live", on);
  byId("rate").hidden = true;
}

async function takeFrame(image, signal, rate) {
  const options = wanted("camera.jpg");
  const record = await patiently(() => findFaces(image, options, signal), signal);
  const picture = await readable(image);
  if (signal.aborted) return;
  result.showFrame({ record, picture, image, options });
  byId("rate").hidden = false;
  byId("rate").textContent = `${counted(record.faces.length)} · ${rate.tick()} frames a second`;
}

/** Ask again while the service is busy, after the time that it states. */
async function patiently(ask, signal) {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (error.status !== 503 || signal.aborted) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1000 * Math.max(1, error.retryAfterS)));
    }
  }
}

/** Frames a second, as text, over the last frames. */
class Rate {
  #times = [];

  tick() {
    this.#times = [...this.#times.slice(-20), performance.now()];
    const span = this.#times.at(-1) - this.#times[0];
    if (!span) return "–";
    const rate = (1000 * (this.#times.length - 1)) / span;
    return rate.toFixed(rate < 10 ? 1 : 0);
  }
}

async function copyTable() {
  try {
    await copyText(result.table.text);
    say("The table is copied. Paste it into a spreadsheet.");
  } catch (error) {
    fail(error);
  }
}

/** Say how a download ended. */
async function report(work) {
  try {
    say(`Saved ${await work}.`);
  } catch (error) {
    fail(error);
  }
}

function fail(error) {
  if (error.status === 401) byId("token-form").hidden = false;
  complain(error.message);
}
