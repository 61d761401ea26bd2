/** The interface of the runtimes (`jvcr.runtime.base`). */
import { CropRule, type Points } from "../frames.ts";
import type { LandmarkWeights } from "../constants.ts";
import { Markup } from "../markup.ts";
import type { Cells } from "../volume.ts";
import { Confidence } from "./confidence.ts";
import type { LandmarkConfidence } from "./landmark_confidence.ts";

/** A network's output for one crop. */
export interface Prediction {
  readonly cells: Cells;
  /** x, y, z in the unit frame. */
  readonly points_unit: Points;
}

/** What a network says of itself. */
export interface Description {
  /** Side of the input crops, pixels. */
  readonly image_size: number;
  readonly markup: Markup;
  readonly crop_rule: CropRule;
  readonly confidence: Confidence;
}

/** Says of itself what another description says. */
export class Described implements Description {
  readonly image_size: number;
  readonly markup: Markup;
  readonly crop_rule: CropRule;
  readonly confidence: Confidence;

  constructor({ image_size, markup, crop_rule, confidence }: Description) {
    [this.image_size, this.markup, this.crop_rule, this.confidence] = [image_size, markup, crop_rule, confidence];
  }
}

/** A loaded network. */
export interface Runtime extends Description {
  /** Crops, RGB, each `image_size` × `image_size` → one prediction each. */
  run(crops: readonly Uint8Array[]): Promise<Prediction[]>;
}

/** The description in the header of landmark weights. The matrices for single landmarks come from the file itself. */
export function description(weights: LandmarkWeights, landmarks: LandmarkConfidence | null): Description {
  return {
    image_size: weights.image_size,
    markup: new Markup(weights.markup),
    crop_rule: CropRule.from(weights.crop_rule),
    confidence: new Confidence(weights.confidence, landmarks),
  };
}
