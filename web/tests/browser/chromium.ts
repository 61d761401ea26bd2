/** Debian's Chromium, or the one that $JVCR_CHROMIUM names. Playwright's own browsers are not downloaded. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { chromium, type Browser } from "playwright-core";

/** Of 30 frames/s; and one of 60, for measurements (`npm run bench` writes it). */
export const CAMERA = cameraFile("camera.mjpeg");
export const FAST_CAMERA = cameraFile("camera60.y4m");

function cameraFile(name: string): string {
  return fileURLToPath(new URL(`../../build/golden/${name}`, import.meta.url));
}

/** WebGPU that Chromium emulates on the CPU. */
export const EMULATED_GPU = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"];

/** `more`: further command-line options. */
export function openChromium(camera = CAMERA, more: readonly string[] = []): Promise<Browser> {
  const candidates = [
    process.env["JVCR_CHROMIUM"],
    "/usr/bin/chromium",
    "/usr/bin/chromium-browser",
    "/usr/bin/google-chrome",
  ];
  const executablePath = candidates.find((path) => path && existsSync(path));
  if (!executablePath) throw new Error("Chromium is missing: `apt-get install chromium`, or name it in JVCR_CHROMIUM");
  return chromium.launch({
    executablePath,
    args: [
      "--no-sandbox",
      "--use-fake-ui-for-media-stream",
      "--use-fake-device-for-media-stream",
      `--use-file-for-fake-video-capture=${camera}`,
      "--enable-unsafe-swiftshader",
      ...more,
    ],
  });
}
