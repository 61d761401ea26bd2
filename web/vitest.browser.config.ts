import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: [process.env["JVCR_BENCH"] ? "tests/browser/speed.ts" : "tests/browser/*.test.ts"],
    testTimeout: 300_000,
    hookTimeout: 300_000,
    fileParallelism: false,
  },
});
