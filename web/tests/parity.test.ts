/** Every prediction agrees with Python's on the same pixels. */
import { beforeAll, describe, expect, it } from "vitest";
import { Tracker } from "../src/video/track.ts";
import type { Expression } from "../src/expression.ts";
import type { Face } from "../src/results.ts";
import { largestDistance, nearestFace, readGolden, readRgb } from "./golden.ts";
import { landmarkWeights } from "../src/constants.ts";
import { description, type Runtime } from "../src/runtime/base.ts";
import { FallingBack, isRightAndFaster } from "../src/runtime/choice.ts";
import { makeLandmarker, openBoth, openNetworks, type Networks } from "./node.ts";

const golden = readGolden();
let networks: Networks;

beforeAll(async () => {
  networks = await openNetworks();
});

function expectSameFace(face: Face, expected: Face): void {
  // A fraction of the network's own pixels, so it grows with very large faces.
  const tolerance = 0.05 * Math.max(1, expected.crop.side_px / 384);
  expect(largestDistance(face.landmarks, expected.landmarks)).toBeLessThan(tolerance);
  for (const side of ["x0", "y0", "x1", "y1"] as const) expect(face.box[side]).toBeCloseTo(expected.box[side], 1);
  expect(Math.abs(face.score - expected.score)).toBeLessThan(0.005);
  for (const angle of ["yaw_deg", "pitch_deg", "roll_deg"] as const) {
    expect(Math.abs(face.pose![angle] - expected.pose![angle])).toBeLessThan(0.1);
  }
  for (const [name, value] of Object.entries(expected.expression!)) {
    expect(Math.abs(face.expression![name as keyof Expression] - (value as number)), name).toBeLessThan(0.03);
  }
  expect(face.reliable).toBe(expected.reliable);
  expectClose(face.visibility, expected.visibility, 0.02);
  expectClose(face.sigma_px, expected.sigma_px, 0.02 * Math.max(...(expected.sigma_px ?? [0])));
  // A probability of about a half may fall on either side.
  const sure = (index: number) => !expected.visibility || Math.abs(expected.visibility[index] - 0.5) > 0.02;
  expect(face.hidden.filter((_, i) => sure(i))).toEqual(expected.hidden.filter((_, i) => sure(i)));
  expect(face.crop.side_px).toBeCloseTo(expected.crop.side_px, 0);
  expect(face.crop.rotation_deg).toBeCloseTo(expected.crop.rotation_deg, 0);
}

function expectClose(values: readonly number[] | null, expected: readonly number[] | null, tolerance: number): void {
  expect(values?.length).toBe(expected?.length);
  values?.forEach((value, index) => {
    expect(Math.abs(value - expected![index])).toBeLessThan(tolerance);
  });
}

describe("predict", () => {
  it.each(golden.predictions)("$picture $settings $detect_size", async ({ picture, faces, ...request }) => {
    const landmarker = makeLandmarker(networks, request.settings, request.detect_size);
    const image = readRgb(`${picture}.rgb`, golden.pictures[picture]);
    const found = await landmarker.predict(image, request.boxes);
    expect(found.length).toBe(faces.length);
    if (!request.boxes) expect(found).toEqual(found.toSorted((a, b) => b.score - a.score));
    found.forEach((face, index) => {
      // Two faces whose scores differ by a rounding error may change places.
      expectSameFace(face, request.boxes ? faces[index] : nearestFace(face, faces));
    });
  });

  it("finds faces in most pictures, and none where there is none", () => {
    const counts = Object.fromEntries(golden.predictions.slice(0, 13).map((one) => [one.picture, one.faces.length]));
    expect(counts["astronaut"]).toBe(1);
    expect(counts["crowd"]).toBeGreaterThanOrEqual(10);
    expect(counts["no_face"]).toBe(0);
  });
});

describe("track", () => {
  it("gives identities, smoothed and raw landmarks as Python", async () => {
    const { frames, searches, detect_every_s, ...size } = golden.tracking;
    const tracker = new Tracker(makeLandmarker(networks), { detect_every_s, mirror: true });
    for (const { file, time_s, faces } of frames) {
      const tracked = await tracker.next(readRgb(file, size), time_s);
      expect(tracked.map((one) => one.identity)).toEqual(faces.map((one) => one.identity));
      tracked.forEach(({ face, raw }, index) => {
        expect(largestDistance(raw, faces[index].raw)).toBeLessThan(0.05);
        expect(largestDistance(face.landmarks, faces[index].face.landmarks)).toBeLessThan(0.05);
        expect(face.pose!.yaw_deg).toBeCloseTo(faces[index].face.pose!.yaw_deg, 0);
      });
    }
    expect(tracker.searches).toBe(searches);
  });
});

describe("weights for WebGPU", () => {
  it("are the same numbers", async () => {
    const [usual, other] = await openBoth("nano");
    const crop = Uint8Array.from({ length: 3 * 128 * 128 }, (_, index) => (index * 7919) % 251);
    const [[expected], [found]] = [await usual.run([crop]), await other.run([crop])];
    expect(found.points_unit).toEqual(expected.points_unit);
  });
});

describe("the choice of a runtime", () => {
  const stub = (x: number, ms: number, fails = false): Runtime => ({
    ...description(landmarkWeights("nano"), null),
    run: async () => {
      if (fails) throw new Error("the GPU is lost");
      await new Promise((resolve) => setTimeout(resolve, ms));
      return [
        { cells: { data: new Float32Array(), depth: 0, side: 1, rows: 0, columns: 0 }, points_unit: [[x, 0, 0]] },
      ];
    },
  });

  it("takes the faster one, if it gives the same", async () => {
    expect(await isRightAndFaster(stub(0.5, 1), stub(0.5005, 20))).toBe(true);
    expect(await isRightAndFaster(stub(0.5, 20), stub(0.5, 1))).toBe(false);
    expect(await isRightAndFaster(stub(0.5, 1), stub(0.502, 20))).toBe(false);
    expect(await isRightAndFaster(stub(Number.NaN, 1), stub(0.5, 20))).toBe(false);
    expect(await isRightAndFaster(stub(0.5, 1, true), stub(0.5, 20))).toBe(false);
  });

  it("goes on with the other one when the first fails", async () => {
    const [{ points_unit }] = await new FallingBack(stub(1, 1, true), stub(2, 1)).run([new Uint8Array()]);
    expect(points_unit[0][0]).toBe(2);
  });
});
