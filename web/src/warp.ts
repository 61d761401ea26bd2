/** Bilinear sampling of a crop, to the pixels of OpenCV's `warpAffine` with a replicated border. */
import type { Affine } from "./frames.ts";
import type { Image } from "./images.ts";
import { roundHalfEven } from "./numbers.ts";

/** OpenCV samples at multiples of 1/32 pixel, and adds positions up in 1/1024. */
const STEPS = 32;
const FINE = 1024;
const FINE_PER_STEP = FINE / STEPS;
const ROUND_UP = FINE_PER_STEP / 2;

/**
 * Sample `size` × `size` RGB pixels.
 *
 * @param map crop (x, y) → image (x, y).
 */
export function warpAffine(image: Image, map: Affine, size: number): Uint8Array {
  const out = new Uint8Array(3 * size * size);
  const [a, b, tx, c, d, ty] = map;
  const alongX = Array.from({ length: size }, (_, x) => roundHalfEven(a * x * FINE));
  const alongY = Array.from({ length: size }, (_, x) => roundHalfEven(c * x * FINE));
  for (let y = 0, at = 0; y < size; y++) {
    const startX = roundHalfEven((b * y + tx) * FINE) + ROUND_UP;
    const startY = roundHalfEven((d * y + ty) * FINE) + ROUND_UP;
    for (let x = 0; x < size; x++, at += 3) {
      sample(image, toSteps(startX + alongX[x]), toSteps(startY + alongY[x]), out, at);
    }
  }
  return out;
}

function toSteps(fine: number): number {
  return Math.floor(fine / FINE_PER_STEP);
}

/** One pixel between the four around it, at a place in steps. Pixels beyond the border repeat the border's. */
function sample(image: Image, stepX: number, stepY: number, out: Uint8Array, at: number): void {
  const { width, height, channels, data } = image;
  const [left, top] = [Math.floor(stepX / STEPS), Math.floor(stepY / STEPS)];
  const [shareX, shareY] = [stepX - STEPS * left, stepY - STEPS * top];
  const x0 = channels * inside(left, width);
  const x1 = channels * inside(left + 1, width);
  const row0 = channels * width * inside(top, height);
  const row1 = channels * width * inside(top + 1, height);
  for (let channel = 0; channel < 3; channel++) {
    const above = (STEPS - shareX) * data[row0 + x0 + channel] + shareX * data[row0 + x1 + channel];
    const below = (STEPS - shareX) * data[row1 + x0 + channel] + shareX * data[row1 + x1 + channel];
    out[at + channel] = ((STEPS - shareY) * above + shareY * below + FINE / 2) >> 10;
  }
}

function inside(index: number, size: number): number {
  return index < 0 ? 0 : index >= size ? size - 1 : index;
}
