/** Speed in Chromium: `npm run bench` prints times per pass, and frames/s of tracking a 720p camera of 60 frames/s. */
import { expect, it } from "vitest";
import { FAST_CAMERA, openChromium } from "./chromium.ts";
import { serve } from "./server.ts";
import type * as Library from "../../src/index.ts";

const SECONDS = 12;

it.each(["small", "nano"])("measures %s", async (weights) => {
  const host = await serve();
  const browser = await openChromium(FAST_CAMERA);
  const page = await browser.newPage();
  await page.goto(`${host.address}/empty`);
  const found = await page.evaluate(
    async ({ seconds, weights }) => {
      const { Landmarker } = window.jvcr;
      const median = (values: number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1];
      const timed = async (runs: number, run: () => Promise<unknown>): Promise<number> => {
        const times: number[] = [];
        for (let index = 0; index < runs + 3; index++) {
          const start = performance.now();
          await run();
          // The first runs also compile.
          if (index >= 3) times.push(performance.now() - start);
        }
        return median(times);
      };
      const response = await fetch("/sample.jpg");
      const bitmap = await createImageBitmap(await response.blob());
      const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
      const context = canvas.getContext("2d")!;
      context.drawImage(bitmap, 0, 0);
      const pixels = context.getImageData(0, 0, bitmap.width, bitmap.height);
      const box: [number, number, number, number] = [178, 86, 276, 180];
      const one = await Landmarker.create({ weights, mirror: false, refine: false });
      const pass = await timed(30, () => one.predict(pixels, [box]));
      const video = document.createElement("video");
      video.srcObject = await navigator.mediaDevices.getUserMedia({
        video: { width: 1280, height: 720, frameRate: 60 },
      });
      await video.play();
      const frames = async (landmarker: Library.Landmarker, mirror: boolean): Promise<number> => {
        const end = new AbortController();
        const times: number[] = [];
        for await (const { faces } of landmarker.track(video, { signal: end.signal, mirror })) {
          if (faces.length) times.push(performance.now());
          if (times.length && performance.now() - times[0] > seconds * 1000) end.abort();
        }
        const steady = times.slice(3);
        return (1000 * (steady.length - 1)) / (steady[steady.length - 1] - steady[0]);
      };
      one.close();
      const usual = await Landmarker.create({ weights });
      const photo = await timed(15, () => usual.predict(pixels));
      const withoutMirror = await frames(usual, false);
      const withMirror = await frames(usual, true);
      return {
        pass_ms: pass,
        photo_512_ms: photo,
        track_720p_fps: withoutMirror,
        track_720p_mirror_fps: withMirror,
      };
    },
    { seconds: SECONDS, weights },
  );
  console.log(weights, JSON.stringify(found, null, 1));
  expect(found.track_720p_fps).toBeGreaterThan(0);
  await browser.close();
  host.close();
});
