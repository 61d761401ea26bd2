/** WebGPU, on a GPU that Chromium emulates: the same landmarks as Python. It is not faster, so it must be asked for. */
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Browser } from "playwright-core";
import type { Backend } from "../../src/browser/networks.ts";
import { largestDistance, readGolden } from "../golden.ts";
import { EMULATED_GPU, openChromium } from "./chromium.ts";
import { serve, type Host } from "./server.ts";

const golden = readGolden();
let host: Host;
let browser: Browser;

beforeAll(async () => {
  host = await serve();
  browser = await openChromium(undefined, EMULATED_GPU);
});

afterAll(async () => {
  await browser.close();
  host.close();
});

async function predicted(backend: Backend) {
  const page = await browser.newPage();
  await page.goto(`${host.address}/empty`);
  const found = await page.evaluate(async (backend) => {
    const landmarker = await window.jvcr.Landmarker.create({ weights: "nano", backend });
    const response = await fetch("/golden/odd.png");
    const faces = await landmarker.predict(await response.blob());
    const files = performance.getEntriesByType("resource").map((entry) => entry.name);
    landmarker.close();
    return { backend: landmarker.backend, faces, files };
  }, backend);
  await page.close();
  return found;
}

it("gives the landmarks of WASM where it is asked for", async () => {
  const [gpu, cpu] = [await predicted("webgpu"), await predicted("wasm")];
  expect([gpu.backend, cpu.backend]).toEqual(["webgpu", "wasm"]);
  expect(gpu.faces.length).toBe(golden.predictions.find(({ picture }) => picture === "odd")!.faces.length);
  gpu.faces.forEach((face, index) => {
    expect(largestDistance(face.landmarks, cpu.faces[index].landmarks)).toBeLessThan(0.05);
  });
});

it("is not chosen where the GPU is emulated", async () => {
  const { backend, faces } = await predicted("auto");
  expect(backend).toBe("wasm");
  expect(faces.length).toBeGreaterThan(0);
});
