// Saving results to files.

import { byId, element } from "./dom.js";
import { exportFaces, renderFaces } from "./service.js";

// What the buttons say about the formats of docs/exports.md.
const FORMATS = {
  obj: ["OBJ", "mesh"],
  ply: ["PLY", "mesh"],
  glb: ["GLB", "glTF, mesh and camera"],
  csv: ["CSV", "a row for each face"],
  "csv-points": ["CSV", "a row for each landmark"],
  parquet: ["Parquet", "a row for each face"],
  pts: [".pts", "iBUG, one face"],
  coco: ["COCO", "keypoints"],
  dlib: ["dlib", "XML"],
  npz: ["NPZ", "predictions, one face"],
};

// These hold one face a photo.
const ONE_FACE = ["pts", "npz"];

/** A copy of the service's reply without what exports do not use. `only` keeps one face. */
export function plainRecord(record, only = -1) {
  const kept = only < 0 ? record.faces : [record.faces[only]];
  return { ...record, faces: kept.map(({ volume, ...face }) => face) };
}

/**
 * Fill the list of downloads.
 * @param {{formats: string[], view: boolean}} info what the service offers.
 * @param {() => {record: object, image: Blob, options: object, selected: number}} current what is shown now.
 * @param {(work: Promise) => void} follow is given every download, to report it.
 */
export function showDownloads(info, current, follow) {
  const buttons = [button("json", "JSON", "as jvcr predict writes it", () => saveJson(current()))];
  for (const format of info.formats) {
    const [name, note] = FORMATS[format] ?? [format, ""];
    buttons.push(button(format, name, note, () => saveExport(current(), format)));
  }
  buttons.push(
    button("draw", "JPEG", "the photo with landmarks", () => saveRendering(current(), "draw", "_landmarks.jpg")),
  );
  if (info.view) {
    buttons.push(
      button("view", "HTML", "a page that shows the 3D shape", () => saveRendering(current(), "view", "_3d.html")),
    );
  }
  byId("downloads").replaceChildren(...buttons);

  function button(format, name, note, act) {
    const made = element(
      "button",
      { type: "button", className: "download" },
      element("strong", { textContent: name }),
      element("span", { textContent: note }),
    );
    made.dataset.format = format;
    made.addEventListener("click", () => follow(act()));
    return made;
  }
}

async function saveJson({ record }) {
  const text = JSON.stringify(plainRecord(record)) + "\n";
  return save(new Blob([text], { type: "application/json" }), `${stem(record)}.jsonl`);
}

async function saveExport({ record, selected }, format) {
  const sent = plainRecord(record, ONE_FACE.includes(format) ? selected : -1);
  const { blob, name } = await exportFaces(sent, format);
  return save(blob, name ?? `${stem(record)}.${format}`);
}

async function saveRendering({ record, image, options }, kind, ending) {
  return save(await renderFaces(kind, image, options), stem(record) + ending);
}

/** The photo's name without its ending. */
const stem = (record) => record.image.replace(/\.[^.]*$/, "") || "photo";

function save(blob, name) {
  const link = element("a", { href: URL.createObjectURL(blob), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  // The browser reads the address after the click has returned.
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  return name;
}
