import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import path from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BROWSER_TIMEOUT_MS, CHROMIUM, sharedBrowser } from "../browser/chromium.js";
import { CLI, temporaryFolder } from "./compiled.js";
import { freePort } from "./jupyter-client.js";
import { PYTHON, pythonHas } from "./python.js";

const available = CHROMIUM !== undefined && pythonHas("notebook");
if (!available) console.warn("classic Notebook is not tested: install jupyter-notebook and Chromium for it");

describe.skipIf(!available)("in classic Notebook", () => {
  const folder = temporaryFolder();
  const browser = sharedBrowser();
  let server: ChildProcess;
  let page: Page;

  beforeAll(async () => {
    expect(spawnSync(process.execPath, [CLI, "install", "--prefix", folder]).status).toBe(0);
    const metadata = { kernelspec: { name: "tweedie", display_name: "TypeScript (tweedie)", language: "typescript" } };
    const cell = { cell_type: "code", metadata: {}, execution_count: null, outputs: [], source: "" };
    writeFileSync(
      path.join(folder, "page.ipynb"),
      JSON.stringify({ cells: Array(8).fill(cell), metadata, nbformat: 4, nbformat_minor: 4 }),
    );
    const port = await freePort();
    const options = [
      "--allow-root",
      "--no-browser",
      `--port=${port}`,
      "--NotebookApp.token=",
      "--NotebookApp.disable_check_xsrf=True",
    ];
    const env = {
      ...process.env,
      HOME: folder,
      JUPYTER_PATH: path.join(folder, "share", "jupyter"),
      JUPYTER_DATA_DIR: path.join(folder, "data"),
    };
    server = spawn(PYTHON, ["-m", "notebook", ...options, folder], { cwd: folder, env, stdio: "ignore" });
    page = await browser().newPage({ viewport: { width: 1000, height: 1200 } });
    page.setDefaultTimeout(BROWSER_TIMEOUT_MS);
    for (;;) {
      const reached = await page.goto(`http://localhost:${port}/notebooks/page.ipynb`).catch(() => undefined);
      if (reached?.ok()) break;
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
    await page.waitForFunction(
      "window.Jupyter?.notebook?.kernel?.is_connected() && Jupyter.notebook.kernel.info_reply.status === 'ok'",
    );
  }, BROWSER_TIMEOUT_MS);
  afterAll(() => server?.kill());

  /** Writes code into a cell and runs it with the button of the tool bar. */
  async function run(cell: number, code: string): Promise<void> {
    await page.evaluate(
      `{ const { notebook } = Jupyter; notebook.get_cell(${cell}).set_text(${JSON.stringify(code)}); notebook.select(${cell}); }`,
    );
    await page.locator("#run_int button").first().click();
  }
  const output = (cell: number) => page.locator(".code_cell").nth(cell).locator(".output");
  const shows = (cell: number, text: string) => output(cell).filter({ hasText: text }).waitFor();

  test("cells run with results, streams and displays that change", async () => {
    await run(0, "const kept = 6 * 7;\nconsole.log('printed');\nkept");
    await shows(0, "printed");
    await shows(0, "42");
    await run(1, "%%html\n<b id=shown>shown</b>");
    await page.locator("#shown").waitFor();
    await run(
      2,
      `const { display, clear } = (globalThis as any)[Symbol.for("tweedie.notebook")];
       display({ data: { "text/plain": "old" }, transient: { display_id: "d" } });
       display({ data: { "text/plain": "new" }, transient: { display_id: "d" } }, true);`,
    );
    await shows(2, "new");
    expect(await output(2).innerText()).not.toContain("old");
  });

  test("input asks in the page", async () => {
    await run(3, "'hello ' + (await input('name? '))");
    await output(3).getByText("name?").waitFor();
    await output(3).locator("input").fill("Ada");
    await output(3).locator("input").press("Enter");
    await shows(3, "hello Ada");
  });

  test("the stop button interrupts a loop, and variables stay", async () => {
    await run(4, "console.log('begun'); while (true) {}");
    await shows(4, "begun");
    await page.locator("[data-jupyter-action='jupyter-notebook:interrupt-kernel']").first().click();
    await shows(4, "Interrupted: the cell was interrupted");
    await run(5, "kept");
    await shows(5, "42");
    if (process.env.TWEEDIE_SCREENSHOT) await page.screenshot({ path: process.env.TWEEDIE_SCREENSHOT, fullPage: true });
  });

  test("the restart button gives a fresh kernel", async () => {
    await page.locator("[data-jupyter-action='jupyter-notebook:confirm-restart-kernel']").first().click();
    await page.locator(".modal-dialog .btn-danger").click();
    await page.waitForFunction("window.Jupyter.notebook.kernel.is_connected()");
    await run(6, "typeof globalThis");
    await shows(6, "'object'");
    await run(7, "kept");
    await shows(7, "Cannot find name 'kept'");
  });
});
