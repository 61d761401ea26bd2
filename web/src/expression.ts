/** Expression from 68 landmarks: openings of eyes and mouth, smile, height of the brows (`jvcr.expression`). */
import { CONSTANTS } from "./constants.ts";
import type { Point, Points } from "./frames.ts";

/** Scales where 0 is the usual face and 1 as far as faces on photos usually go. Right and left are the person's. */
export interface Expression {
  readonly eye_right: number;
  readonly eye_left: number;
  readonly mouth_open: number;
  readonly mouth_width: number;
  readonly smile: number;
  readonly brow_right: number;
  readonly brow_left: number;
  readonly jaw_drop: number;
}

type ScaleName = keyof typeof CONSTANTS.expression.scales;

/** A part over a whole, on its scale; NaN if the whole is zero. */
function scaled(name: ScaleName, part: number, of: number): number {
  const { zero, one } = CONSTANTS.expression.scales[name];
  return ((of > 0 ? part / of : NaN) - zero) / (one - zero);
}

function distance(a: Readonly<Point>, b: Readonly<Point>): number {
  return Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
}

function middle(a: Readonly<Point>, b: Readonly<Point>): Point {
  return [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2, (a[2] + b[2]) / 2];
}

/** The expression of one face. Throws unless there are 68 points. */
export function expression(p: Points): Expression {
  if (p.length !== 68) throw new RangeError(`${p.length} landmarks: expression needs 68`);
  const whole = distance(p[36], p[45]);
  const width = scaled("mouth_width", distance(p[48], p[54]), whole);
  return {
    eye_right: scaled("eye", distance(p[37], p[41]) + distance(p[38], p[40]), 2 * distance(p[36], p[39])),
    eye_left: scaled("eye", distance(p[43], p[47]) + distance(p[44], p[46]), 2 * distance(p[42], p[45])),
    mouth_open: scaled("mouth_open", distance(p[62], p[66]), distance(p[60], p[64])),
    mouth_width: width,
    smile: (width + cornerLift(p, whole)) / 2,
    brow_right: scaled("brow", distance(p[19], middle(p[36], p[39])), whole),
    brow_left: scaled("brow", distance(p[24], middle(p[45], p[42])), whole),
    jaw_drop: scaled("jaw_drop", distance(p[33], p[8]), whole),
  };
}

/** How far the corners of the mouth are above the upper lip's middle, on its scale. */
function cornerLift(p: Points, whole: number): number {
  const up = [0, 1, 2].map((axis) => p[27][axis] - p[33][axis]);
  const corners = middle(p[48], p[54]);
  const lip = middle(p[51], p[62]);
  const along = up.reduce((sum, value, axis) => sum + (corners[axis] - lip[axis]) * value, 0);
  return scaled("corner_lift", along, Math.hypot(...up) * whole);
}
