/** The table of head pose and expression. */
import type { Face } from "../../src/index.ts";

const NAMES: Readonly<Record<string, string>> = {
  eye_right: "right eye, 0 closed",
  eye_left: "left eye, 0 closed",
  mouth_open: "mouth open",
  mouth_width: "mouth width",
  smile: "smile",
  brow_right: "right brow",
  brow_left: "left brow",
  jaw_drop: "jaw drop",
};

/** Fill the table; hide it without a face. */
export function showValues(table: HTMLTableElement, face: Face | null): void {
  table.hidden = !face;
  if (!face) return;
  const rows: [string, string][] = [["score", face.score.toFixed(3)]];
  if (face.pose) {
    const { yaw_deg, pitch_deg, roll_deg } = face.pose;
    rows.push(["yaw", angle(yaw_deg)], ["pitch", angle(pitch_deg)], ["roll", angle(roll_deg)]);
  }
  for (const [name, value] of Object.entries(face.expression ?? {}) as [string, number][]) {
    rows.push([NAMES[name] ?? name, number(value, 2)]);
  }
  table.tBodies[0].replaceChildren(...rows.map(([name, value]) => row(name, value)));
}

/** Without a sign before zero. */
function number(value: number, places: number): string {
  return value.toFixed(places).replace(/^-(0(\.0*)?)$/, "$1");
}

function angle(degrees: number): string {
  return `${number(degrees, 1)}°`;
}

function row(name: string, value: string): HTMLTableRowElement {
  const line = document.createElement("tr");
  const head = document.createElement("th");
  head.scope = "row";
  head.textContent = name;
  const cell = document.createElement("td");
  cell.textContent = value;
  line.append(head, cell);
  return line;
}
