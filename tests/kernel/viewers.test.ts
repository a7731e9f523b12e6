import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import path from "node:path";
import type { Page } from "playwright-core";
import { beforeAll, describe, expect, test } from "vitest";
import { Figure, type MimeBundle, table } from "../../lib/figures/index.js";
import { BROWSER_TIMEOUT_MS, CHROMIUM, openFile, sharedBrowser } from "../browser/chromium.js";
import { exampleFigures } from "../lib/figures/example-figures.js";
import { insideNotebook } from "../lib/notebook/fake-notebook.js";
import { CLASSIC_NOTEBOOK, ClassicNotebook } from "./classic-notebook.js";
import { temporaryFolder } from "./compiled.js";
import { PYTHON, pythonHas } from "./python.js";

/** A notebook with one figure of every kind, each in a cell of its own, and a table. */
const figures = Object.values(exampleFigures(60)).filter((figure) => figure instanceof Figure);
const bundles: MimeBundle[] = [];

beforeAll(async () => {
  await insideNotebook(async () => {
    for (const figure of figures) bundles.push(await figure.mimeBundle());
  });
  const n = Array.from({ length: 60 }, (_, i) => i);
  bundles.push(await table({ n, text: n.map((i) => `text ${i}`) }).mimeBundle());
});

/** Turns the table's page and sorts it, as a reader does. */
async function expectPages(page: Page): Promise<void> {
  await page.getByRole("button", { name: "last page" }).click();
  await page.getByText("rows 51–60 of 60").waitFor();
  expect(await page.locator(".tweedie-table td").first().innerText()).toBe("50");
  for (let clicks = 0; clicks < 2; clicks++) await page.locator(".tweedie-table th button").first().click();
  expect(await page.locator(".tweedie-table td").first().innerText()).toBe("59");
  const sides = "[...document.querySelectorAll('.tweedie-table tr:last-child td')].map((td) => getComputedStyle(td).textAlign)";
  expect(await page.evaluate(sides)).toEqual(["right", "left"]);
}

/** Heights of the live figures that a page shows, and of the stills. */
async function heights(page: Page, selector: string): Promise<number[]> {
  return page.locator(selector).evaluateAll((all) => all.map((one) => one.getBoundingClientRect().height));
}
const LIVE = "[role=figure][data-drawn=yes] .main-svg:first-child";
const STILL = "img[src^='data:image/svg+xml']";

function expectAll(shown: readonly number[]): void {
  expect(shown).toHaveLength(figures.length);
  expect(Math.min(...shown)).toBeGreaterThan(100);
}

describe.skipIf(!CHROMIUM || !pythonHas("nbconvert"))("nbconvert's page (skipped without nbconvert)", () => {
  const browser = sharedBrowser();

  test("shows every figure live, and turns a table's pages", async () => {
    const folder = temporaryFolder();
    const cells = bundles.map((data) => ({
      cell_type: "code",
      metadata: {},
      execution_count: null,
      outputs: [{ output_type: "display_data", metadata: {}, data }],
      source: "",
    }));
    const file = path.join(folder, "page.ipynb");
    writeFileSync(file, JSON.stringify({ cells, metadata: {}, nbformat: 4, nbformat_minor: 4 }));
    expect(spawnSync(PYTHON, ["-m", "nbconvert", "--to", "html", file]).status).toBe(0);
    const { page } = await openFile(browser(), path.join(folder, "page.html"));
    expectAll(await heights(page, LIVE));
    await expectPages(page);
    await page.close();
  });
});

describe.skipIf(!CLASSIC_NOTEBOOK)("classic Notebook", () => {
  const browser = sharedBrowser();
  const opened = (trusted: boolean): Promise<ClassicNotebook> =>
    ClassicNotebook.open(
      browser(),
      bundles.map((bundle) => [bundle]),
      trusted,
    );

  test(
    "shows every figure of a notebook that it trusts live, and turns a table's pages",
    async () => {
      const notebook = await opened(true);
      await expect.poll(() => notebook.page.locator(LIVE).count(), { timeout: BROWSER_TIMEOUT_MS }).toBe(figures.length);
      expectAll(await heights(notebook.page, LIVE));
      await expectPages(notebook.page);
      notebook.close();
    },
    BROWSER_TIMEOUT_MS,
  );

  test(
    "shows a still of every figure of one that it does not trust, and a table's first page",
    async () => {
      const notebook = await opened(false);
      await notebook.page.locator(STILL).last().waitFor();
      expectAll(await heights(notebook.page, STILL));
      expect(await notebook.page.locator(LIVE).count()).toBe(0);
      await notebook.page.getByText("rows 1–25 of 60").waitFor();
      expect(await notebook.page.locator(".output td").count()).toBe(50);
      expect(await notebook.page.locator(".output").getByRole("button").count()).toBe(0);
      notebook.close();
    },
    BROWSER_TIMEOUT_MS,
  );
});
