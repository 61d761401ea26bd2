/** Proposals, and non-maximum suppression (`jvcr.detect.base`). */
import type { Image } from "../images.ts";
import type { Box } from "../frames.ts";
import { argsortDescending } from "../numbers.ts";

/** Where a face may be. */
export interface Proposal {
  /** Landmark box, image pixels. */
  readonly box: Box;
  /** Confidence, 0…1. */
  readonly score: number;
  /** How far the head's upward direction is turned clockwise in the image. */
  readonly roll_deg: number;
}

/** Proposes faces. */
export interface Detector {
  propose(image: Image): Promise<Proposal[]>;
  /** Faces that are larger than the photo. */
  closeUp(image: Image): Promise<Proposal[]>;
}

/** Non-maximum suppression: indices of the boxes to keep, best score first. */
export function nms(boxes: readonly Box[], scores: readonly number[], limit: number): number[] {
  const kept: number[] = [];
  for (const index of argsortDescending(scores)) {
    if (kept.every((better) => boxes[better].iou(boxes[index]) <= limit)) kept.push(index);
  }
  return kept;
}
