import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import type { Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import { notebookToHtml } from "../../kernel/html.js";
import { type Notebook, parseNotebook } from "../../kernel/notebook-format.js";
import { notebooksToSite } from "../../kernel/site.js";
import { notebookToSlides } from "../../kernel/slides.js";
import { barsWithIntervals } from "../../lib/figures/bars-with-intervals.js";
import { lossCurve } from "../../lib/figures/loss-curve.js";
import { CHROMIUM, openFile, sharedBrowser } from "../browser/chromium.js";
import { temporaryFolder } from "./compiled.js";

const options = { directory: ".", title: "untitled" };

type Given = string | { markdown: string } | { data: object };

function notebook(cells: readonly Given[], metadata: object = {}): Notebook {
  const raw = cells.map((cell) => {
    if (typeof cell === "object" && "markdown" in cell) return { cell_type: "markdown", metadata: {}, source: cell.markdown };
    const outputs = typeof cell === "string" ? [] : [{ output_type: "display_data", data: cell.data, metadata: {} }];
    return { cell_type: "code", metadata: {}, source: typeof cell === "string" ? cell : "figure", execution_count: 1, outputs };
  });
  return parseNotebook(JSON.stringify({ cells: raw, metadata, nbformat: 4, nbformat_minor: 5 }));
}

const own = { data: lossCurve([{ name: "loss", y: [2, 1] }]).mimeBundle() };
const bars = {
  data: barsWithIntervals(["a"], [{ name: "x", values: [{ mean: 0.5, low: 0.4, high: 0.6 }] }], { title: "bars" }).mimeBundle(),
};
const plain = { data: { "application/vnd.plotly.v1+json": { data: [{ y: [1, 2] }], layout: { title: { text: "plain" } } } } };

describe.skipIf(!CHROMIUM)("in Chromium", () => {
  const browser = sharedBrowser();
  const folder = temporaryFolder();
  const open = async (name: string, html: string): ReturnType<typeof openFile> => {
    writeFileSync(path.join(folder, name), html);
    return openFile(browser(), path.join(folder, name));
  };
  /** How light the page's ground, its text, and the text and whiskers of its figures are, 0…255. */
  const lightness = (page: Page): Promise<Record<string, number[]>> =>
    page.evaluate(`(() => {
      const light = (color) => color.match(/\\d+(\\.\\d+)?/g).slice(0, 3).reduce((a, b) => a + Number(b), 0) / 3;
      const of = (selector, property) => [...document.querySelectorAll(selector)].map((e) => Math.round(light(getComputedStyle(e)[property])));
      return { ground: of("body", "backgroundColor"), text: of("main", "color"), titles: of(".gtitle", "fill"), whiskers: of(".xerror, .yerror", "stroke") };
    })()`);

  test("a page follows the system, then the reader; figures and their error bars go along; paper is light", async () => {
    const { page, trouble } = await open(
      "theme.html",
      notebookToHtml(notebook([{ markdown: "# T" }, own, bars, plain]), options),
    );
    const isDark = ({ ground, text, titles, whiskers }: Record<string, number[]>): boolean[] => [
      ...ground!.map((value) => value < 60),
      ...[...text!, ...titles!, ...whiskers!].map((value) => value > 180),
    ];
    const all = (dark: boolean) =>
      expect.poll(async () => isDark(await lightness(page)), { timeout: 60_000 }).toEqual(Array(6).fill(dark));
    await page.emulateMedia({ colorScheme: "light" });
    await all(false);
    await page.emulateMedia({ colorScheme: "dark" });
    await all(true);
    await page.click("#theme");
    await all(false);
    await page.reload();
    await all(false);
    await page.click("#theme");
    await all(true);
    await page.evaluate("dispatchEvent(new Event('beforeprint'))");
    await all(false);
    await page.evaluate("dispatchEvent(new Event('afterprint'))");
    await all(true);
    expect(trouble.filter((text) => !text.startsWith("request"))).toEqual([]);
  });

  test("slides are turned by keys, one at a time, with figures at their size, and printed one per page", async () => {
    const cells = [{ markdown: "# One" }, { markdown: "## Two" }, own, { markdown: "## Three" }, plain];
    const { page, trouble } = await open("slides.html", notebookToSlides(notebook(cells), options));
    await page.setViewportSize({ width: 1280, height: 720 });
    const seen = () => page.locator(".slide:visible").evaluateAll((slides) => slides.map((slide) => slide.id));
    const press = async (...keys: string[]): Promise<string[]> => {
      for (const key of keys) await page.keyboard.press(key);
      return seen();
    };
    expect(await seen()).toEqual(["1"]);
    expect(await press("ArrowRight")).toEqual(["2"]);
    expect(await press("ArrowLeft", "ArrowLeft")).toEqual(["1"]);
    expect(await press("End")).toEqual(["3"]);
    expect(await page.evaluate("location.hash")).toBe("#3");
    expect(
      await page
        .locator(".slide.now .main-svg")
        .first()
        .evaluate((plot) => plot.getBoundingClientRect().width),
    ).toBeGreaterThan(600);
    expect(await press(" ", "PageDown")).toEqual(["3"]);
    expect(await press("o")).toEqual(["1", "2", "3"]);
    await page.locator('[id="2"]').click();
    expect(await seen()).toEqual(["2"]);
    const pdf = (await page.pdf({ preferCSSPageSize: true })).toString("latin1");
    expect(pdf.match(/\/Type \/Page\b(?!s)/g)).toHaveLength(3);
    expect(trouble).toEqual([]);
  });

  test("fragments come one by one, and notes on a key", async () => {
    const of = (slide_type: string, source: string) => ({
      cell_type: "markdown",
      metadata: { slideshow: { slide_type } },
      source,
    });
    const cells = [of("slide", "# One"), of("fragment", "a"), of("fragment", "b"), of("notes", "to say"), of("slide", "# Two")];
    const book = parseNotebook(JSON.stringify({ cells, metadata: {}, nbformat: 4, nbformat_minor: 5 }));
    const { page } = await open("fragments.html", notebookToSlides(book, options));
    const seen = (): Promise<string[]> => page.locator("p:visible, h1:visible").allInnerTexts();
    const after: string[][] = [await seen()];
    for (const key of ["ArrowRight", "ArrowRight", "s", "ArrowRight", "ArrowLeft", "ArrowLeft"]) {
      await page.keyboard.press(key);
      after.push(await seen());
    }
    expect(after).toEqual([
      ["One"],
      ["One", "a"],
      ["One", "a", "b"],
      ["One", "a", "b", "to say"],
      ["Two"],
      ["One", "a", "b", "to say"],
      ["One", "a", "to say"],
    ]);
  });

  test("a site opens from a folder: the index filters by tag, links lead on, figures are drawn by the shared file", async () => {
    const { files } = notebooksToSite(
      [
        {
          file: "one.ipynb",
          place: "one.ipynb",
          notebook: notebook([{ markdown: "# One\n\n[on](in/two.ipynb)" }], { tags: ["x"] }),
        },
        {
          file: "in/two.ipynb",
          place: "in/two.ipynb",
          notebook: notebook([{ markdown: "# Two" }, own, plain], { tags: ["x", "y"] }),
        },
      ],
      { title: "Site" },
    );
    const root = path.join(folder, "site");
    for (const [place, content] of files) {
      mkdirSync(path.dirname(path.join(root, place)), { recursive: true });
      writeFileSync(path.join(root, place), content);
    }
    const page = await browser().newPage({ viewport: { width: 1000, height: 800 } });
    const trouble: string[] = [];
    page.on("console", (message) => trouble.push(message.text()));
    page.on("pageerror", (error) => trouble.push(error.message));
    page.on("requestfailed", (request) => trouble.push(request.url()));
    await page.goto(pathToFileURL(path.join(root, "index.html")).href);
    const cards = (): Promise<string[]> => page.locator("li h2:visible").allInnerTexts();
    expect(await cards()).toEqual(["One", "Two"]);
    await page.getByRole("button", { name: "y" }).click();
    expect(await cards()).toEqual(["Two"]);
    await page.getByRole("button", { name: "y" }).click();
    expect(
      await page
        .locator("li img")
        .evaluateAll((images) => images.map((image) => (image as { naturalWidth?: number }).naturalWidth! > 0)),
    ).toEqual([true]);
    await page.getByRole("link", { name: "One" }).click();
    await page.getByRole("link", { name: "on", exact: true }).click();
    await page.locator(".figure .main-svg").first().waitFor({ state: "attached" });
    await page.locator("[role=figure][data-drawn=yes]").waitFor({ state: "attached" });
    expect(await page.evaluate("document.title")).toBe("Two");
    await page.getByRole("link", { name: "Site" }).first().click();
    expect(await page.evaluate("document.title")).toBe("Site");
    expect(trouble).toEqual([]);
  });
});
