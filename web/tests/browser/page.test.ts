/** The page in Chromium: sample, downloads, camera, offline, and where it connects to. */
import { mkdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { largestDistance, readGolden } from "../golden.ts";
import type { Point } from "../../src/frames.ts";
import { openChromium } from "./chromium.ts";
import { serve, type Host } from "./server.ts";

const SCREENSHOTS = fileURLToPath(new URL("../../build/screenshots", import.meta.url));
const PATIENCE = { timeout: 120_000 };
let host: Host;
let browser: Browser;
let context: BrowserContext;
let page: Page;
const requests: string[] = [];
const complaints: string[] = [];

beforeAll(async () => {
  mkdirSync(SCREENSHOTS, { recursive: true });
  host = await serve();
  browser = await openChromium();
  context = await browser.newContext({ viewport: { width: 1280, height: 900 }, permissions: ["camera"] });
  page = await context.newPage();
  context.on("request", (request) => requests.push(request.url()));
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.goto(host.address);
  await page.locator("#sample:enabled").waitFor(PATIENCE);
});

afterAll(async () => {
  await browser.close();
  host.close();
});

async function runSample(): Promise<void> {
  await page.locator("#sample").click();
  await page.getByText(/^1 face in sample.jpg/).waitFor(PATIENCE);
}

async function downloaded(button: string): Promise<string> {
  const [download] = await Promise.all([page.waitForEvent("download"), page.locator(button).click()]);
  return readFileSync(await download.path(), "utf8");
}

describe("page", () => {
  it("finds the face of the sample", async () => {
    await runSample();
    expect(await page.locator("#values tr").count()).toBe(12);
    await page.screenshot({ path: `${SCREENSHOTS}/light.png`, fullPage: true });
  });

  it("changes the weights", async () => {
    const [small] = (JSON.parse(await downloaded("#json")) as { faces: { landmarks: Point[] }[] }).faces;
    await page.locator("#weights").selectOption("nano");
    await page.locator("#sample:enabled").waitFor(PATIENCE);
    await runSample();
    const [nano] = (JSON.parse(await downloaded("#json")) as { faces: { landmarks: Point[] }[] }).faces;
    const apart = largestDistance(nano.landmarks, small.landmarks);
    expect(apart).toBeGreaterThan(0);
    expect(apart).toBeLessThan(15);
    await page.locator("#weights").selectOption("small");
    await page.locator("#sample:enabled").waitFor(PATIENCE);
    await runSample();
  });

  it("turns the face with the keyboard", async () => {
    const scene = page.locator("#scene");
    const before = await scene.screenshot();
    await scene.focus();
    for (let press = 0; press < 4; press++) await page.keyboard.press("ArrowRight");
    expect((await scene.screenshot()).equals(before)).toBe(false);
  });

  it("writes the JSON of Python, and a CSV", async () => {
    const record = JSON.parse(await downloaded("#json")) as { width: number; faces: { landmarks: Point[] }[] };
    const [expected] = readGolden().predictions[0].faces;
    expect(record.width).toBe(512);
    // The sample is a JPEG of the golden picture.
    expect(largestDistance(record.faces[0].landmarks, expected.landmarks)).toBeLessThan(1);
    const lines = (await downloaded("#csv")).trimEnd().split("\n");
    expect(lines.length).toBe(69);
    expect(lines[31].split(",").slice(12, 14)).toEqual(["30", "nose_bridge_3"]);
  });

  it("takes a dropped photo with several faces", async () => {
    await page.locator("#file").setInputFiles(fileURLToPath(new URL("../../build/golden/crowd.jpg", import.meta.url)));
    await page.getByText(/^\d+ faces in crowd.jpg/).waitFor(PATIENCE);
    const faces = page.locator("#faces button");
    expect(await faces.count()).toBeGreaterThanOrEqual(10);
    await faces.nth(2).click();
    expect(await faces.nth(2).getAttribute("aria-pressed")).toBe("true");
    await page.screenshot({ path: `${SCREENSHOTS}/crowd.png`, fullPage: true });
  });

  it("reports a file that is no picture", async () => {
    await page.locator("#file").setInputFiles({ name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("hi") });
    await page.getByText(/^notes.txt: /).waitFor(PATIENCE);
  });

  it("follows a face in the camera, and stops", async () => {
    await page.locator("#camera").click();
    await page.getByText(/^1 face, (0\.[1-9]|[1-9][\d.]*) frames\/s/).waitFor(PATIENCE);
    await page.screenshot({ path: `${SCREENSHOTS}/camera.png`, fullPage: true });
    await page.locator("#camera").click();
    await page.getByText("The camera is off.").waitFor(PATIENCE);
  });

  it("looks right in the dark and on a phone", async () => {
    await runSample();
    await page.emulateMedia({ colorScheme: "dark" });
    await page.screenshot({ path: `${SCREENSHOTS}/dark.png`, fullPage: true });
    await page.setViewportSize({ width: 390, height: 844 });
    await page.screenshot({ path: `${SCREENSHOTS}/phone.png`, fullPage: true });
    const overflow = await page.evaluate(
      () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
    );
    expect(overflow).toBe(0);
    await page.setViewportSize({ width: 1280, height: 900 });
    await page.emulateMedia({ colorScheme: "light" });
  });

  it("talks to its own host only, without errors", () => {
    expect(requests.length).toBeGreaterThan(5);
    expect(requests.filter((url) => !url.startsWith(host.address) && !url.startsWith("blob:"))).toEqual([]);
    expect(complaints).toEqual([]);
  });

  it("works without the network after the first visit", async () => {
    await page.evaluate(() => navigator.serviceWorker.ready.then(() => null));
    await context.setOffline(true);
    host.close();
    await page.reload();
    await page.locator("#sample:enabled").waitFor(PATIENCE);
    await runSample();
  });
});
