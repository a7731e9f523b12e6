// Runs modules of examples one after another, each in an empty folder, and tells how each ended and what it displayed; what
// is said to come out must.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { bundleOf } from "tweedie/notebook";
import { closeRuntime } from "tweedie/runtime";

let shown;
globalThis.show = async (value, line) => {
  const bundle = { ...(await bundleOf(await value)) };
  // A page shows the still of a figure.
  if ("image/svg+xml" in bundle) delete bundle["text/html"];
  shown.push([line, bundle]);
};
globalThis.claim = (value, said) => assert.deepEqual(JSON.parse(JSON.stringify(value)), said);
console.log = () => undefined;

for (const file of process.argv.slice(2)) {
  const folder = mkdtempSync(path.join(tmpdir(), "tweedie-examples-"));
  process.chdir(folder);
  shown = [];
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
  process.send({ file, seconds: (performance.now() - started) / 1000, error, shown });
}
