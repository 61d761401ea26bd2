// The result on the page: one state, shown by the photo, the 3D view, the table and the numbers.

import { byId } from "./dom.js";
import { showFaces, tickFace } from "./faces.js";
import { PhotoView } from "./photo.js";
import { showReadings } from "./readings.js";
import { LandmarkTable } from "./table.js";

// The photo opens on the face if the face takes less than this share of it.
const SMALL_FACE = 0.35;

export class Result {
  /** What is shown: `{picture, record, image, options, selected}`, or null. */
  shown = null;
  #scene = null;
  #table = new LandmarkTable((landmark) => this.#mark(landmark));
  #photo = new PhotoView(byId("photo"), {
    onPick: (face) => this.select(face),
    onPoint: (landmark, at) => this.#mark(landmark, at),
  });

  constructor() {
    for (const radio of document.querySelectorAll("input[name=extent]")) {
      radio.addEventListener("change", () => (this.#photo.extent = radio.value));
    }
    this.#startScene();
  }

  /** Put the volumes of a second reply on the faces that are shown. */
  addVolumes(record) {
    record.faces.forEach(({ volume }, index) => (this.shown.record.faces[index].volume = volume));
    this.#scene?.show(this.shown);
  }

  async #startScene() {
    try {
      const { Scene } = await import("./scene.js");
      this.#scene = new Scene(byId("shape"));
      this.#listenToScene();
      this.#scene.show(this.shown);
    } catch (error) {
      console.warn(error);
      byId("no-webgl").hidden = false;
      byId("shape").hidden = true;
    }
  }

  #listenToScene() {
    for (const box of document.querySelectorAll("[data-layer]")) {
      const apply = () => {
        this.#scene.toggle(box.dataset.layer, box.checked);
        if (box.dataset.layer === "axes") byId("axes-hint").hidden = !box.checked;
      };
      box.addEventListener("change", apply);
      // A reloaded page may have kept its ticks.
      apply();
    }
    for (const button of document.querySelectorAll("[data-view]")) {
      button.addEventListener("click", () => this.#scene.look(button.dataset.view));
    }
  }

  get table() {
    return this.#table;
  }

  /** Show a new photo with its faces; the best face is selected. */
  show(shown) {
    this.#show(shown);
    this.#chooseExtent();
    showFaces(this.shown, (face) => this.select(face));
  }

  /** Show the next frame of a live picture; the number of the selected face stays if there are as many faces. */
  showFrame(shown) {
    const faces = shown.record.faces.length;
    const before = this.shown?.record.faces.length;
    const selected = faces === before ? this.shown.selected : 0;
    this.#show({ ...shown, selected });
    if (faces !== before || before === undefined) showFaces(this.shown, (face) => this.select(face));
  }

  #show(shown) {
    this.shown?.picture?.close();
    this.shown = { selected: 0, ...shown };
    byId("result").hidden = false;
    document.body.classList.add("has-result");
    this.#refresh();
  }

  select(face) {
    this.shown.selected = face;
    tickFace(face);
    this.#refresh();
  }

  #refresh() {
    const { record, selected } = this.shown;
    const face = record.faces[selected];
    this.#photo.show(this.shown);
    this.#scene?.show(this.shown);
    this.#table.show(face);
    showReadings(face);
    describe(this.shown);
    document.body.classList.toggle("no-face", !face);
  }

  #chooseExtent() {
    const { record } = this.shown;
    const [face] = record.faces;
    const share = face
      ? Math.max(face.box[2] - face.box[0], face.box[3] - face.box[1]) / Math.max(record.width, record.height)
      : 1;
    const extent = record.faces.length === 1 && share < SMALL_FACE ? "face" : "photo";
    document.querySelector(`input[name=extent][value=${extent}]`).checked = true;
    this.#photo.extent = extent;
  }

  /** Point out a landmark everywhere. `at` is the place of a tip on the photo. */
  #mark(landmark, at) {
    this.#photo.mark(landmark);
    this.#scene?.mark(landmark);
    this.#table.mark(landmark);
    showTip(this.#table.label(landmark), at);
  }
}

function showTip(text, at) {
  const tip = byId("tip");
  tip.hidden = !text || !at;
  if (tip.hidden) return;
  tip.textContent = text;
  tip.style.left = `${at[0]}px`;
  tip.style.top = `${at[1]}px`;
}

/** What the two pictures show, for screen readers. */
function describe({ record, selected }) {
  const count = record.faces.length;
  const photo = count
    ? `Photo with landmarks on ${count === 1 ? "one face" : `${count} faces`}`
    : "Photo without a face";
  const which = count > 1 ? `; face ${selected + 1} is selected` : "";
  byId("photo").setAttribute("aria-label", `${photo}${which}.`);
}
