/** The numbers shared with Python, from the file that `tools/constants.py` writes. */
import values from "./constants.json" with { type: "json" };

export interface CropRuleValues {
  factor: number;
  /** "longer" or "width". */
  by: string;
}

export interface ConfidenceValues {
  small: number[];
  large: number[];
  alone: number[];
  least_agreement: number;
}

export interface MarkupValues {
  name: string;
  n_points: number;
  mirror: number[];
  groups: Record<string, number[]>;
  closed: string[];
  normaliser: number[];
  names: string[];
  lines: number[][] | null;
}

/** What the header of a landmark network says. */
export interface LandmarkWeights {
  sha256: string;
  image_size: number;
  crop_rule: CropRuleValues;
  confidence: ConfidenceValues;
  markup: MarkupValues;
}

/** What the header of a detector says. */
export interface DetectorWeights {
  sha256: string;
  /** Height and width of its input are multiples of this. */
  multiple: number;
}

export const WEIGHTS: Readonly<Record<string, LandmarkWeights>> = values.weights;
export const DETECTORS: Readonly<Record<string, DetectorWeights>> = values.detectors;
export const CONSTANTS = values;

/** The header of landmark weights. Throws if the name is unknown. */
export function landmarkWeights(name: string): LandmarkWeights {
  const found = Object.hasOwn(WEIGHTS, name) ? WEIGHTS[name] : undefined;
  if (!found) {
    throw new Error(`weights: "${name}" is unknown; expected one of ${Object.keys(WEIGHTS).join(", ")}`);
  }
  return found;
}
