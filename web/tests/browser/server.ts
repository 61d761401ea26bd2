/** A host of static files, with or without the headers of a cross-origin isolated page. */
import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { extname, join, normalize } from "node:path";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";

const PAGE = fileURLToPath(new URL("../../dist/page", import.meta.url));
const GOLDEN = fileURLToPath(new URL("../../build/golden", import.meta.url));
const TYPES: Record<string, string> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".css": "text/css",
  ".json": "application/json",
  ".wasm": "application/wasm",
  ".svg": "image/svg+xml",
  ".jpg": "image/jpeg",
  ".png": "image/png",
};
const ISOLATED = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

const EMPTY = `<!doctype html><title>empty</title>
<script type="module">import * as jvcr from "/jvcr/jvcr.js"; window.jvcr = jvcr;</script>`;

export interface Host {
  readonly address: string;
  close(): void;
}

/** `/golden/` are the golden cases, `/empty` is a page with nothing but the library, as `window.jvcr`, the rest is `dist/page`. */
export async function serve(isolated = false): Promise<Host> {
  const server: Server = createServer((request, response) => {
    const path = new URL(request.url ?? "/", "http://host").pathname;
    const headers = isolated ? ISOLATED : {};
    if (path === "/empty") {
      response.writeHead(200, { ...headers, "Content-Type": "text/html" }).end(EMPTY);
      return;
    }
    const file = fileOf(path);
    if (!existsSync(file) || !statSync(file).isFile()) {
      response.writeHead(404, headers).end();
      return;
    }
    response.writeHead(200, { ...headers, "Content-Type": TYPES[extname(file)] ?? "application/octet-stream" });
    createReadStream(file).pipe(response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return { address: `http://127.0.0.1:${port}`, close: () => server.close() };
}

function fileOf(path: string): string {
  const safe = normalize(path).replace(/^(\.\.[/\\])+/, "");
  if (safe.startsWith("/golden/")) return join(GOLDEN, safe.slice("/golden/".length));
  return join(PAGE, safe.endsWith("/") ? `${safe}index.html` : safe);
}
