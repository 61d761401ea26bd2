/** Pictures in memory, and crops sampled from them. The twin of `jvcr.images`: the pixels are OpenCV's. */
import { inverted, type Crop } from "./frames.ts";
import { radians } from "./numbers.ts";
import { resizeArea } from "./resize.ts";
import { warpAffine } from "./warp.ts";

/** 8-bit RGB or RGBA in rows. A fourth channel is not read: lay transparent pictures on white first (`asImage`). */
export interface Image {
  readonly width: number;
  readonly height: number;
  /** 3 or 4 bytes a pixel, red first. */
  readonly channels: 3 | 4;
  readonly data: Uint8Array | Uint8ClampedArray;
  /** Rows top … bottom - 1 and columns left … right - 1, for pictures that need not read all of `data` for that. */
  part?(left: number, top: number, right: number, bottom: number): Image;
}

/** The crop's pixels, RGB, `size_px` × `size_px`. Large faces are averaged first, so that sampling does not alias. */
export function extract(image: Image, crop: Crop): Uint8Array {
  const reduced = cutAndReduce(image, crop, Math.max(1, Math.floor(crop.side_px / crop.size_px)));
  return warpAffine(reduced.image, inverted(reduced.crop.matrix), crop.size_px);
}

interface Reduced {
  image: Image;
  crop: Crop;
}

/** Cut out the part of the image that the crop covers and average `factor` × `factor` pixels into one. */
function cutAndReduce(image: Image, crop: Crop, factor: number): Reduced {
  const angle = radians(crop.rotation_deg);
  const reach = (crop.side_px / 2) * (Math.abs(Math.cos(angle)) + Math.abs(Math.sin(angle))) + 2 * factor;
  const left = Math.min(Math.max(0, Math.floor(crop.centre_x - reach)), image.width - 1);
  const top = Math.min(Math.max(0, Math.floor(crop.centre_y - reach)), image.height - 1);
  const right = Math.min(Math.max(left + 1, Math.ceil(crop.centre_x + reach)), image.width);
  const bottom = Math.min(Math.max(top + 1, Math.ceil(crop.centre_y + reach)), image.height);
  const part = cut(image, left, top, right, bottom);
  if (factor === 1) return { image: part, crop: crop.reduced(left, top, 1) };
  // Whole cells only: a partial last cell is padded with its edge pixels.
  const width = Math.ceil(part.width / factor);
  const height = Math.ceil(part.height / factor);
  const whole = padded(part, width * factor, height * factor);
  return { image: resizeArea(whole, width, height), crop: crop.reduced(left, top, factor) };
}

/** A copy of rows top … bottom - 1 and columns left … right - 1, in RGB. */
export function cut(image: Image, left: number, top: number, right: number, bottom: number): Image {
  const part = image.part?.(left, top, right, bottom);
  return filled(right - left, bottom - top, (data, at, x, y) => {
    if (part) copyPixel(part, x, y, data, at);
    else copyPixel(image, left + x, top + y, data, at);
  });
}

/** A picture enlarged to the right and below with its edge pixels. */
function padded(image: Image, width: number, height: number): Image {
  if (width === image.width && height === image.height) return image;
  return filled(width, height, (data, at, x, y) => {
    copyPixel(image, Math.min(x, image.width - 1), Math.min(y, image.height - 1), data, at);
  });
}

/** A picture of width × height in one grey, with `image` at (left, top). */
export function framed(image: Image, width: number, height: number, left: number, top: number, grey: number): Image {
  const data = new Uint8Array(3 * width * height).fill(grey);
  for (let y = 0; y < image.height; y++) {
    for (let x = 0; x < image.width; x++) copyPixel(image, x, y, data, 3 * ((top + y) * width + left + x));
  }
  return { width, height, channels: 3, data };
}

function copyPixel(image: Image, x: number, y: number, data: Uint8Array, at: number): void {
  const from = image.channels * (y * image.width + x);
  data[at] = image.data[from];
  data[at + 1] = image.data[from + 1];
  data[at + 2] = image.data[from + 2];
}

type FillPixel = (data: Uint8Array, at: number, x: number, y: number) => void;

function filled(width: number, height: number, fill: FillPixel): Image {
  const data = new Uint8Array(3 * width * height);
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at += 3) fill(data, at, x, y);
  }
  return { width, height, channels: 3, data };
}
