/** What a prediction is (`jvcr.results`). */
import { CONSTANTS } from "./constants.ts";
import { expression, type Expression } from "./expression.ts";
import { diagonal, type Box, type Crop, type Points } from "./frames.ts";
import { farSide, headPose, meanHead, type HeadPose } from "./geometry.ts";
import type { Markup } from "./markup.ts";
import { mean, rounded } from "./numbers.ts";
import type { Trust } from "./runtime/landmark_confidence.ts";

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
  /** The probability that each landmark is visible: in the frame, and hidden by nothing. Null: the weights cannot tell. */
  readonly visibility: readonly number[] | null;
  /** Standard deviation of the error of x, and of that of y, image pixels. Null: the weights cannot tell. */
  readonly sigma_px: readonly number[] | null;
  /** Whether the mean of `sigma_px` is small for the face's size. Null without `sigma_px`. */
  readonly reliable: boolean | null;
  /** Landmarks that are probably not visible. Without `visibility`: those on the half that is turned away. */
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
export function makeFace(
  landmarks: Points,
  box: Box,
  score: number,
  crop: Crop,
  markup: Markup,
  trust: Trust | null = null,
): Face {
  if (!landmarks.flat().every(Number.isFinite)) throw new Error("a landmark is not finite");
  const known = meanHead(markup) !== null;
  const { centre_x, centre_y, side_px, size_px, rotation_deg, centre_z } = crop;
  return {
    landmarks,
    box: { x0: box.x0, y0: box.y0, x1: box.x1, y1: box.y1 },
    score,
    pose: known ? headPose(landmarks) : null,
    expression: known ? expression(landmarks) : null,
    visibility: trust?.visibility ?? null,
    sigma_px: trust?.sigma ?? null,
    reliable: trust && mean(trust.sigma) < CONSTANTS.results.reliable_sigma * diagonal(landmarks),
    hidden: trust ? trust.visibility.map((value) => value < 0.5) : farSide(landmarks, markup),
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
  if (face.visibility) values["visibility"] = face.visibility.map((value) => rounded(value, 3));
  if (face.sigma_px) {
    values["sigma_px"] = face.sigma_px.map((value) => rounded(value, 3));
    values["reliable"] = face.reliable;
  }
  return values;
}
