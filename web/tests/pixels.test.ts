/** Crops and resized pictures have OpenCV's pixels. */
import { describe, expect, it } from "vitest";
import { resizedTo } from "../src/detect/network.ts";
import { Crop } from "../src/frames.ts";
import { extract, type Image } from "../src/images.ts";
import { resizeArea } from "../src/resize.ts";
import { readGolden, readRgb, type PixelCase } from "./golden.ts";

const golden = readGolden();

function pixelsOf(image: Image, { crop, width, height }: PixelCase): Image["data"] {
  if (!crop) return resizedTo(image, { width, height }).data;
  const { centre_x, centre_y, side_px, size_px, rotation_deg } = crop;
  return extract(image, new Crop(centre_x, centre_y, side_px, size_px, rotation_deg));
}

/** Largest difference, and how many values in a thousand differ. */
function difference(a: Image["data"], b: Image["data"]): { largest: number; permille: number } {
  expect(a.length).toBe(b.length);
  const gaps = Array.from(a, (value, index) => Math.abs(value - b[index]));
  const largest = gaps.reduce((most, gap) => Math.max(most, gap), 0);
  return { largest, permille: (1000 * gaps.filter((gap) => gap > 0).length) / gaps.length };
}

describe("pixels", () => {
  it.each(golden.pixels)("$picture $width × $height $crop", (expected) => {
    const image = readRgb(`${expected.picture}.rgb`, golden.pictures[expected.picture]);
    const { largest, permille } = difference(pixelsOf(image, expected), readRgb(expected.file, expected).data);
    expect(largest).toBeLessThanOrEqual(1);
    expect(permille).toBeLessThan(2);
  });

  it("reads RGBA as it reads RGB", () => {
    const rgb = readRgb("odd.rgb", golden.pictures["odd"]);
    const data = new Uint8Array((rgb.data.length / 3) * 4).fill(255);
    for (let i = 0; i < rgb.data.length / 3; i++) data.set(rgb.data.subarray(3 * i, 3 * i + 3), 4 * i);
    const rgba: Image = { ...rgb, channels: 4, data };
    const crop = new Crop(190.2, 130.4, 300.7, 128, 20);
    const size = { width: 137, height: 160 };
    expect(difference(extract(rgba, crop), extract(rgb, crop)).largest).toBe(0);
    expect(difference(resizedTo(rgba, size).data, resizedTo(rgb, size).data).largest).toBe(0);
  });

  it("averages blocks: halves go up for 2 × 2 pixels and to even for 3 × 3", () => {
    const grey = (width: number, values: number[]): Image => {
      const data = Uint8Array.from(values.flatMap((value) => [value, value, value]));
      return { width, height: values.length / width, channels: 3, data };
    };
    expect(resizeArea(grey(2, [0, 0, 1, 1]), 1, 1).data[0]).toBe(1); // 0.5
    expect(resizeArea(grey(3, [1, 1, 1, 1, 1, 0, 0, 0, 0]), 1, 1).data[0]).toBe(1); // 0.56
    expect(resizeArea(grey(4, [0, 0, 0, 0, 1, 1, 1, 1]), 1, 1).data[0]).toBe(0); // 0.5
  });
});
