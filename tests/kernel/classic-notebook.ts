import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import path from "node:path";
import type { Browser, Locator, Page } from "playwright-core";
import { expect } from "vitest";
import { BROWSER_TIMEOUT_MS, CHROMIUM } from "../browser/chromium.js";
import { CLI, temporaryFolder } from "./compiled.js";
import { freePort } from "./jupyter-client.js";
import { PYTHON, pythonHas } from "./python.js";

/** Whether there is a classic Notebook, and a browser to open it. */
export const CLASSIC_NOTEBOOK: boolean = CHROMIUM !== undefined && pythonHas("notebook");
if (!CLASSIC_NOTEBOOK) console.warn("classic Notebook is not tested: install jupyter-notebook and Chromium for it");

/** A notebook in classic Notebook, with the kernel running. */
export class ClassicNotebook {
  readonly folder: string;
  readonly page: Page;
  readonly #server: ChildProcess;

  private constructor(folder: string, page: Page, server: ChildProcess) {
    this.folder = folder;
    this.page = page;
    this.#server = server;
  }

  /** @param outputs of its cells, which have no code
   * @param trusted whether it is signed, as Jupyter signs what was run in it */
  static async open(browser: Browser, outputs: readonly object[][], trusted = true): Promise<ClassicNotebook> {
    const folder = temporaryFolder();
    expect(spawnSync(process.execPath, [CLI, "install", "--prefix", folder]).status).toBe(0);
    const metadata = { kernelspec: { name: "tweedie", display_name: "TypeScript (tweedie)", language: "typescript" } };
    const cells = outputs.map((shown) => ({
      cell_type: "code",
      metadata: {},
      execution_count: null,
      outputs: shown.map((data) => ({ output_type: "display_data", metadata: {}, data })),
      source: "",
    }));
    const file = path.join(folder, "page.ipynb");
    writeFileSync(file, JSON.stringify({ cells, metadata, nbformat: 4, nbformat_minor: 4 }));
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
    if (trusted) expect(spawnSync(PYTHON, ["-m", "nbformat.sign", file], { env }).status).toBe(0);
    const server = spawn(PYTHON, ["-m", "notebook", ...options, folder], { cwd: folder, env, stdio: "ignore" });
    const page = await browser.newPage({ viewport: { width: 1000, height: 1200 } });
    page.setDefaultTimeout(BROWSER_TIMEOUT_MS);
    for (;;) {
      const reached = await page.goto(`http://localhost:${port}/notebooks/page.ipynb`).catch(() => undefined);
      if (reached?.ok()) break;
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
    const opened = new ClassicNotebook(folder, page, server);
    await opened.connected();
    return opened;
  }

  async connected(): Promise<void> {
    await this.page.waitForFunction(
      "window.Jupyter?.notebook?.kernel?.is_connected() && Jupyter.notebook.kernel.info_reply.status === 'ok'",
    );
  }

  /** Writes code into a cell and runs it with the button of the tool bar. */
  async run(cell: number, code: string): Promise<void> {
    await this.page.evaluate(
      `{ const { notebook } = Jupyter; notebook.get_cell(${cell}).set_text(${JSON.stringify(code)}); notebook.select(${cell}); }`,
    );
    await this.page.locator("#run_int button").first().click();
  }

  output(cell: number): Locator {
    return this.page.locator(".code_cell").nth(cell).locator(".output");
  }

  async shows(cell: number, text: string): Promise<void> {
    await this.output(cell).filter({ hasText: text }).waitFor();
  }

  close(): void {
    this.#server.kill();
  }
}
