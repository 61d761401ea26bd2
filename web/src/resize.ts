/** Resizing to the pixels of OpenCV's `resize`: area averaging and bilinear. */
import { resizeSource } from "./frames.ts";
import type { Image } from "./images.ts";
import { clip, roundHalfEven } from "./numbers.ts";

/** Reduce by area averaging (`INTER_AREA`). Where a side grows, OpenCV interpolates instead, and so does this. */
export function resizeArea(image: Image, width: number, height: number): Image {
  const [scaleX, scaleY] = [image.width / width, image.height / height];
  if (scaleX < 1 || scaleY < 1) return resizeTaps(image, areaTaps(image.width, width), areaTaps(image.height, height));
  if (Number.isInteger(scaleX) && Number.isInteger(scaleY)) return averageBlocks(image, width, height, scaleX, scaleY);
  return averageAreas(image, width, height);
}

/** Enlarge or reduce between two pixels a side (`INTER_LINEAR`). */
export function resizeLinear(image: Image, width: number, height: number): Image {
  return resizeTaps(image, linearTaps(image.width, width), linearTaps(image.height, height));
}

/** Whole blocks of pixels. OpenCV rounds halves up for 2 × 2 pixels, and to even otherwise. */
function averageBlocks(image: Image, width: number, height: number, blockX: number, blockY: number): Image {
  const out = new Uint8Array(3 * width * height);
  const { channels, data } = image;
  const stride = channels * image.width;
  const twoByTwo = blockX === 2 && blockY === 2;
  const scale = Math.fround(1 / (blockX * blockY));
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at += 3) {
      const start = y * blockY * stride + x * blockX * channels;
      for (let channel = 0; channel < 3; channel++) {
        const sum = blockSum(data, start + channel, stride, channels, blockX, blockY);
        out[at + channel] = twoByTwo ? (sum + 2) >> 2 : roundHalfEven(Math.fround(sum * scale));
      }
    }
  }
  return { width, height, channels: 3, data: out };
}

function blockSum(data: Image["data"], start: number, stride: number, step: number, blockX: number, blockY: number) {
  let sum = 0;
  for (let row = 0, line = start; row < blockY; row++, line += stride) {
    for (let column = 0, from = line; column < blockX; column++, from += step) sum += data[from];
  }
  return sum;
}

/** The source samples that one output sample covers, with their shares. */
interface Cover {
  first: number;
  shares: number[];
}

/** What each of `size` output samples covers of `extent` source samples. */
function covers(extent: number, size: number): Cover[] {
  const scale = extent / size;
  return Array.from({ length: size }, (_, index) => {
    const from = index * scale;
    const to = from + scale;
    const cell = Math.min(scale, extent - from);
    const first = Math.ceil(from);
    const last = Math.min(Math.floor(to), extent - 1);
    const begin = Math.min(first, last);
    const cover: Cover = { first: begin, shares: [] };
    // Slivers of less than a thousandth are left out, as in OpenCV.
    if (begin - from > 1e-3) {
      cover.first = begin - 1;
      cover.shares.push(Math.fround((begin - from) / cell));
    }
    for (let whole = begin; whole < last; whole++) cover.shares.push(Math.fround(1 / cell));
    if (to - last > 1e-3) cover.shares.push(Math.fround(Math.min(Math.min(to - last, 1), cell) / cell));
    return cover;
  });
}

function averageAreas(image: Image, width: number, height: number): Image {
  const out = new Uint8Array(3 * width * height);
  const columns = covers(image.width, width);
  const rows = covers(image.height, height);
  const line = new Float32Array(3 * width);
  const sum = new Float32Array(3 * width);
  for (let y = 0; y < height; y++) {
    sum.fill(0);
    rows[y].shares.forEach((share, offset) => {
      coverLine(image, rows[y].first + offset, columns, line);
      for (let i = 0; i < line.length; i++) sum[i] += Math.fround(share * line[i]);
    });
    for (let i = 0; i < sum.length; i++) out[y * sum.length + i] = clip(roundHalfEven(sum[i]), 0, 255);
  }
  return { width, height, channels: 3, data: out };
}

/** One source row, averaged along x. */
function coverLine(image: Image, row: number, columns: readonly Cover[], line: Float32Array): void {
  const { channels, data, width } = image;
  for (let x = 0, at = 0; x < columns.length; x++, at += 3) {
    const { first, shares } = columns[x];
    let from = channels * (row * width + first);
    let [red, green, blue] = [0, 0, 0];
    for (let tap = 0; tap < shares.length; tap++, from += channels) {
      red += data[from] * shares[tap];
      green += data[from + 1] * shares[tap];
      blue += data[from + 2] * shares[tap];
    }
    line[at] = red;
    line[at + 1] = green;
    line[at + 2] = blue;
  }
}

/** Two neighbouring source samples and their weights, in 2048ths. */
interface Taps {
  low: number;
  high: number;
  weightLow: number;
  weightHigh: number;
}

const WEIGHT_SCALE = 2048;

function tapsAt(source: number, share: number, extent: number): Taps {
  const fraction = Math.fround(share);
  return {
    low: clip(source, 0, extent - 1),
    high: clip(source + 1, 0, extent - 1),
    weightLow: roundHalfEven(Math.fround(1 - fraction) * WEIGHT_SCALE),
    weightHigh: roundHalfEven(fraction * WEIGHT_SCALE),
  };
}

function linearTaps(extent: number, size: number): Taps[] {
  return Array.from({ length: size }, (_, index) => {
    const place = Math.fround(resizeSource(index, extent / size));
    const source = Math.floor(place);
    return tapsAt(source, place - source, extent);
  });
}

/** The taps of `INTER_AREA` where the picture grows. */
function areaTaps(extent: number, size: number): Taps[] {
  const scale = extent / size;
  return Array.from({ length: size }, (_, index) => {
    const source = Math.floor(index * scale);
    const share = index + 1 - (source + 1) / scale;
    return tapsAt(source, share <= 0 ? 0 : share - Math.floor(share), extent);
  });
}

function resizeTaps(image: Image, columns: readonly Taps[], rows: readonly Taps[]): Image {
  const [width, height] = [columns.length, rows.length];
  const out = new Uint8Array(3 * width * height);
  const above = new Int32Array(3 * width);
  const below = new Int32Array(3 * width);
  rows.forEach((row, y) => {
    tapLine(image, row.low, columns, above);
    tapLine(image, row.high, columns, below);
    for (let i = 0, at = 3 * width * y; i < above.length; i++, at++) {
      const sum = ((row.weightLow * (above[i] >> 4)) >> 16) + ((row.weightHigh * (below[i] >> 4)) >> 16);
      out[at] = clip((sum + 2) >> 2, 0, 255);
    }
  });
  return { width, height, channels: 3, data: out };
}

/** One source row, interpolated along x, times `WEIGHT_SCALE`. */
function tapLine(image: Image, row: number, columns: readonly Taps[], line: Int32Array): void {
  const { channels, data, width } = image;
  columns.forEach(({ low, high, weightLow, weightHigh }, x) => {
    const [a, b] = [channels * (row * width + low), channels * (row * width + high)];
    for (let channel = 0; channel < 3; channel++) {
      line[3 * x + channel] = data[a + channel] * weightLow + data[b + channel] * weightHigh;
    }
  });
}
