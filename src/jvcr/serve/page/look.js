// How landmarks look: the same colours and the same rule for hollow points as jvcr/draw/landmarks.py.

const NEAR = [255, 214, 10];
const MIDDLE = [255, 55, 95];
const FAR = [40, 90, 255];

// A landmark is hidden if it lies this share of the outer eye distance behind its mirror partner.
const BEHIND = 0.45;

const mix = (a, b, share) => a.map((value, i) => value + (b[i] - value) * share);

/** RGB (0…255) of each landmark: near yellow, far blue, over the face's own range of depth. */
export function depthColours(landmarks) {
  const depths = landmarks.map((point) => point[2]);
  const nearest = Math.min(...depths);
  const range = Math.max(Math.max(...depths) - nearest, 1e-6);
  return depths.map((depth) => {
    const share = (depth - nearest) / range;
    return share < 0.5 ? mix(NEAR, MIDDLE, share * 2) : mix(MIDDLE, FAR, share * 2 - 1);
  });
}

/** Which landmarks are probably not visible. Without visibilities: those on the half that is turned away. */
export function hiddenPoints({ landmarks, visibility }, markup) {
  if (visibility) return visibility.map((value) => value < 0.5);
  if (!markup.mirror) return landmarks.map(() => false);
  const [a, b] = markup.normaliser.map((index) => landmarks[index]);
  const eyes = Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
  return landmarks.map((point, i) => point[2] - landmarks[markup.mirror[i]][2] > BEHIND * eyes);
}

/** The colour of a line: the mean of its ends. */
export const between = (a, b) => mix(a, b, 0.5);

export const css = (rgb) => `rgb(${rgb.map(Math.round).join(" ")})`;

/** Indices from far to near, so that near ones are drawn over far ones. `depthOf` takes an item. */
export function farFirst(items, depthOf) {
  return [...items].sort((a, b) => depthOf(b) - depthOf(a));
}
