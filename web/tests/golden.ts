/** The golden cases that `tools/golden.py` wrote. */
import { existsSync, readFileSync } from "node:fs";
import type { Image } from "../src/images.ts";
import type { Point } from "../src/frames.ts";
import type { Face } from "../src/results.ts";
import type { LandmarkerSettings } from "../src/landmarker.ts";

export const FOLDER = new URL("../build/golden/", import.meta.url);

export interface Size {
  width: number;
  height: number;
}

export type PredictionCase = {
  picture: string;
  settings?: LandmarkerSettings;
  detect_size?: number;
  boxes?: [number, number, number, number][];
  faces: Face[];
};

export type PixelCase = Size & { file: string; picture: string; crop?: Face["crop"] };

export interface Golden {
  pictures: Record<string, Size>;
  predictions: PredictionCase[];
  jpegs: { file: string; faces: Face[] }[];
  pixels: PixelCase[];
  shapes: (Pick<Face, "pose" | "expression" | "hidden"> & { landmarks: Point[] })[];
  smoothing: { strength: number; points: Point[][]; times: number[]; filtered: Point[][] }[];
  tracking: Size & {
    detect_every_s: number;
    searches: number;
    frames: { file: string; time_s: number; faces: { identity: number; raw: Point[]; face: Face }[] }[];
  };
}

export function readGolden(): Golden {
  const path = new URL("golden.json", FOLDER);
  if (!existsSync(path)) throw new Error(`${path.pathname} is missing; run \`npm run golden\` first`);
  return JSON.parse(readFileSync(path, "utf8")) as Golden;
}

export function readRgb(file: string, { width, height }: Size): Image {
  const data = new Uint8Array(readFileSync(new URL(file, FOLDER)));
  return { width, height, channels: 3, data };
}

/** Largest distance between two sets of landmarks, pixels. */
export function largestDistance(a: readonly Readonly<Point>[], b: readonly Readonly<Point>[]): number {
  if (a.length !== b.length) return Infinity;
  return Math.max(...a.map((p, i) => Math.hypot(p[0] - b[i][0], p[1] - b[i][1], p[2] - b[i][2])));
}

/** The face whose landmarks are nearest. */
export function nearestFace(face: Face, others: readonly Face[]): Face {
  const gaps = others.map((other) => largestDistance(face.landmarks, other.landmarks));
  return others[gaps.indexOf(Math.min(...gaps))];
}
