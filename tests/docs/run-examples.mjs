// Runs modules of examples one after another, in a folder of their own, and tells how each ended; what a notebook would
// display is displayed, and what is said to come out must.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { jupyterDisplay } from "tweedie/figures";
import { closeRuntime } from "tweedie/runtime";

globalThis.show = async (value) => {
  const shown = await value;
  if (typeof shown?.[jupyterDisplay] === "function") await shown[jupyterDisplay]();
};
globalThis.claim = (value, said) => assert.deepEqual(JSON.parse(JSON.stringify(value)), said);
console.log = () => undefined;

for (const file of process.argv.slice(2)) {
  const folder = mkdtempSync(path.join(tmpdir(), "tweedie-examples-"));
  process.chdir(folder);
  const started = performance.now();
  let error;
  try {
    await import(pathToFileURL(file).href);
  } catch (caught) {
    error = caught instanceof Error ? caught.stack : String(caught);
  }
  await closeRuntime();
  process.chdir(path.dirname(file));
  rmSync(folder, { recursive: true });
  process.send({ page: path.basename(file, ".mjs"), seconds: (performance.now() - started) / 1000, error });
}
