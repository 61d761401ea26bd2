/** What a prediction is (`jvcr.results`). */
import { expression, type Expression } from "./expression.ts";
import type { Box, Crop, Points } from "./frames.ts";
import { farSide, headPose, meanHead, type HeadPose } from "./geometry.ts";
import type { Markup } from "./markup.ts";
import { rounded } from "./numbers.ts";

/** One face in one image. Plain data, which can be sent between workers. */
export interface Face {
  /** x right, y down, z away from the camera, image pixels; an integer is a pixel's centre; the mean of z is 0. */
  readonly landmarks: Points;
  /** The given box, or for a face that was found, the box around `landmarks`. */
  readonly box: BoxValues;
  /** 0…1, the probability that `box` contains a face. */
  readonly score: number;
  /** Head pose; null if the markup has none. */
  readonly pose: HeadPose | null;
  /** Eyes, mouth, smile and brows; null if the markup has none. */
  readonly expression: Expression | null;
  /** For each landmark, whether it is on the half of the face that is turned away. */
  readonly hidden: readonly boolean[];
  /** Where the network looked last. */
  readonly crop: CropValues;
}

/** Corners, image pixels. */
export interface BoxValues {
  readonly x0: number;
  readonly y0: number;
  readonly x1: number;
  readonly y1: number;
}

/** The fields of `jvcr.frames.Crop`. */
export type CropValues = Pick<Crop, "centre_x" | "centre_y" | "side_px" | "size_px" | "rotation_deg" | "centre_z">;

/** Put a face together. */
export function makeFace(landmarks: Points, box: Box, score: number, crop: Crop, markup: Markup): Face {
  if (!landmarks.flat().every(Number.isFinite)) throw new Error("a landmark is not finite");
  const known = meanHead(markup) !== null;
  const { centre_x, centre_y, side_px, size_px, rotation_deg, centre_z } = crop;
  return {
    landmarks,
    box: { x0: box.x0, y0: box.y0, x1: box.x1, y1: box.y1 },
    score,
    pose: known ? headPose(landmarks) : null,
    expression: known ? expression(landmarks) : null,
    hidden: farSide(landmarks, markup),
    crop: { centre_x, centre_y, side_px, size_px, rotation_deg, centre_z },
  };
}

/** Plain lists and numbers, rounded, as `Face.to_dict` in Python and the command line's JSON. */
export function toDict(face: Face): Record<string, unknown> {
  const { x0, y0, x1, y1 } = face.box;
  const values: Record<string, unknown> = {
    box: [x0, y0, x1, y1].map((value) => rounded(value, 3)),
    score: rounded(face.score, 4),
    landmarks: face.landmarks.map((point) => point.map((value) => rounded(value, 3))),
  };
  if (face.pose) values["pose"] = face.pose;
  if (face.expression) {
    const entries = Object.entries(face.expression) as [string, number][];
    values["expression"] = Object.fromEntries(entries.map(([name, value]) => [name, rounded(value, 3)]));
  }
  return values;
}
