/** The library: `jvcr.js` for pages and `worker.js`, beside the files that `tools/assets.mjs` copied. */
import { defineConfig } from "vite";

export default defineConfig({
  publicDir: false,
  // ONNX Runtime's start script stays a file of its own: its threads load it again.
  resolve: { conditions: ["onnxruntime-web-use-extern-wasm", "import", "module", "browser", "default"] },
  build: {
    outDir: "dist/public/jvcr",
    emptyOutDir: false,
    target: "es2022",
    copyPublicDir: false,
    lib: { entry: { jvcr: "src/index.ts", worker: "src/browser/worker.ts" }, formats: ["es"] },
  },
});
