/** Results as files: the JSON of `jvcr predict`, and the CSV with a line for each landmark of `jvcr convert`. */
import { MARKUP_68, toDict, type Face } from "../../src/index.ts";
import { rounded } from "../../src/numbers.ts";

export interface Shown {
  /** Name of the photo. */
  readonly image: string;
  readonly width: number;
  readonly height: number;
  readonly faces: readonly Face[];
}

export function asJson({ image, width, height, faces }: Shown): string {
  return `${JSON.stringify({ image, width, height, faces: faces.map(toDict) })}\n`;
}

const COLUMNS = [
  ...["image", "width", "height", "face", "score", "x0", "y0", "x1", "y1", "yaw_deg", "pitch_deg", "roll_deg"],
  ...["landmark", "name", "x", "y", "z"],
];

export function asCsv({ image, width, height, faces }: Shown): string {
  const lines = faces.flatMap((face, number) => {
    const { x0, y0, x1, y1 } = face.box;
    const { yaw_deg, pitch_deg, roll_deg } = face.pose ?? { yaw_deg: "", pitch_deg: "", roll_deg: "" };
    const angles = [yaw_deg, pitch_deg, roll_deg].map((angle) => (angle === "" ? "" : rounded(angle as number, 2)));
    const sides = [x0, y0, x1, y1].map((side) => rounded(side, 3));
    const start = [quoted(image), width, height, number + 1, rounded(face.score, 4), ...sides, ...angles];
    return face.landmarks.map((point, index) =>
      [...start, index, MARKUP_68.names[index], ...point.map((value) => rounded(value, 3))].join(","),
    );
  });
  return [COLUMNS.join(","), ...lines, ""].join("\n");
}

/** A field of a CSV file. */
function quoted(text: string): string {
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Hand a text to the browser as a download. */
export function save(name: string, text: string, type: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => {
    URL.revokeObjectURL(link.href);
  }, 1000);
}
