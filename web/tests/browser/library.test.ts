/** The library in Chromium: the same faces as Python, through the browser's own decoders, in a worker. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Browser, Page } from "playwright-core";
import type * as Library from "../../src/index.ts";
import type { Face } from "../../src/results.ts";
import { largestDistance, nearestFace, readGolden } from "../golden.ts";
import { openChromium } from "./chromium.ts";
import { serve, type Host } from "./server.ts";

const golden = readGolden();
let [host, isolated]: Host[] = [];
let browser: Browser;

beforeAll(async () => {
  [host, isolated] = [await serve(), await serve(true)];
  browser = await openChromium();
});

afterAll(async () => {
  await browser.close();
  for (const one of [host, isolated]) one.close();
});

declare global {
  interface Window {
    jvcr: typeof Library;
    landmarker: Library.Landmarker;
  }
}

/** An empty page with a landmarker. */
async function opened(address: string, options: Library.CreateOptions = {}): Promise<Page> {
  const page = await browser.newPage();
  await page.goto(`${address}/empty`);
  await page.evaluate(async (given) => {
    window.landmarker = await window.jvcr.Landmarker.create(given);
  }, options);
  return page;
}

function predicted(page: Page, file: string): Promise<Face[]> {
  return page.evaluate(async (address) => {
    const response = await fetch(address);
    return window.landmarker.predict(await response.blob());
  }, `/golden/${file}`);
}

function expectFaces(found: Face[], expected: Face[], limitPx: number): void {
  expect(found.length).toBe(expected.length);
  for (const face of found) {
    const other = nearestFace(face, expected);
    expect(largestDistance(face.landmarks, other.landmarks)).toBeLessThan(limitPx);
    expect(Math.abs(face.score - other.score)).toBeLessThan(0.02);
    expect(Math.abs(face.pose!.yaw_deg - other.pose!.yaw_deg)).toBeLessThan(0.5);
  }
}

describe("on a host without special headers", () => {
  let page: Page;

  beforeAll(async () => {
    page = await opened(host.address);
  });

  it.each(golden.jpegs)("$file, decoded by the browser", async ({ file, faces }) => {
    expectFaces(await predicted(page, file), faces, 0.3);
  });

  it("a PNG has Python's pixels", async () => {
    const { faces } = golden.predictions.find(({ picture }) => picture === "odd")!;
    expectFaces(await predicted(page, "odd.png"), faces, 0.05);
  });

  it("gives the worker's messages", async () => {
    const failed = page.evaluate(async () =>
      window.landmarker.predict({ width: 40, height: 30, data: new Uint8Array(3600) }, [[0, 0, 0, 9]]),
    );
    await expect(failed).rejects.toThrow("box 0: box (0, 0, 0, 9) is empty");
    const unreadable = page.evaluate(async () => window.landmarker.predict(new Blob(["no picture"])));
    await expect(unreadable).rejects.toThrow("image: cannot be decoded");
  });

  it("refuses damaged weights, and unknown ones", async () => {
    const context = await browser.newContext();
    const other = await context.newPage();
    await other.route("**/weights/small.onnx*", async (route) => {
      const response = await route.fetch();
      const body = await response.body();
      body[body.length >> 1] ^= 1;
      await route.fulfill({ response, body });
    });
    await other.goto(`${host.address}/empty`);
    const create = (weights: string) =>
      other.evaluate(async (name) => {
        await window.jvcr.Landmarker.create({ weights: name });
      }, weights);
    await expect(create("small")).rejects.toThrow("damaged or of another version");
    await expect(create("huge")).rejects.toThrow('weights: "huge" is unknown');
    await context.close();
  });
});

describe("on a cross-origin isolated host", () => {
  it("runs with threads", async () => {
    const page = await opened(isolated.address, { threads: 2 });
    expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
    const [{ file, faces }] = golden.jpegs;
    expectFaces(await predicted(page, file), faces, 0.3);
  });
});
