/** Pure functions against Python, and against values that can be worked out by hand. */
import { describe, expect, it } from "vitest";
import { MARKUP_68 } from "../src/markup.ts";
import { expression, type Expression } from "../src/expression.ts";
import {
  Box,
  Crop,
  cropToUnit,
  inverted,
  middleOf,
  rescaled,
  unitToCrop,
  unitToVox,
  type Point,
} from "../src/frames.ts";
import { farSide, headPose } from "../src/geometry.ts";
import { nms } from "../src/detect/base.ts";
import { intervals, searchSizes, tilesAround } from "../src/detect/tiles.ts";
import { asImage, checkBoxes } from "../src/inputs.ts";
import { roundHalfEven } from "../src/numbers.ts";
import { Confidence, largeness } from "../src/runtime/confidence.ts";
import { sampleCells, mirroredCells, type Cells } from "../src/volume.ts";
import { smoother } from "../src/video/smooth.ts";
import { landmarkWeights } from "../src/constants.ts";
import { cut, type Image } from "../src/images.ts";
import { onnxMetadata } from "../src/runtime/onnx_file.ts";
import { largestDistance, readGolden } from "./golden.ts";

const golden = readGolden();

describe("frames", () => {
  it("puts an integer at the centre of a pixel", () => {
    expect([middleOf(4), middleOf(5)]).toEqual([1.5, 2]);
    expect(rescaled(0, 8)).toBe(3.5);
    expect(unitToVox([[0.5, 0.25, 0.1]], [3, 7, 11])[0]).toEqual([5, 1.25, expect.closeTo(-0.2)]);
  });

  it("converts there and back", () => {
    const crop = new Crop(50.5, 20.25, 33, 128, 37, 4);
    const points: Point[] = [
      [1, 2, 3],
      [60, -7, -20],
    ];
    expect(largestDistance(crop.toImage(crop.toCrop(points)), points)).toBeLessThan(1e-9);
    expect(largestDistance(unitToCrop(cropToUnit(points, 128), 128), points)).toBeLessThan(1e-9);
    inverted(inverted(crop.matrix)).forEach((value, index) => {
      expect(value).toBeCloseTo(crop.matrix[index], 9);
    });
  });

  it("turns the crop's content clockwise", () => {
    // A point to the right of the centre moves below it.
    const [[x, y]] = new Crop(10, 10, 8, 8, 90).toCrop([[12, 10, 0]]);
    expect([x, y]).toEqual([expect.closeTo(3.5), expect.closeTo(5.5)]);
  });

  it("refuses empty boxes", () => {
    expect(() => new Box(3, 0, 3, 9)).toThrow("empty");
    expect(() => new Box(0, NaN, 3, 9)).toThrow("not finite");
    expect(new Box(0, 0, 2, 2).iou(new Box(1, 0, 3, 2))).toBeCloseTo(1 / 3);
  });
});

describe("shapes against Python", () => {
  it.each(golden.shapes)("pose $pose.yaw_deg", ({ landmarks, pose, expression: expected, hidden }) => {
    const found = headPose(landmarks);
    for (const angle of ["yaw_deg", "pitch_deg", "roll_deg"] as const) {
      expect(found[angle]).toBeCloseTo(pose![angle], 6);
    }
    found.rotation.flat().forEach((value, index) => {
      expect(value).toBeCloseTo(pose!.rotation.flat()[index], 9);
    });
    const values = expression(landmarks);
    for (const [name, value] of Object.entries(expected!)) {
      expect(values[name as keyof Expression]).toBeCloseTo(value as number, 6);
    }
    expect(farSide(landmarks)).toEqual(hidden);
  });

  it("says how many landmarks a pose needs", () => {
    expect(() => headPose([[0, 0, 0]])).toThrow("needs 68 landmarks; got 1");
  });

  it.each(golden.smoothing)("smoothing $strength", ({ strength, points, times, filtered }) => {
    const filter = smoother(strength)!;
    points.forEach((now, index) => {
      expect(largestDistance(filter.filtered(now, 80, times[index]), filtered[index])).toBeLessThan(1e-4);
    });
  });

  it("is off at strength 0", () => {
    expect(smoother(0)).toBeNull();
    expect(() => smoother(1.1)).toThrow("expected 0 (off) to 1");
  });
});

describe("numbers", () => {
  it("rounds halves to even", () => {
    expect([0.5, 1.5, 2.5, -0.5, -1.5, 2.49, 2.51].map(roundHalfEven)).toEqual([0, 2, 2, 0, -2, 2, 3]);
  });
});

describe("detector", () => {
  it("keeps the better of two overlapping boxes", () => {
    const boxes = [new Box(0, 0, 10, 10), new Box(1, 0, 11, 10), new Box(30, 0, 40, 10)];
    expect(nms(boxes, [0.5, 0.9, 0.7], 0.4)).toEqual([1, 2]);
  });

  it("searches a large photo at several sizes", () => {
    const sides = (width: number, limit: number) =>
      searchSizes({ width, height: width / 2 }, limit).map((s) => s.width);
    expect(sides(4000, 640)).toEqual([640, 320]);
    expect(sides(4000, 2560)).toEqual([2560, 640, 320]);
    expect(sides(100, 640)).toEqual([200]);
    expect(sides(380, 640)).toEqual([380]);
  });

  it("covers a picture with overlapping tiles", () => {
    expect(intervals(1024)).toEqual([[0, 1024]]);
    expect(intervals(1100)).toEqual([
      [0, 640],
      [460, 1100],
    ]);
  });

  it("looks at two near faces in one tile", () => {
    const tiles = tilesAround([new Box(60, 60, 70, 70), new Box(78, 78, 88, 88)], { width: 640, height: 480 });
    expect(tiles.map(({ left, top, right, bottom }) => [left, top, right, bottom])).toEqual([[33, 33, 97, 97]]);
  });
});

describe("score", () => {
  it("interpolates over the logarithm of the size", () => {
    expect([8, 16, 32, 64, 500].map(largeness)).toEqual([0, 0, expect.closeTo(0.5), 1, 1]);
  });

  it("is a logistic regression", () => {
    const confidence = new Confidence({ small: [0, 0, 1, 0], large: [0, 0, 1, -1], alone: [2, 1], least_agreement: 0 });
    expect(confidence.score(0.5, 0.8, 100)).toBeCloseTo(0.8);
    // Odds of 4, over σ.
    expect(confidence.score(0.5, 0.8, 100, 0.5)).toBeCloseTo(8 / 9);
    expect(confidence.score(0.5, 0.8, 10, 0.5)).toBeCloseTo(0.8);
    expect(confidence.score(1)).toBeCloseTo(1 / (1 + Math.exp(-2)));
  });
});

describe("volume", () => {
  // Two rows and two columns of cells with 2 × 2 voxels: voxel (z, y, x) holds 100 z + 10 y + x.
  const side = 2;
  const data = new Float32Array(2 * 16);
  for (let z = 0; z < 2; z++) {
    for (let y = 0; y < 4; y++) {
      for (let x = 0; x < 4; x++) {
        data[(((z * side + (y % 2)) * side + (x % 2)) * 2 + (y >> 1)) * 2 + (x >> 1)] = 100 * z + 10 * y + x;
      }
    }
  }
  const cells: Cells = { data, depth: 2, side, rows: 2, columns: 2 };

  it("reads between voxels, and 0 outside", () => {
    expect(
      sampleCells(cells, [
        [3, 2, 1],
        [0.5, 1, 0.5],
        [-1, 0, 0],
      ]),
    ).toEqual([123, 60.5, 0]);
  });

  it("is mirrored along x", () => {
    expect(sampleCells(mirroredCells(cells), [[3, 2, 1]])).toEqual([120]);
  });
});

describe("a part of a picture", () => {
  const data = Uint8Array.from({ length: 4 * 4 * 3 }, (_, index) => index);
  const whole: Image = { width: 4, height: 3, channels: 4, data };
  const lazy: Image = {
    ...whole,
    data: new Uint8Array(),
    part: (left, top, right, bottom) => {
      const rows = Array.from({ length: bottom - top }, (_, y) => [
        ...data.subarray(4 * (4 * (top + y) + left), 4 * (4 * (top + y) + right)),
      ]);
      return { width: right - left, height: bottom - top, channels: 4, data: Uint8Array.from(rows.flat()) };
    },
  };

  it("is RGB, also where only that part is read", () => {
    const part = cut(lazy, 1, 1, 3, 3);
    expect(part).toEqual(cut(whole, 1, 1, 3, 3));
    expect([...part.data]).toEqual([20, 21, 22, 24, 25, 26, 36, 37, 38, 40, 41, 42]);
  });
});

describe("metadata of an ONNX file", () => {
  const text = (number: number, value: string): number[] => [8 * number + 2, value.length, ...Buffer.from(value)];
  const entry = [...text(1, "jvcr"), ...text(2, "{}")];
  // A number, a text, 64 bits, 32 bits, and a metadata entry.
  const file = Uint8Array.of(8, 200, 1, ...text(2, "producer"), 25, ...Array<number>(8).fill(9), 37, 1, 2, 3, 4, 114);
  const whole = Uint8Array.of(...file, entry.length, ...entry);

  it("is read from its bytes", () => {
    expect([...onnxMetadata(whole)]).toEqual([["jvcr", "{}"]]);
  });

  it("is not read from a file that is cut off", () => {
    expect(() => onnxMetadata(whole.subarray(0, whole.length - 1))).toThrow("ends in the middle");
    expect(() => onnxMetadata(Uint8Array.of(11))).toThrow("wire type 3");
  });
});

describe("inputs", () => {
  it("lays transparency on white", () => {
    const image = asImage({ width: 2, height: 1, data: Uint8Array.of(0, 0, 0, 255, 10, 20, 30, 0) });
    expect([...image.data.subarray(4, 7)]).toEqual([255, 255, 255]);
  });

  it("names what does not fit", () => {
    expect(() => asImage({ width: 2, height: 2, data: new Uint8Array(5) })).toThrow("5 bytes for 2 × 2 pixels");
    const image = asImage({ width: 100, height: 50, data: new Uint8Array(15000) });
    expect(() =>
      checkBoxes(
        [
          [0, 0, 9, 9],
          [200, 0, 300, 9],
        ],
        image,
      ),
    ).toThrow("box 1: (200, 0, 300, 9) lies entirely");
    expect(() => checkBoxes([[0, 0, 9, 0]], image)).toThrow("box 0: box (0, 0, 9, 0) is empty");
    expect(() => checkBoxes([[0, 0, 9] as unknown as [number, number, number, number]], image)).toThrow("four numbers");
  });

  it("knows its weights", () => {
    expect(() => landmarkWeights("huge")).toThrow('weights: "huge" is unknown; expected one of small, nano');
    expect(MARKUP_68.mirror[36]).toBe(45);
    expect(MARKUP_68.edges).toContainEqual([41, 36]);
  });
});
