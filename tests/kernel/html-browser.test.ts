import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { notebookToHtml } from "../../kernel/html.js";
import { type Notebook, parseNotebook } from "../../kernel/notebook-format.js";
import { PACKAGE_ROOT } from "../../kernel/package-root.js";
import { lossCurve } from "../../lib/figures/loss-curve.js";
import { CHROMIUM, openFile, sharedBrowser } from "../browser/chromium.js";
import { CLI, temporaryFolder } from "./compiled.js";
import { nbformatVerdict, pythonHas } from "./python.js";

const PLOTLY = "application/vnd.plotly.v1+json";

describe.skipIf(!CHROMIUM)("the exported page in Chromium", () => {
  const browser = sharedBrowser();

  test("draws every figure, without a request and without a complaint, and fits the window", async () => {
    const display = (data: object) => ({ output_type: "display_data", data, metadata: {} });
    const cells = [
      { cell_type: "markdown", metadata: {}, source: "# A page" },
      {
        cell_type: "code",
        metadata: {},
        execution_count: 1,
        source: "figures",
        outputs: [
          display({
            [PLOTLY]: {
              data: [{ type: "scatter", x: [1, 2], y: [3, 4], mode: "markers" }],
              layout: { title: { text: "points" } },
            },
          }),
          display({
            [PLOTLY]: {
              data: [
                {
                  type: "heatmap",
                  z: [
                    [1, 2],
                    [3, 4],
                  ],
                },
              ],
              layout: { height: 300 },
            },
          }),
          display({
            [PLOTLY]: {
              data: [{ y: [1, 2] }],
              layout: { sliders: [{ steps: [{ method: "animate", label: "f0", args: [["f0"]] }] }] },
              frames: [{ name: "f0", data: [{ y: [2, 1] }] }],
            },
          }),
          display(lossCurve([{ name: "loss", y: [2, 1] }]).mimeBundle()),
          { output_type: "stream", name: "stdout", text: "<img src=https://example.org/x onerror=alert(1)>" },
        ],
      },
    ];
    const notebook = parseNotebook(JSON.stringify({ cells, metadata: {}, nbformat: 4, nbformat_minor: 5 }));
    const file = path.join(temporaryFolder(), "page.html");
    writeFileSync(file, notebookToHtml(notebook, { directory: ".", title: "page" }));

    const { page, trouble } = await openFile(browser(), file);
    expect(
      await page.evaluate("[...document.querySelectorAll('.figure')].map((f) => f.querySelectorAll('.main-svg').length > 0)"),
    ).toEqual([true, true, true]);
    expect(await page.evaluate("document.querySelectorAll('.scatterlayer .point').length")).toBeGreaterThanOrEqual(2);
    expect(await page.evaluate("document.documentElement.scrollWidth <= innerWidth")).toBe(true);
    expect(trouble).toEqual([]);
    if (process.env.TWEEDIE_SCREENSHOT) await page.screenshot({ path: process.env.TWEEDIE_SCREENSHOT, fullPage: true });
  });
});

describe("the first notebook, with less of everything,", () => {
  const out = temporaryFolder();
  const file = path.join(out, "01-look-inside");
  let notebook: Notebook;
  const bundles = () =>
    notebook.cells
      .flatMap((cell) => (cell.cell_type === "code" ? cell.outputs : []))
      .flatMap((o) => ("data" in o ? [o.data] : []));

  beforeAll(() => {
    const less = ["steps=5", "scenesPerPair=2", "vectors=3000", "saeSteps=60", "steeringSteps=2"].flatMap((size) => ["-p", size]);
    const source = path.join(PACKAGE_ROOT, "notebooks", "01-look-inside.ipynb");
    const { status, stderr } = spawnSync(process.execPath, [CLI, "run", source, "--html", "--quiet", "-o", out, ...less], {
      encoding: "utf8",
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    notebook = parseNotebook(readFileSync(`${file}.ipynb`, "utf8"));
  }, 600_000);

  test("runs to its end, and what it shows carries Plotly once", () => {
    expect(bundles().filter((data) => PLOTLY in data).length).toBeGreaterThanOrEqual(8);
    const carriers = (text: string) => text.split("<script data-tweedie-library>").length - 1;
    expect(
      carriers(
        bundles()
          .map((data) => data["text/html"] ?? "")
          .join(),
      ),
    ).toBe(1);
    expect(carriers(readFileSync(`${file}.html`, "utf8"))).toBe(1);
  });

  test.skipIf(!pythonHas("nbformat"))(
    "is written in a form that nbformat calls valid (skipped without Python's nbformat)",
    () => {
      expect(nbformatVerdict(`${file}.ipynb`)).toBe("valid");
    },
  );

  describe.skipIf(!CHROMIUM)("in Chromium", () => {
    const browser = sharedBrowser();

    test("shows every figure, without a request and without a complaint", async () => {
      const { page, trouble } = await openFile(browser(), `${file}.html`);
      const heights = await page
        .locator("[role=figure][data-drawn=yes] .main-svg:first-child")
        .evaluateAll((plots) => plots.map((plot) => plot.getBoundingClientRect().height));
      expect(heights).toHaveLength(bundles().filter((data) => PLOTLY in data).length);
      expect(Math.min(...heights)).toBeGreaterThan(100);
      expect(trouble).toEqual([]);
      if (process.env.TWEEDIE_SCREENSHOT) await page.screenshot({ path: process.env.TWEEDIE_SCREENSHOT, fullPage: true });
    });
  });
});
