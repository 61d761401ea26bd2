/** Checks of what callers pass in (`jvcr.io.inputs`). */
import { CONSTANTS } from "./constants.ts";
import { Box } from "./frames.ts";
import type { Image } from "./images.ts";
import type { BoxValues } from "./results.ts";

const LIMITS = CONSTANTS.inputs;

/** Pixels as `ImageData` has them, or in RGB. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  /** width × height × 3 bytes of RGB, or × 4 of RGBA. */
  readonly data: Uint8Array | Uint8ClampedArray;
}

/** Corners as a list, or by name. */
export type BoxInput = readonly [number, number, number, number] | BoxValues;

/** Pixels → an image; transparency is laid on white. Throws if the sizes do not fit. */
export function asImage(given: Pixels): Image {
  const { width, height, data } = given;
  const whole = Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0;
  if (!whole || !(data instanceof Uint8Array || data instanceof Uint8ClampedArray)) {
    throw new TypeError("image: expected a positive width and height, and bytes of RGB or RGBA in `data`");
  }
  const channels = data.length / (width * height);
  if (channels !== 3 && channels !== 4) {
    throw new RangeError(
      `image: ${data.length} bytes for ${width} × ${height} pixels; expected 3 (RGB) or 4 (RGBA) for each`,
    );
  }
  return { width, height, channels, data: channels === 4 ? onWhite(data) : data };
}

function onWhite(data: Pixels["data"]): Pixels["data"] {
  if (isOpaque(data)) return data;
  const out = new Uint8Array(data);
  for (let at = 0; at < out.length; at += 4) {
    const alpha = data[at + 3] / 255;
    for (let channel = at; channel < at + 3; channel++) out[channel] = Math.round(255 + alpha * (data[channel] - 255));
    out[at + 3] = 255;
  }
  return out;
}

function isOpaque(data: Pixels["data"]): boolean {
  for (let at = 3; at < data.length; at += 4) if (data[at] !== 255) return false;
  return true;
}

/** Boxes on the image. Throws with the index of one that is empty, not finite, outside or far too large. */
export function checkBoxes(boxes: readonly BoxInput[], image: Image): Box[] {
  if (!Array.isArray(boxes)) throw new TypeError("boxes: expected a list of [x0, y0, x1, y1] in pixels");
  return boxes.map((given: BoxInput, index) => {
    const box = asBox(given, index);
    const name = `box ${index}: (${box.toList().join(", ")})`;
    const size = `the image of ${image.width} × ${image.height} pixels`;
    if (box.longer < LIMITS.smallest_box) throw new RangeError(`${name} is smaller than a pixel`);
    if (!box.meets(image.width, image.height)) throw new RangeError(`${name} lies entirely outside ${size}`);
    if (box.longer > LIMITS.largest_box * Math.max(image.width, image.height)) {
      throw new RangeError(`${name} is far larger than ${size}`);
    }
    return box;
  });
}

function asBox(given: BoxInput, index: number): Box {
  const values = Array.isArray(given) ? (given as readonly number[]) : cornersOf(given as BoxValues);
  if (values.length !== 4 || !values.every((value) => typeof value === "number")) {
    throw new TypeError(`box ${index}: expected four numbers x0, y0, x1, y1 in pixels`);
  }
  try {
    return new Box(values[0], values[1], values[2], values[3]);
  } catch (error) {
    throw new RangeError(`box ${index}: ${(error as Error).message}`, { cause: error });
  }
}

function cornersOf({ x0, y0, x1, y1 }: BoxValues): number[] {
  return [x0, y0, x1, y1];
}
