// Choosing one of several faces.

import { byId, element } from "./dom.js";
import { cutOut } from "./cutout.js";

const THUMB_PX = 96;

/**
 * Show a radio button with a small picture for each face; nothing for one face.
 * `onPick(number)` is called on a choice.
 */
export function showFaces({ picture, record, selected }, onPick) {
  const several = record.faces.length > 1;
  byId("faces").hidden = !several;
  const choices = several ? record.faces.map((face, index) => choice(face, index, picture, record)) : [];
  byId("face-row").replaceChildren(...choices.map(([label]) => label));
  choices.forEach(([, radio], index) => {
    radio.checked = index === selected;
    radio.addEventListener("change", () => onPick(index));
  });
}

/** Tick a face that was chosen elsewhere. */
export function tickFace(number) {
  const radio = byId("face-row").querySelectorAll("input")[number];
  if (radio) radio.checked = true;
}

function choice(face, index, picture, record) {
  const radio = element("input", { type: "radio", name: "face", value: String(index) });
  const thumb = element("canvas", { ariaHidden: "true" });
  cutOut(thumb, picture, record, face.box, THUMB_PX);
  const text = element("span", { textContent: `Face ${index + 1}` });
  const score = element("small", { textContent: `score ${face.score.toFixed(3)}` });
  return [element("label", {}, radio, thumb, element("span", { className: "face-name" }, text, score)), radio];
}
