/** The page: photos and camera frames in, landmarks over them out. */
import { Landmarker } from "../src/index.ts";
import { element } from "./parts/elements.ts";
import { listenForPhotos } from "./parts/inputs.ts";
import { Results } from "./parts/results.ts";
import { Stage } from "./parts/stage.ts";
import { FrameRate } from "./parts/frame_rate.ts";

const buttons = {
  open: element("open", HTMLButtonElement),
  camera: element("camera", HTMLButtonElement),
  sample: element("sample", HTMLButtonElement),
};
const weights = element("weights", HTMLSelectElement);
const status = element("status", HTMLElement);
const stage = new Stage();
const results = new Results(() => {
  if (!camera) stage.drawPhoto(results.current?.faces ?? [], results.selected);
});
let camera: AbortController | null = null;
let landmarker: Landmarker | null = null;

function say(text: string, failed = false): void {
  status.textContent = text;
  status.classList.toggle("failed", failed);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

async function predict(landmarker: Landmarker, photo: Blob, name: string): Promise<void> {
  stopCamera();
  say(`Looking for faces in ${name}…`);
  try {
    stage.showPhoto(await createImageBitmap(photo, { imageOrientation: "from-image" }));
    results.show(null);
    const start = performance.now();
    const bitmap = await createImageBitmap(photo, { imageOrientation: "from-image", colorSpaceConversion: "none" });
    const { width, height } = bitmap;
    const faces = await landmarker.predict(bitmap);
    results.show({ image: name, width, height, faces });
    stage.drawPhoto(faces, results.selected);
    say(`${countOf(faces.length)} in ${name}, ${(performance.now() - start).toFixed(0)} ms`);
  } catch (error) {
    say(`${name}: ${messageOf(error)}`, true);
  }
}

function countOf(faces: number): string {
  return faces === 0 ? "No face" : faces === 1 ? "1 face" : `${faces} faces`;
}

function stopCamera(): void {
  camera?.abort();
  camera = null;
  buttons.camera.setAttribute("aria-pressed", "false");
  const stream = stage.video.srcObject;
  if (stream instanceof MediaStream) for (const track of stream.getTracks()) track.stop();
  stage.video.srcObject = null;
}

async function startCamera(landmarker: Landmarker): Promise<void> {
  const own = new AbortController();
  try {
    say("Waiting for the camera…");
    stage.video.srcObject = await navigator.mediaDevices.getUserMedia({
      video: { facingMode: "user", width: { ideal: 1280 }, height: { ideal: 720 } },
    });
    camera = own;
    buttons.camera.setAttribute("aria-pressed", "true");
    await stage.video.play();
    await follow(landmarker, own.signal);
  } catch (error) {
    stopCamera();
    say(`Camera: ${messageOf(error)}`, true);
  }
}

async function follow(landmarker: Landmarker, signal: AbortSignal): Promise<void> {
  const rate = new FrameRate();
  for await (const { image, faces: tracked } of landmarker.track(stage.video, { signal })) {
    if (signal.aborted) return;
    const faces = tracked.map((one) => one.face);
    results.show({ image: "camera", width: image.width, height: image.height, faces });
    stage.drawFrame(image, faces, results.selected);
    say(`${countOf(faces.length)}, ${rate.next(performance.now()).toFixed(1)} frames/s`);
  }
}

async function sample(landmarker: Landmarker): Promise<void> {
  const response = await fetch("./sample.jpg");
  await predict(landmarker, await response.blob(), "sample.jpg");
}

/** Loads the chosen weights. Until then, the controls are disabled, so that only one set loads at a time. */
async function load(): Promise<void> {
  stopCamera();
  enable(false);
  say("Loading the networks…");
  try {
    landmarker?.close();
    landmarker = null;
    landmarker = await Landmarker.create({ base: new URL("./jvcr/", location.href), weights: weights.value });
    enable(true);
    say("Ready.");
  } catch (error) {
    weights.disabled = false;
    say(messageOf(error), true);
  }
}

function enable(ready: boolean): void {
  for (const control of [...Object.values(buttons), weights]) control.disabled = !ready;
}

listenForPhotos({ ...buttons, file: element("file", HTMLInputElement), frame: stage.frame }, (photo) => {
  if (landmarker) void predict(landmarker, photo, photo.name);
});
buttons.sample.addEventListener("click", () => {
  if (landmarker) void sample(landmarker);
});
buttons.camera.addEventListener("click", () => {
  if (!camera && landmarker) return void startCamera(landmarker);
  stopCamera();
  say("The camera is off.");
});
weights.addEventListener("change", () => void load());
void load();
// Works without the network after the first visit. Development servers have none.
if ("serviceWorker" in navigator && import.meta.env.PROD) void navigator.serviceWorker.register("./service-worker.js");
