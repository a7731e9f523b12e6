import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Figure, table } from "../../lib/figures/index.js";
import { CLASSIC_NOTEBOOK, ClassicNotebook } from "../kernel/classic-notebook.js";
import { exampleFigures } from "../lib/figures/example-figures.js";
import { insideNotebook } from "../lib/notebook/fake-notebook.js";
import { BROWSER_TIMEOUT_MS, sharedBrowser } from "./chromium.js";

const PACKAGES = fileURLToPath(new URL("./jupyterlab/", import.meta.url));
const INSTALLED = existsSync(path.join(PACKAGES, "node_modules"));
if (!INSTALLED)
  console.warn(
    "nothing is opened in JupyterLab: npm install --ignore-scripts --prefix tests/browser/jupyterlab brings its packages (400 MB)",
  );

interface EsbuildPlugin {
  onResolve(on: { filter: RegExp }, resolve: (at: { path: string; kind: string }) => unknown): void;
  onLoad(on: { filter: RegExp; namespace: string }, load: () => unknown): void;
  resolve(path: string, at: { kind: string; resolveDir: string }): unknown;
}

/** Bundles `jupyterlab/page.js` and puts a page with it where a Jupyter server serves it. */
async function writePage(folder: string): Promise<void> {
  const { build } = createRequire(path.join(PACKAGES, "package.json"))("esbuild") as {
    build(options: object): Promise<unknown>;
  };
  const setup = (esbuild: EsbuildPlugin): void => {
    const from = (at: { kind: string }, name: string) => esbuild.resolve(name, { kind: at.kind, resolveDir: PACKAGES });
    esbuild.onResolve({ filter: /^~/ }, (at) => from(at, at.path.slice(1)));
    esbuild.onResolve({ filter: /^path$/ }, (at) => from(at, "path-browserify"));
    esbuild.onResolve({ filter: /^(crypto|fs)$/ }, () => ({ path: "none", namespace: "none" }));
    esbuild.onLoad({ filter: /./, namespace: "none" }, () => ({ contents: "export default {}" }));
  };
  await build({
    entryPoints: [path.join(PACKAGES, "page.js")],
    bundle: true,
    outfile: path.join(folder, "page.js"),
    format: "esm",
    loader: { ".svg": "text", ".raw.css": "text", ".woff": "dataurl", ".woff2": "dataurl", ".ttf": "dataurl" },
    define: { "process.env": "{}", global: "globalThis" },
    plugins: [{ name: "browser", setup }],
    logLevel: "error",
  });
  const config = JSON.stringify({ baseUrl: "/", wsUrl: "", token: "" });
  const html = `<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="page.css">
    <style>body { overflow: auto } .jp-Notebook { position: static !important; height: auto !important }</style>
    <body data-jp-theme-light="true"><script id="jupyter-config-data" type="application/json">${config}</script>
    <script type="module" src="page.js"></script>`;
  writeFileSync(path.join(folder, "page.html"), html);
}

describe.skipIf(!INSTALLED || !CLASSIC_NOTEBOOK)("in JupyterLab's notebook (skipped without its packages)", () => {
  const browser = sharedBrowser();
  const figures = Object.values(exampleFigures(60)).filter((figure) => figure instanceof Figure);
  let server: ClassicNotebook;

  beforeAll(async () => {
    server = await ClassicNotebook.open(browser(), []);
    const served = path.join(server.folder, "data", "nbextensions", "lab");
    mkdirSync(served, { recursive: true });
    await writePage(served);
  }, BROWSER_TIMEOUT_MS);
  afterAll(() => server?.close());

  async function opened(): Promise<Page> {
    const page = await browser().newPage({ viewport: { width: 1000, height: 1000 } });
    await page.goto(new URL("/nbextensions/lab/page.html", server.page.url()).href);
    await page.waitForFunction("window.execute !== undefined");
    return page;
  }

  async function withFigures(trusted: boolean): Promise<Page> {
    const cells: object[] = [];
    await insideNotebook(async () => {
      for (const figure of [...figures, table({ n: Array.from({ length: 60 }, (_, i) => i) })]) {
        const outputs = [{ output_type: "display_data", metadata: {}, data: await figure.mimeBundle() }];
        cells.push({ cell_type: "code", id: `c${cells.length}`, metadata: {}, execution_count: null, outputs, source: "" });
      }
    });
    const content = { cells, metadata: {}, nbformat: 4, nbformat_minor: 5 };
    const page = await opened();
    await page.evaluate(`openNotebook(${JSON.stringify(content)}, ${trusted})`);
    return page;
  }

  test("every figure of a trusted notebook is live, and of another one a still", { timeout: BROWSER_TIMEOUT_MS }, async () => {
    for (const [trusted, selector] of [
      [true, "[role=figure][data-drawn=yes] .main-svg:first-child"],
      [false, "img[src^='data:image/svg+xml']"],
    ] as const) {
      const page = await withFigures(trusted);
      const all = page.locator(selector);
      await expect.poll(() => all.count(), { timeout: BROWSER_TIMEOUT_MS }).toBe(figures.length);
      const heights = await all.evaluateAll((shown) => shown.map((one) => one.getBoundingClientRect().height));
      expect(Math.min(...heights)).toBeGreaterThan(100);
      await page.getByText("rows 1–25 of 60").waitFor();
      const last = page.getByRole("button", { name: "last page" });
      expect(await last.count()).toBe(trusted ? 1 : 0);
      if (trusted) {
        await last.press("Enter");
        await page.getByText("rows 51–60 of 60").waitFor();
        expect(await page.locator(".tweedie-table td").count()).toBe(10);
      }
      if (process.env.TWEEDIE_SCREENSHOT) await page.screenshot({ path: process.env.TWEEDIE_SCREENSHOT, fullPage: true });
      await page.close();
    }
  });

  test("a widget reaches the kernel, whose output area shows what it draws", { timeout: BROWSER_TIMEOUT_MS }, async () => {
    const page = await opened();
    const code = `import { interact, lossCurve } from "tweedie";
      await interact({ k: [1, 9] }, ({ k }) => lossCurve([{ name: "loss", y: [1, k] }], { title: "k is " + k }));`;
    expect(await page.evaluate(`execute(${JSON.stringify(code)})`)).toBe("ok");
    await page.locator("[data-drawn=yes] .gtitle", { hasText: "k is 5" }).waitFor();
    await page.getByRole("slider", { name: "k" }).press("End");
    await page.locator("[data-drawn=yes] .gtitle", { hasText: "k is 9" }).waitFor();
    expect(await page.locator("[data-drawn=yes]").count()).toBe(1);
    await page.close();
  });
});
