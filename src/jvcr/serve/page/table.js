// The table of landmarks.

import { byId, element } from "./dom.js";
import { hiddenPoints } from "./look.js";
import { markupOf } from "./markup.js";

const HEADER = ["landmark", "name", "x", "y", "z", "seen"];
const seen = (hidden) => (hidden ? "hidden" : "yes");
// A true minus sign is as wide as a digit; zero has none.
const fixed = (value) => value.toFixed(1).replace(/^-0\.0$/, "0.0").replace("-", "−");

export class LandmarkTable {
  #body = byId("rows");
  #face = null;

  /** `onPoint(landmark)` is called with the landmark under the pointer, or -1. */
  constructor(onPoint) {
    this.#body.addEventListener("pointerover", (event) => onPoint(rowNumber(event)));
    this.#body.addEventListener("pointerleave", () => onPoint(-1));
  }

  show(face) {
    this.#face = face ?? null;
    const rows = face ? cells(face).map((row) => [row[0], row[1], ...row.slice(2, 5).map(fixed), row[5]]) : [];
    while (this.#body.rows.length > rows.length) this.#body.deleteRow(-1);
    rows.forEach((row, index) => this.#fill(index, row));
  }

  /** Rows are reused, so that a live picture does not rebuild the table. */
  #fill(index, row) {
    const line = this.#body.rows[index] ?? this.#body.appendChild(newRow());
    row.forEach((value, column) => {
      const text = String(value);
      if (line.cells[column].textContent !== text) line.cells[column].textContent = text;
    });
    line.classList.toggle("away", row[5] === seen(true));
  }

  mark(landmark) {
    this.#body.querySelector(".marked")?.classList.remove("marked");
    if (landmark >= 0) this.#body.rows[landmark]?.classList.add("marked");
  }

  /** Number, name and place of a landmark in one line; empty for -1. */
  label(landmark) {
    if (!this.#face || landmark < 0) return "";
    const [number, name, ...place] = cells(this.#face)[landmark];
    return `${number} ${name}: ${place.slice(0, 3).map(fixed).join(", ")}`;
  }

  /** The table as text for a spreadsheet: columns between tabs, and every digit of the service. */
  get text() {
    if (!this.#face) return "";
    return [HEADER, ...cells(this.#face)].map((row) => row.join("\t")).join("\n") + "\n";
  }
}

function cells(face) {
  const markup = markupOf(face);
  const hidden = hiddenPoints(face, markup);
  return face.landmarks.map(([x, y, z], index) => [index, markup.names[index], x, y, z, seen(hidden[index])]);
}

function newRow() {
  const name = element("th", { scope: "row" });
  const others = Array.from({ length: 5 }, () => element("td"));
  return element("tr", {}, others[0], name, ...others.slice(1));
}

function rowNumber(event) {
  return event.target.closest("tr")?.sectionRowIndex ?? -1;
}

/** Put text on the clipboard. Pages without https have only the older way. */
export async function copyText(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = element("textarea", { value: text, className: "hidden-input" });
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  if (!copied) throw new Error("The browser did not allow copying. Use a download instead.");
}
