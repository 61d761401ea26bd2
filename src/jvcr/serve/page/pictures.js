// Photos that come in: chosen, dropped, pasted, or the sample.

import { byId } from "./dom.js";

const SAMPLE = new URL("./astronaut.jpg", import.meta.url);

/** Call `take(blob, name)` with every photo, and `refuse(text)` with what is none. */
export function listenForPhotos(take, refuse) {
  listenForFile(take);
  listenForDrop(take, refuse);
  listenForPaste(take);
  byId("sample").addEventListener("click", () => takeSample(take, refuse));
}

async function takeSample(take, refuse) {
  const answer = await fetch(SAMPLE).catch(() => null);
  if (answer?.ok) take(await answer.blob(), "astronaut.jpg");
  else refuse("The server does not send the sample. Check that jvcr serve is still running, then try again.");
}

function listenForFile(take) {
  const input = byId("file");
  input.addEventListener("change", () => {
    const [file] = input.files;
    if (file) take(file, file.name);
    // So that the same file can be chosen again.
    input.value = "";
  });
}

function listenForDrop(take, refuse) {
  const zone = byId("drop");
  // Counts nested elements, because entering a child leaves its parent.
  let inside = 0;
  const mark = (change) => {
    inside = Math.max(0, inside + change);
    zone.classList.toggle("over", inside > 0);
  };
  document.addEventListener("dragenter", () => mark(1));
  document.addEventListener("dragleave", () => mark(-1));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(-inside);
    const [file] = event.dataTransfer.files;
    if (file) take(file, file.name);
    else refuse("That was no file. Save the picture first, then drop the file here.");
  });
}

function listenForPaste(take) {
  document.addEventListener("paste", (event) => {
    const [file] = event.clipboardData?.files ?? [];
    if (!file) return;
    event.preventDefault();
    take(file, file.name || "pasted");
  });
}
