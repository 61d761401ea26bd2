/** Rigid geometry on landmarks: head pose, and which landmarks are turned away (`jvcr.geometry`). */
import { CONSTANTS } from "./constants.ts";
import type { Points } from "./frames.ts";
import { MARKUP_68, type Markup } from "./markup.ts";
import { clip, degrees } from "./numbers.ts";
import { nearestRotation, times, type Matrix3 } from "./rotation.ts";

/** Rotation of the head relative to one that looks straight into the camera. The fields are those of `HeadPose`. */
export interface HeadPose {
  /** Canonical head → camera, both x right, y down, z away from the camera. */
  readonly rotation: Matrix3;
  /** -180…180, positive when the person turns to their left (the nose moves to the right of the image). */
  readonly yaw_deg: number;
  /** -90…90, positive when the person looks up. */
  readonly pitch_deg: number;
  /** -180…180, positive when the head is tilted clockwise as seen in the image of a frontal face. */
  readonly roll_deg: number;
}

/** The mean head that looks straight into the camera, symmetric, zero mean, outer eye distance 1. */
export const MEAN_SHAPE_68 = CONSTANTS.geometry.mean_shape_68 as unknown as Points;

const LEVELLED = CONSTANTS.geometry.levelled as unknown as Matrix3;

/** The rotation of the similarity that aligns `source` with `target` (Umeyama 1991), never a reflection. */
export function align(source: Points, target: Points): Matrix3 {
  const [x, y] = [centred(source), centred(target)];
  const product = [0, 1, 2].map((row) =>
    [0, 1, 2].map((column) => x.reduce((sum, point, n) => sum + y[n][row] * point[column], 0)),
  );
  return nearestRotation(product as unknown as Matrix3);
}

function centred(points: Points): number[][] {
  const middle = [0, 1, 2].map((axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length);
  return points.map((point) => point.map((value, axis) => value - middle[axis]));
}

/** The mean head's landmarks in a markup; null if the markup is not that of the 68 points. */
export function meanHead(markup: Markup): Points | null {
  return markup.name === MARKUP_68.name && markup.n_points === MARKUP_68.n_points ? MEAN_SHAPE_68 : null;
}

/** Head pose of 68 landmarks in image pixels. Throws for another number of points. */
export function headPose(landmarks: Points): HeadPose {
  if (landmarks.length !== MEAN_SHAPE_68.length) {
    throw new RangeError(`head pose needs ${MEAN_SHAPE_68.length} landmarks; got ${landmarks.length}`);
  }
  return fromRotation(align(MEAN_SHAPE_68, landmarks));
}

/** The angles of a rotation, yaw first. */
export function fromRotation(rotation: Matrix3): HeadPose {
  const r = rotation;
  return {
    rotation,
    yaw_deg: degrees(Math.atan2(-r[0][2], r[2][2])),
    pitch_deg: degrees(Math.asin(clip(r[1][2], -1, 1))),
    roll_deg: degrees(Math.atan2(r[1][0], r[1][1])),
  };
}

/** How far the head's own upward direction is turned clockwise in the image. */
export function tiltDeg(rotation: Matrix3): number {
  return degrees(Math.atan2(-rotation[0][1], rotation[1][1]));
}

/** How far a head is tilted clockwise in the image; crops are rotated by it. */
export function cropTiltDeg(landmarks: Points): number {
  return tiltDeg(times(headPose(landmarks).rotation, LEVELLED));
}

/** Whether each landmark is on the half of the face that is turned away: clearly behind its mirror partner. */
export function farSide(landmarks: Points, markup: Markup = MARKUP_68): boolean[] {
  const [first, second] = markup.normaliser.map((index) => landmarks[index]);
  const eyes = Math.hypot(first[0] - second[0], first[1] - second[1], first[2] - second[2]);
  return landmarks.map((point, index) => point[2] - landmarks[markup.mirror[index]][2] > FAR * eyes);
}

/** In distances of the outer eye corners. */
const FAR = 0.45;
