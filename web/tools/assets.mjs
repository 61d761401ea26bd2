/** Puts what the library serves into `dist/public/jvcr`: weights, ONNX Runtime's WASM, licences, and the manifest. */
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const here = new URL("../", import.meta.url);
const out = new URL("dist/public/jvcr/", here);
const weights = new URL("../src/jvcr/weights/", here);
const runtime = new URL("node_modules/onnxruntime-web/dist/", here);
const constants = JSON.parse(readFileSync(new URL("src/constants.json", here), "utf8"));

const known = { ...constants.weights, ...constants.detectors };
const sources = Object.fromEntries([
  ...Object.keys(known).map((name) => [`weights/${name}.onnx`, new URL(`${name}.onnx`, weights)]),
  ["wasm/ort-wasm-simd-threaded.wasm", new URL("ort-wasm-simd-threaded.wasm", runtime)],
  ["wasm/ort-wasm-simd-threaded.mjs", new URL("ort-wasm-simd-threaded.mjs", runtime)],
  ["wasm/ort-wasm-simd-threaded.asyncify.wasm", new URL("ort-wasm-simd-threaded.asyncify.wasm", runtime)],
  ["wasm/ort-wasm-simd-threaded.asyncify.mjs", new URL("ort-wasm-simd-threaded.asyncify.mjs", runtime)],
  ["LICENSE-WEIGHTS", new URL("LICENSE-WEIGHTS", weights)],
  ["LICENSE", new URL("../LICENSE", here)],
]);

rmSync(new URL("dist", here), { recursive: true, force: true });
mkdirSync(new URL("weights/", out), { recursive: true });
mkdirSync(new URL("wasm/", out), { recursive: true });
const files = {};
for (const [name, source] of Object.entries(sources)) {
  copyFileSync(source, new URL(name, out));
  const bytes = readFileSync(source);
  files[name] = { sha256: createHash("sha256").update(bytes).digest("hex"), bytes: bytes.length };
}
for (const [name, { sha256 }] of Object.entries(known)) {
  if (files[`weights/${name}.onnx`].sha256 !== sha256) {
    console.error(`${fileURLToPath(weights)}${name}.onnx changed; run \`npm run constants\` and commit the file`);
    process.exit(1);
  }
}
for (const name of ["sample.jpg", "icon.svg"]) {
  copyFileSync(new URL(`page/static/${name}`, here), new URL(`dist/public/${name}`, here));
}
writeFileSync(new URL("manifest.json", out), `${JSON.stringify({ files }, null, 1)}\n`);
