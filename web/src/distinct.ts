/** Which results show the same face (`jvcr.distinct`). */
import { CONSTANTS } from "./constants.ts";
import type { Box, Points } from "./frames.ts";
import type { Markup } from "./markup.ts";
import { argsortDescending, mean } from "./numbers.ts";

const { shared_distance: SHARED_DISTANCE, features: FEATURES } = CONSTANTS.distinct;

type Place = readonly [number, number];

/**
 * Non-maximum suppression of faces: indices of the results to keep, best score first.
 *
 * A result is dropped when its box's IoU with a better one's is over `maxIou`, or when the two share an eye, the nose
 * or the mouth.
 */
export function distinct(
  pointsImg: readonly Points[],
  boxes: readonly Box[],
  scores: readonly number[],
  markup: Markup,
  maxIou: number,
): number[] {
  const kinds = features(markup);
  const places = pointsImg.map((points) => kinds.map((kind) => kind.map((group) => centreOf(points, group))));
  const same = (a: number, b: number): boolean =>
    boxes[a].iou(boxes[b]) > maxIou || shareFeature(places[a], places[b], reachPx(boxes[a], boxes[b]));
  const kept: number[] = [];
  for (const index of argsortDescending(scores)) {
    if (!kept.some((other) => same(index, other))) kept.push(index);
  }
  return kept;
}

function reachPx(a: Box, b: Box): number {
  const sizes = [a, b].map((box) => Math.sqrt(box.width * box.height));
  return SHARED_DISTANCE * Math.sqrt(sizes[0] * sizes[1]);
}

function shareFeature(a: readonly Place[][], b: readonly Place[][], reach: number): boolean {
  return a.some((kind, k) =>
    kind.some((one) => b[k].some((two) => Math.hypot(one[0] - two[0], one[1] - two[1]) < reach)),
  );
}

function centreOf(points: Points, group: readonly number[]): Place {
  return [mean(group.map((i) => points[i][0])), mean(group.map((i) => points[i][1]))];
}

/** For each kind of feature that the markup has, the landmarks of each feature of that kind. */
function features(markup: Markup): (readonly number[])[][] {
  const [eyes, nose, mouth] = FEATURES.map((words) =>
    Object.entries(markup.groups)
      .filter(([name]) => words.some((word) => name.split("_").includes(word)))
      .map(([, members]) => members),
  );
  // A nose or a mouth often has several groups, but it is one feature.
  const joined = [nose, mouth].filter((part) => part.length).map((part) => [part.flat()]);
  return eyes.length ? [eyes, ...joined] : joined;
}
