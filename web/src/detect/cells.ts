/** Decoding: from the detector network's cells to boxes (`jvcr.detect.cells`). */
import { Box, rescaled } from "../frames.ts";
import { clip, degrees } from "../numbers.ts";
import type { DetectorCells } from "../runtime/onnx.ts";

/** Pixels a cell. */
export const STRIDE = 8;

/** A face of one picture, before NMS. */
export interface Found {
  readonly box: Box;
  readonly score: number;
  readonly roll_deg: number;
}

/** The faces of one picture: cells whose heat is at least that of their eight neighbours. */
export function decode(cells: DetectorCells, minScore: number): Found[] {
  const { data, rows, columns } = cells;
  const found: Found[] = [];
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      if (data[y * columns + x] >= minScore && isHottest(cells, x, y)) found.push(faceAt(cells, x, y));
    }
  }
  return found;
}

function isHottest({ data, rows, columns }: DetectorCells, x: number, y: number): boolean {
  const heat = data[y * columns + x];
  for (let ny = Math.max(0, y - 1); ny <= Math.min(rows - 1, y + 1); ny++) {
    for (let nx = Math.max(0, x - 1); nx <= Math.min(columns - 1, x + 1); nx++) {
      if (data[ny * columns + nx] > heat) return false;
    }
  }
  return true;
}

function faceAt({ data, rows, columns }: DetectorCells, x: number, y: number): Found {
  const read = (plane: number): number => data[(plane * rows + y) * columns + x];
  const centre = [x + read(1), y + read(2)];
  const half = [read(3), read(4)].map((logarithm) => Math.exp(clip(logarithm, -6, 6)) / 2);
  const side = (axis: number, sign: number): number => rescaled(centre[axis] + sign * half[axis], STRIDE);
  return {
    box: new Box(side(0, -1), side(1, -1), side(0, 1), side(1, 1)),
    score: read(0),
    roll_deg: degrees(Math.atan2(read(6), read(5))),
  };
}
