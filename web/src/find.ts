/** Face search: a detector proposes boxes, the landmark network verifies and refines them (`jvcr.find`). */
import { CONSTANTS } from "./constants.ts";
import { nms, type Detector, type Proposal } from "./detect/base.ts";
import { distinct } from "./distinct.ts";
import { Box, Crop } from "./frames.ts";
import type { Image } from "./images.ts";
import { locate, meanSigma, refined, turnedDeg, uprightCrop, type LocatedFace } from "./locate.ts";
import type { Runtime } from "./runtime/base.ts";

/** Which candidates get another forward pass, and which are kept. */
export const DEFAULT_POLICY = CONSTANTS.find;

/** A face that was found. */
export interface FoundFace {
  /** Result of the last pass. */
  readonly located: LocatedFace;
  /** Around its landmarks. */
  readonly box: Box;
  /** The probability that it is a face. */
  readonly score: number;
}

interface Candidate {
  readonly face: LocatedFace;
  readonly proposal: Proposal;
}

interface Seen extends Candidate {
  /** The upright crop around the result. */
  readonly upright: Crop;
}

export interface FinderSettings {
  readonly refine: boolean;
  readonly min_score: number;
}

/** Finds the faces of photos. `runtime` runs all passes but the last, `lastLook` the last one. */
export class FaceFinder {
  constructor(
    private readonly runtime: Runtime,
    private readonly lastLook: Runtime,
    private readonly detector: Detector,
    private readonly settings: FinderSettings,
  ) {}

  /**
   * The faces of a photo, best score first.
   *
   * @param known boxes of faces that are known already: proposals on them are not looked at.
   */
  async faces(image: Image, known: readonly Box[] = []): Promise<FoundFace[]> {
    const proposals = (await this.detector.propose(image)).filter(({ box }) => !isOn(box, known));
    const likely = proposals.filter((proposal) => proposal.score >= DEFAULT_POLICY.likely_score);
    const candidates = await this.lookedAt(image, likely);
    let faces = this.kept(image, candidates);
    if (known.length) return faces;
    // Skip unlikely proposals when a face was already found; this saves forward passes.
    if (likely.length < proposals.length && !faces.some((face) => face.score >= DEFAULT_POLICY.min_score)) {
      const unlikely = proposals.filter((proposal) => !likely.includes(proposal));
      candidates.push(...(await this.lookedAt(image, unlikely)));
      faces = this.kept(image, candidates);
    }
    if (!faces.length) faces = this.kept(image, await this.lookedAt(image, await this.detector.closeUp(image)));
    return faces;
  }

  private kept(image: Image, candidates: readonly Candidate[]): FoundFace[] {
    const faces = candidates
      .map(({ face, proposal }): FoundFace => {
        return { located: face, box: Box.around(face.points_img), score: this.score(face, proposal) };
      })
      .filter(({ box, score }) => score >= this.settings.min_score && box.meets(image.width, image.height));
    const best = distinct(
      faces.map((face) => face.located.points_img),
      faces.map((face) => face.box),
      faces.map((face) => face.score),
      this.runtime.markup,
      DEFAULT_POLICY.same_face_iou,
    );
    return best.map((index) => faces[index]);
  }

  /** The result of the last pass for each proposal that may still reach the minimum score. */
  private async lookedAt(image: Image, proposals: readonly Proposal[]): Promise<Candidate[]> {
    const { image_size: size, crop_rule: rule } = this.runtime;
    const crops = proposals.map(({ box, roll_deg }) => Crop.fromBox(box, size, -roll_deg, rule));
    if (!this.settings.refine) {
      const faces = await locate(this.lastLook, image, crops);
      return faces.map((face, index) => ({ face, proposal: proposals[index] }));
    }
    const first = await locate(this.runtime, image, crops);
    const seen = await this.seenUpright(image, crops, this.worthAnother(image, first, proposals));
    const hopeful = seen.filter((one) => this.mayReach(one, DEFAULT_POLICY.may_grow, DEFAULT_POLICY.may_grow));
    const last = await this.last(image, hopeful);
    return last.map((face, index) => ({ face, proposal: hopeful[index].proposal }));
  }

  /** The results of the first pass that look like faces, no two of one face. */
  private worthAnother(
    image: Image,
    first: readonly LocatedFace[],
    proposals: readonly Proposal[],
  ): (Seen & { index: number })[] {
    const least = this.runtime.confidence.least_agreement;
    const kept = first
      .map((face, index) => ({ face, index, box: Box.around(face.points_img) }))
      .filter(({ face, box }) => face.score >= least && box.meets(image.width, image.height));
    const different = nms(
      kept.map((one) => one.box),
      kept.map((one) => one.face.score),
      DEFAULT_POLICY.first_look_iou,
    );
    return different.map((place) => {
      const { face, index } = kept[place];
      return { face, index, proposal: proposals[index], upright: uprightCrop(this.runtime, face.points_img) };
    });
  }

  /** One more first pass for heads that were rotated in the crop: they score low there. */
  private async seenUpright(
    image: Image,
    crops: readonly Crop[],
    seen: readonly (Seen & { index: number })[],
  ): Promise<Seen[]> {
    const results: Seen[] = [];
    for (const one of seen) {
      const turned = turnedDeg(crops[one.index], one.upright) > DEFAULT_POLICY.turned_deg;
      if (!turned || !this.mayReach(one, DEFAULT_POLICY.may_grow_turned, DEFAULT_POLICY.may_settle_turned)) {
        results.push(one);
        continue;
      }
      const [face] = await locate(this.runtime, image, [one.upright]);
      results.push({ face, proposal: one.proposal, upright: uprightCrop(this.runtime, face.points_img) });
    }
    return results;
  }

  private last(image: Image, seen: readonly Seen[]): Promise<LocatedFace[]> {
    const faces = seen.map((one) => one.face);
    const wanted = seen.map((one) => one.upright);
    return refined(this.lastLook, image, faces, wanted);
  }

  private mayReach({ face, proposal }: Candidate, grown: number, settled: number): boolean {
    return this.score(face, proposal, grown, settled) >= this.settings.min_score;
  }

  /** The face's score, with its agreement multiplied by one factor, and its σ divided by another. */
  private score(face: LocatedFace, proposal: Proposal, grown = 1, settled = 1): number {
    const box = Box.around(face.points_img);
    const sigma = meanSigma(this.runtime, face);
    return this.runtime.confidence.score(
      grown * face.score,
      proposal.score,
      box.longer,
      sigma === null ? null : sigma / settled,
    );
  }
}

/** Whether the middle of the box lies in a known box. */
function isOn(box: Box, known: readonly Box[]): boolean {
  const [x, y] = box.centre;
  return known.some(({ x0, y0, x1, y1 }) => x0 <= x && x <= x1 && y0 <= y && y <= y1);
}
