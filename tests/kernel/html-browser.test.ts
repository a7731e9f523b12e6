import { writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { notebookToHtml } from "../../kernel/html.js";
import { parseNotebook } from "../../kernel/notebook-format.js";
import { lossCurve } from "../../lib/figures/loss-curve.js";
import { CHROMIUM, openFile, sharedBrowser } from "../browser/chromium.js";
import { temporaryFolder } from "./compiled.js";

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
