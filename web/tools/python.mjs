/** Runs a Python script of this folder with the package of this checkout: `node tools/python.mjs golden.py`. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));
const [script, ...rest] = process.argv.slice(2);

/** $JVCR_PYTHON, an environment in the checkout, or the Python on the path. */
const python =
  [process.env.JVCR_PYTHON, `${root}.venv/bin/python`].find((path) => path && existsSync(path)) ?? "python3";

const done = spawnSync(python, [fileURLToPath(new URL(script, import.meta.url)), ...rest], {
  stdio: "inherit",
  env: { ...process.env, PYTHONPATH: [`${root}src`, process.env.PYTHONPATH].filter(Boolean).join(delimiter) },
});
if (done.status !== 0) {
  console.error(
    `${script} failed with ${python}. It needs jvcr's dependencies and scikit-image: run \`pip install ".[demo]"\` in ` +
      "the repository, or name a Python that has them in the environment variable JVCR_PYTHON.",
  );
}
process.exit(done.status ?? 1);
