import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BROWSER_TIMEOUT_MS, sharedBrowser } from "../browser/chromium.js";
import { CLASSIC_NOTEBOOK, ClassicNotebook } from "./classic-notebook.js";

describe.skipIf(!CLASSIC_NOTEBOOK)("in classic Notebook", () => {
  const browser = sharedBrowser();
  let notebook: ClassicNotebook;

  beforeAll(async () => {
    notebook = await ClassicNotebook.open(browser(), Array(8).fill([]));
  }, BROWSER_TIMEOUT_MS);
  afterAll(() => notebook?.close());

  const run = (cell: number, code: string) => notebook.run(cell, code);
  const output = (cell: number) => notebook.output(cell);
  const shows = (cell: number, text: string) => notebook.shows(cell, text);

  test("cells run with results, streams and displays that change", async () => {
    await run(0, "const kept = 6 * 7;\nconsole.log('printed');\nkept");
    await shows(0, "printed");
    await shows(0, "42");
    await run(1, "%%html\n<b id=shown>shown</b>");
    await notebook.page.locator("#shown").waitFor();
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
    await notebook.page.locator("[data-jupyter-action='jupyter-notebook:interrupt-kernel']").first().click();
    await shows(4, "Interrupted: the cell was interrupted");
    await run(5, "kept");
    await shows(5, "42");
    if (process.env.TWEEDIE_SCREENSHOT) await notebook.page.screenshot({ path: process.env.TWEEDIE_SCREENSHOT, fullPage: true });
  });

  test("the restart button gives a fresh kernel", async () => {
    await notebook.page.locator("[data-jupyter-action='jupyter-notebook:confirm-restart-kernel']").first().click();
    await notebook.page.locator(".modal-dialog .btn-danger").click();
    await notebook.page.waitForFunction("window.Jupyter.notebook.kernel.is_connected()");
    await run(6, "typeof globalThis");
    await shows(6, "'object'");
    await run(7, "kept");
    await shows(7, "Cannot find name 'kept'");
  });
});
