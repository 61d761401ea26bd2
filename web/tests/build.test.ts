/** What `npm run build` wrote: sizes, checksums, and no other host. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { DETECTORS, WEIGHTS } from "../src/constants.ts";

const page = new URL("../dist/page/", import.meta.url);
const kilobytes = (name: string) => statSync(new URL(name, page)).size / 1000;
const zipped = (name: string) => gzipSync(readFileSync(new URL(name, page))).length / 1000;
const scripts = (folder: string) => readdirSync(new URL(folder, page)).filter((name) => name.endsWith(".js"));
const total = (sizes: number[]) => sizes.reduce((sum, size) => sum + size, 0);

describe("size budget", () => {
  it("of the library's scripts, compressed: 70 kB, 22 of them for WebGPU only", () => {
    expect(total(scripts("jvcr").map((name) => zipped(`jvcr/${name}`)))).toBeLessThan(70);
  });

  it("of the page's script with three.js, compressed: 160 kB", () => {
    expect(total(scripts("assets").map((name) => zipped(`assets/${name}`)))).toBeLessThan(160);
  });

  it("of the networks: 5.6 MB; of ONNX Runtime: 15 MB, with WebGPU 27 MB", () => {
    expect(kilobytes("jvcr/weights/small.onnx") + kilobytes("jvcr/weights/detector.onnx")).toBeLessThan(5600);
    expect(kilobytes("jvcr/wasm/ort-wasm-simd-threaded.wasm")).toBeLessThan(15_000);
    expect(kilobytes("jvcr/wasm/ort-wasm-simd-threaded.asyncify.wasm")).toBeLessThan(27_000);
  });
});

describe("manifest", () => {
  it("has the SHA-256 of every file, and of the weights that the constants are of", () => {
    const { files } = JSON.parse(readFileSync(new URL("jvcr/manifest.json", page), "utf8")) as {
      files: Record<string, { sha256: string; bytes: number }>;
    };
    for (const [name, { sha256, bytes }] of Object.entries(files)) {
      const data = readFileSync(new URL(`jvcr/${name}`, page));
      expect(data.length).toBe(bytes);
      expect(createHash("sha256").update(data).digest("hex"), name).toBe(sha256);
    }
    for (const [name, { sha256 }] of Object.entries({ ...WEIGHTS, ...DETECTORS })) {
      expect(files[`weights/${name}.onnx`].sha256).toBe(sha256);
    }
  });
});

describe("lock file", () => {
  it("holds no download address", () => {
    const lock = readFileSync(new URL("../package-lock.json", import.meta.url), "utf8");
    expect(lock).not.toContain('"resolved"');
    expect(lock).not.toMatch(/registry\.[a-z]/);
  });
});

describe("service worker", () => {
  it("keeps the page and the library's scripts", () => {
    const text = readFileSync(new URL("service-worker.js", page), "utf8");
    for (const name of ["./index.html", "./jvcr/worker.js", "./jvcr/manifest.json", "./sample.jpg"]) {
      expect(text).toContain(`"${name}"`);
    }
    expect(text).not.toContain("__");
  });
});
