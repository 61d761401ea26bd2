/** The page: a folder of static files for any host, in `dist/page`. */
import { defineConfig } from "vite";

export default defineConfig({
  root: "page",
  base: "./",
  publicDir: "../dist/public",
  build: {
    outDir: "../dist/page",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 800,
  },
});
