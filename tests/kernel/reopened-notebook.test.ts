import { readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BROWSER_TIMEOUT_MS, sharedBrowser } from "../browser/chromium.js";
import { CLASSIC_NOTEBOOK, ClassicNotebook } from "./classic-notebook.js";

describe.skipIf(!CLASSIC_NOTEBOOK)("a notebook with figures, opened again in classic Notebook,", () => {
  const browser = sharedBrowser();
  let notebook: ClassicNotebook;
  const figure = (cell: number) => notebook.output(cell).locator("[data-drawn=yes] .main-svg").first();

  beforeAll(async () => {
    notebook = await ClassicNotebook.open(browser(), Array(4).fill([]));
    await notebook.run(
      0,
      "import { lossCurve, restoreFigures } from 'tweedie';\nlossCurve([{ name: 'a', y: [3, 2, 1] }], { title: 'first' })",
    );
    await figure(0).waitFor();
    await notebook.run(1, "lossCurve([{ name: 'b', y: [1, 2, 3] }], { title: 'second' })");
    await figure(1).waitFor();
  }, BROWSER_TIMEOUT_MS);
  afterAll(() => notebook?.close());

  async function saveAndReload(): Promise<number> {
    await notebook.page.evaluate("Jupyter.notebook.save_notebook()");
    await notebook.page.reload();
    await notebook.connected();
    return readFileSync(path.join(notebook.folder, "page.ipynb"), "utf8").split("<script data-tweedie-library>").length - 1;
  }

  test("draws them, with plotly.js in it once", async () => {
    expect(await saveAndReload()).toBe(1);
    await figure(0).waitFor();
    await figure(1).waitFor();
  });

  test("shows stills after the first figure was cleared, which come alive on request and stay so", async () => {
    await notebook.page.evaluate("Jupyter.notebook.get_cell(0).clear_output()");
    expect(await saveAndReload()).toBe(0);
    const still = notebook.output(1).getByRole("img", { name: /^second: / });
    expect((await still.boundingBox())!.height).toBeGreaterThan(200);
    await notebook.shows(1, "Only a still picture: plotly.js came with another figure");
    await notebook.run(2, "restoreFigures()");
    await figure(1).waitFor();
    expect(await saveAndReload()).toBe(1);
    await figure(1).waitFor();
  });
});
