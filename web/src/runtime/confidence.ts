/** The score of a face: the probability that it is a real face with a correct landmark box (`jvcr.runtime.confidence`). */
import { CONSTANTS, type ConfidenceValues } from "../constants.ts";
import { clip } from "../numbers.ts";
import { LandmarkConfidence } from "./landmark_confidence.ts";

const LEAST = CONSTANTS.confidence.least;
const SIZES_PX = CONSTANTS.confidence.sizes_px;

/** Logistic regressions, with the constants of one network. */
export class Confidence {
  /** With less agreement after the first forward pass, the second one is skipped. */
  readonly least_agreement: number;
  /** Visibility and standard deviation of single landmarks; null in weights that cannot tell. */
  readonly landmarks: LandmarkConfidence | null;

  constructor(
    private readonly values: ConfidenceValues,
    landmarks: LandmarkConfidence | null = null,
  ) {
    this.least_agreement = values.least_agreement;
    this.landmarks = landmarks;
  }

  /**
   * The probability, 0…1, that the box has an IoU of at least 0.4 with a true landmark box.
   *
   * @param agreement of the landmark network's volume and points.
   * @param detectorScore 0…1; null if the box was given. `sizePx` and `sigma` are then not used.
   * @param sizePx longer side of the landmarks' box, image pixels.
   * @param sigma mean standard deviation of the landmarks, in diagonals of their box; null if the weights cannot tell.
   */
  score(
    agreement: number,
    detectorScore: number | null = null,
    sizePx = Infinity,
    sigma: number | null = null,
  ): number {
    const opinion = Math.log(Math.max(agreement, LEAST));
    const logit =
      detectorScore === null
        ? this.values.alone[0] + this.values.alone[1] * opinion
        : this.logit(opinion, detectorScore, largeness(sizePx), sigma);
    return 1 / (1 + Math.exp(-clip(logit, -500, 500)));
  }

  private logit(opinion: number, detectorScore: number, share: number, sigma: number | null): number {
    const clipped = clip(detectorScore, LEAST, 1 - LEAST);
    const unsure = sigma === null ? 0 : Math.log(Math.max(sigma, LEAST));
    const terms = [1, opinion, Math.log(clipped / (1 - clipped)), unsure];
    const { small, large } = this.values;
    return terms.reduce((sum, term, i) => sum + ((1 - share) * small[i] + share * large[i]) * term, 0);
  }
}

/** 0 for faces of at most the first size, 1 from the second on; in between, linear in the logarithm. */
export function largeness(sizePx: number): number {
  const [low, high] = SIZES_PX.map(Math.log);
  return clip((Math.log(Math.max(sizePx, 1)) - low) / (high - low), 0, 1);
}
