/** A second opinion on doubtful proposals: each is seen once more, upright and from near (`jvcr.detect.second_opinion`). */
import { CONSTANTS } from "../constants.ts";
import { borders, Box, Crop, CropRule, middleOf } from "../frames.ts";
import { extract, type Image } from "../images.ts";
import { clip } from "../numbers.ts";
import type { DetectorCells } from "../runtime/onnx.ts";
import type { Proposal } from "./base.ts";
import { decode } from "./cells.ts";

const SETTINGS = CONSTANTS.second_opinion;
const RULE = CropRule.from({ factor: SETTINGS.factor, by: "longer" });

/** The proposals with new scores, best first: the doubtful ones get the geometric mean of the odds of both opinions. */
export async function withSecondOpinions(
  cells: (picture: Image) => Promise<DetectorCells>,
  image: Image,
  proposals: readonly Proposal[],
): Promise<Proposal[]> {
  const { sure_score: sure, hopeless_score: hopeless } = SETTINGS;
  const least = proposals.some(({ score }) => score >= sure) ? hopeless : 0;
  const scored: Proposal[] = [];
  for (const proposal of proposals) {
    const doubtful = least <= proposal.score && proposal.score < sure && !isCut(proposal.box, image);
    scored.push(doubtful ? await judged(cells, image, proposal) : proposal);
  }
  // `sort` is stable.
  return scored.sort((a, b) => b.score - a.score);
}

/** Whether the frame cuts off a twentieth of the box or more. The network does not know such faces in a tile. */
function isCut(box: Box, image: Image): boolean {
  const [[left, right], [top, bottom]] = [borders(image.width), borders(image.height)];
  const beyond = Math.max(left - box.x0, top - box.y0, box.x1 - right, box.y1 - bottom);
  return beyond > SETTINGS.cut_share * box.longer;
}

async function judged(
  cells: (picture: Image) => Promise<DetectorCells>,
  image: Image,
  proposal: Proposal,
): Promise<Proposal> {
  const side = SETTINGS.tile;
  const crop = Crop.fromBox(proposal.box, side, -proposal.roll_deg, RULE);
  const tile: Image = { width: side, height: side, channels: 3, data: extract(image, crop) };
  const odds = logit(proposal.score) + logit(opinion(await cells(tile), proposal.box));
  return { ...proposal, score: 1 / (1 + Math.exp(-odds / 2)) };
}

/** The score of the face in the middle of the tile. */
function opinion(cells: DetectorCells, box: Box): number {
  const { tile, factor, least_score, same_place } = SETTINGS;
  const scale = tile / factor / 2 / box.longer;
  const [middle, halfWidth, halfHeight] = [middleOf(tile), box.width * scale, box.height * scale];
  const expected = new Box(middle - halfWidth, middle - halfHeight, middle + halfWidth, middle + halfHeight);
  const there = decode(cells, least_score).filter((found) => found.box.iou(expected) >= same_place);
  return Math.max(least_score, ...there.map(({ score }) => score));
}

function logit(score: number): number {
  const clipped = clip(score, SETTINGS.least_score, 1 - SETTINGS.least_score);
  return Math.log(clipped / (1 - clipped));
}
