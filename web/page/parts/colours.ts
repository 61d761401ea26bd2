/** Colours of landmarks, as in `jvcr.draw.landmarks`: near points warm, far points cold. */
import type { Points } from "../../src/frames.ts";

export type Rgb = readonly [number, number, number];

const NEAR: Rgb = [255, 214, 10];
const MIDDLE: Rgb = [255, 55, 95];
const FAR: Rgb = [40, 90, 255];

/** From near (yellow) over red to far (blue), over the face's own depth range. */
export function depthColours(landmarks: Points): Rgb[] {
  const depths = landmarks.map((point) => point[2]);
  const nearest = Math.min(...depths);
  const range = Math.max(Math.max(...depths) - nearest, 1e-6);
  return depths.map((z) => {
    const share = (2 * (z - nearest)) / range;
    return share < 1 ? between(NEAR, MIDDLE, share) : between(MIDDLE, FAR, share - 1);
  });
}

function between(a: Rgb, b: Rgb, share: number): Rgb {
  return [a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1]), a[2] + share * (b[2] - a[2])];
}

export function css([red, green, blue]: Rgb): string {
  return `rgb(${red.toFixed(0)} ${green.toFixed(0)} ${blue.toFixed(0)})`;
}
