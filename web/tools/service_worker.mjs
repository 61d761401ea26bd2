/** Writes `dist/page/service-worker.js`: the page's files, and a version that changes with any of them. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const page = new URL("../dist/page/", import.meta.url);
const template = readFileSync(new URL("../page/service-worker.js", import.meta.url), "utf8");

const all = readdirSync(page, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => `${entry.parentPath}/${entry.name}`.slice(fileURLToPath(page).length).replace(/^\//, ""))
  .filter((name) => !/\.(onnx|wasm)$/.test(name) && name !== "service-worker.js")
  .sort();
const digest = createHash("sha256");
for (const name of all) digest.update(name).update(readFileSync(new URL(name, page)));
const files = ["./", ...all.map((name) => `./${name}`)];
writeFileSync(
  new URL("service-worker.js", page),
  template
    .replace("__VERSION__", digest.digest("hex").slice(0, 16))
    .replace("__FILES__", JSON.stringify(files, null, 2)),
);
