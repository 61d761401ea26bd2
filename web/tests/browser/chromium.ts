/** Debian's Chromium, or the one that $JVCR_CHROMIUM names. Playwright's own browsers are not downloaded. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { chromium, type Browser } from "playwright-core";

const CAMERA = fileURLToPath(new URL("../../build/golden/camera.mjpeg", import.meta.url));

export function openChromium(): Promise<Browser> {
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
      `--use-file-for-fake-video-capture=${CAMERA}`,
      "--enable-unsafe-swiftshader",
    ],
  });
}
