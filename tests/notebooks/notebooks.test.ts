import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import type { MimeBundle } from "../../kernel/messages.js";
import { type Notebook, parseNotebook } from "../../kernel/notebook-format.js";
import { PACKAGE_ROOT } from "../../kernel/package-root.js";
import { stillOf } from "../../lib/figures/index.js";
import { CHROMIUM, openFile, sharedBrowser } from "../browser/chromium.js";
import { CLI, temporaryFolder } from "../kernel/compiled.js";
import { nbformatVerdict, pythonHas } from "../kernel/python.js";

const isFigure = (data: MimeBundle): boolean => stillOf(String(data["text/html"] ?? "")) !== undefined;
const FOLDER = path.join(PACKAGE_ROOT, "notebooks");

/** Every notebook, with less of everything so that a test run has time for all. */
const LESS: Readonly<Record<string, readonly string[]>> = {
  "01-look-inside": ["steps=5", "scenesPerPair=2", "vectors=3000", "saeSteps=60", "steeringSteps=2"],
  "02-samplers": [
    'solvers=["ddim","dpmpp-2m"]',
    'noisy=["ddpm"]',
    "stepCounts=[4,8]",
    "referenceSteps=10",
    "fewSteps=4",
    "seeds=2",
    "judgedSteps=[2]",
    "judgedPrompts=6",
  ],
  "03-anatomy": ["steps=2", "noiseLevels=[300]", "judgedPrompts=6"],
  "04-attention": ["steps=4", "scoredScenes=4", "noiseLevels=[300,700]", "weights=[0,1,2]", "editSteps=2", "judgedPrompts=6"],
  "05-editing": [
    "pictures=2",
    "inversionSteps=[4,8]",
    "scales=[1,4]",
    "steps=4",
    "nullTextSteps=3",
    "nullTextIterations=2",
    "strengths=[0.5,1]",
    "directionDoses=[0,1]",
    "guidedPictures=2",
    "classifierScales=[0,1]",
  ],
  "06-patching": [
    "steps=3",
    "call=1",
    "integrationPoints=4",
    'colourPairs=[["a large red circle","a large blue circle"]]',
    'shapePairs=[["a large red circle","a large red square"]]',
    'hookPoints=["mid_block","up_blocks.1","up_blocks.1.attentions.*:update"]',
  ],
};

test("every notebook is run here, and stands in the repository without outputs", () => {
  const all = readdirSync(FOLDER).filter((file) => file.endsWith(".ipynb"));
  expect(all.map((file) => path.parse(file).name).sort()).toEqual(Object.keys(LESS));
  for (const file of all) {
    const { cells } = parseNotebook(readFileSync(path.join(FOLDER, file), "utf8"));
    const code = cells.filter((cell) => cell.cell_type === "code");
    expect(code.flatMap((cell) => cell.outputs)).toEqual([]);
    expect(code.every((cell) => cell.execution_count === null)).toBe(true);
    const exercises = cells.find((cell) => cell.cell_type === "markdown" && cell.source.includes("## Exercises"));
    expect(exercises?.source.match(/^\d\. /gm)?.length).toBeGreaterThanOrEqual(3);
  }
});

describe.each(Object.entries(LESS))("%s, with less of everything,", (name, less) => {
  const out = temporaryFolder();
  const file = path.join(out, name);
  let notebook: Notebook;
  const bundles = () =>
    notebook.cells
      .flatMap((cell) => (cell.cell_type === "code" ? cell.outputs : []))
      .flatMap((o) => ("data" in o ? [o.data] : []));

  beforeAll(() => {
    const source = path.join(FOLDER, `${name}.ipynb`);
    const sizes = less.flatMap((size) => ["-p", size]);
    const { status, stderr } = spawnSync(process.execPath, [CLI, "run", source, "--html", "--quiet", "-o", out, ...sizes], {
      encoding: "utf8",
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    notebook = parseNotebook(readFileSync(`${file}.ipynb`, "utf8"));
  }, 600_000);

  test("runs to its end, and what it shows carries Plotly once", () => {
    expect(bundles().filter(isFigure).length).toBeGreaterThanOrEqual(5);
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
      expect(heights).toHaveLength(bundles().filter(isFigure).length);
      expect(Math.min(...heights)).toBeGreaterThan(100);
      expect(trouble).toEqual([]);
      if (process.env.TWEEDIE_SCREENSHOT) await page.screenshot({ path: process.env.TWEEDIE_SCREENSHOT, fullPage: true });
    });
  });
});

// The first one draws known scenes throughout; the others leave out what only the drawn world can answer.
describe.each(Object.entries(LESS).slice(1))("%s of a model in a folder", (name, less) => {
  test("runs to its end", () => {
    const source = path.join(FOLDER, `${name}.ipynb`);
    const sizes = [...less, `model=${path.join(PACKAGE_ROOT, "models", "shapes")}`].flatMap((size) => ["-p", size]);
    const { status, stderr } = spawnSync(process.execPath, [CLI, "run", source, "--quiet", "-o", temporaryFolder(), ...sizes], {
      encoding: "utf8",
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  }, 600_000);
});
