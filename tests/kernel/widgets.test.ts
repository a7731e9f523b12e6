import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BROWSER_TIMEOUT_MS, sharedBrowser } from "../browser/chromium.js";
import { CLASSIC_NOTEBOOK, ClassicNotebook } from "./classic-notebook.js";

describe.skipIf(!CLASSIC_NOTEBOOK)("widgets in classic Notebook, which has no extension,", () => {
  const browser = sharedBrowser();
  let notebook: ClassicNotebook;

  beforeAll(async () => {
    notebook = await ClassicNotebook.open(browser(), Array(10).fill([]));
    await notebook.run(0, "import { embeddingScatter, featureBrowser, float32, interact, lossCurve } from 'tweedie'; 'ready'");
    await notebook.shows(0, "ready");
  }, BROWSER_TIMEOUT_MS);
  afterAll(async () => {
    if (process.env.TWEEDIE_SCREENSHOT) await notebook.page.screenshot({ path: process.env.TWEEDIE_SCREENSHOT, fullPage: true });
    notebook?.close();
  });

  test("a slider draws a figure anew, by keyboard too, and other cells know its value", async () => {
    await notebook.run(
      1,
      `const moved = await interact({ steps: [1, 9], sampler: ["euler", "heun"], noisy: false }, async ({ steps, sampler, noisy }) =>
        lossCurve([{ name: "loss", y: Array.from({ length: steps * 10 }, (_, i) => 1 / (i + 1)) }], { title: "after " + steps + " " + sampler + " " + noisy }));
       moved`,
    );
    const output = notebook.output(1);
    await output.locator("[data-drawn=yes] .gtitle", { hasText: "after 5" }).waitFor();
    const slider = output.getByRole("slider", { name: "steps" });
    await slider.focus();
    await slider.press("End");
    await output.locator("[data-drawn=yes] .gtitle", { hasText: "after 9" }).waitFor();
    expect(await slider.getAttribute("aria-valuetext")).toBe("9");
    await output.getByRole("combobox", { name: "sampler" }).selectOption("heun");
    await output.getByRole("checkbox", { name: "noisy" }).check();
    await output.locator("[data-drawn=yes] .gtitle", { hasText: "after 9 heun true" }).waitFor();
    expect(await output.locator("[data-drawn=yes]").count()).toBe(1);
    await notebook.run(2, "moved");
    await notebook.shows(2, "steps = 9, sampler = heun, noisy = true");
  });

  test("an error in drawing is told beside the controls, which go on", async () => {
    await notebook.run(
      3,
      "await interact({ k: [0, 4] }, ({ k }) => { if (k === 4) throw new RangeError('k is too large'); return 'k is ' + k; });",
    );
    await notebook.shows(3, "k is 2");
    const slider = notebook.output(3).getByRole("slider", { name: "k" });
    await slider.press("End");
    await notebook.output(3).getByRole("status").filter({ hasText: "RangeError: k is too large" }).waitFor();
    await slider.press("Home");
    await notebook.shows(3, "k is 0");
    expect(await notebook.output(3).getByRole("status").textContent()).toBe("");
  });

  test("drawn ahead, controls need no kernel", async () => {
    await notebook.run(
      4,
      "await interact({ a: [0, 10], b: ['x', 'y'] }, ({ a, b }) => lossCurve([{ name: 's', y: [1, a] }], { title: a + b }), { precompute: 3 });",
    );
    const frames = notebook.output(4).locator("[data-frame]");
    await expect.poll(() => frames.count(), { timeout: BROWSER_TIMEOUT_MS }).toBe(6);
    const visible = async () =>
      (await frames.evaluateAll((all) => all.findIndex((frame) => !(frame as { hidden?: boolean }).hidden))) as number;
    expect(await visible()).toBe(2);
    await notebook.output(4).getByRole("slider", { name: "a" }).press("End");
    await expect.poll(visible).toBe(4);
    await notebook.output(4).getByRole("combobox", { name: "b" }).selectOption("y");
    await expect.poll(visible).toBe(5);
    expect(await notebook.output(4).locator("[data-frame] img").count()).toBe(6);
  });

  test("features are searched, and the card of the chosen one is drawn", async () => {
    await notebook.run(
      5,
      `const picture = { pixels: new Uint8Array(192).fill(90), width: 8, height: 8, channels: 3 as const };
       await featureBrowser(
         Array.from({ length: 60 }, (_, i) => ({ feature: i, label: i % 2 ? "red <b>" : "disc", firingRate: 0.01 * i, auc: 0.9 })),
         (feature) => ({ feature, examples: [{ picture, activation: 2 }], activations: [1, 2, 3] }));`,
    );
    const output = notebook.output(5);
    await output.locator("[data-drawn=yes] .gtitle", { hasText: "Feature 0" }).waitFor();
    await output.getByRole("searchbox").fill("red 41");
    await expect.poll(() => output.locator("[data-feature]:visible").count()).toBe(1);
    await output.locator("[data-feature]:visible").focus();
    await notebook.page.keyboard.press("Enter");
    await output.locator("[data-drawn=yes] .gtitle", { hasText: "Feature 41" }).waitFor();
    expect(await output.locator("[aria-pressed=true]").innerText()).toContain("41 red <b>");
  });

  test("a click on a point of an embedding keeps its picture and text, and so does its number", async () => {
    await notebook.run(
      6,
      `embeddingScatter(float32([0, 0, 1, 1, 2, 0], [3, 2]), { texts: ["a red <i>disc</i>", "a blue ring", "a star"],
         pictures: [50, 120, 220].map((v) => ({ pixels: new Uint8Array(192).fill(v), width: 8, height: 8, channels: 3 as const })) })`,
    );
    const output = notebook.output(6);
    await output.locator("[data-drawn=yes]").waitFor();
    const point = output.locator(".scatterlayer .points path").nth(1);
    await point.scrollIntoViewIfNeeded();
    const box = (await point.boundingBox())!;
    await notebook.page.mouse.move(box.x + box.width / 2, box.y + box.height / 2, { steps: 4 });
    await notebook.page.mouse.down();
    await notebook.page.mouse.up();
    await output.getByRole("img", { name: "picture of point 1: a blue ring" }).waitFor();
    await output.getByRole("spinbutton", { name: "point" }).fill("0");
    await output.getByRole("status").filter({ hasText: "a red <i>disc</i>" }).waitFor();
    await output.locator(".shapelayer path").waitFor();
  });

  test("bars of the library's own move and go", async () => {
    await notebook.run(
      7,
      "import { load } from 'tweedie'; const pipe = await load('shapes'); await pipe.generate('a red circle', { steps: 400 }); 'generated'",
    );
    await notebook.output(7).locator("progress").first().waitFor();
    await notebook.shows(7, "generated");
    expect(await notebook.output(7).locator("progress").count()).toBe(0);
  });

  test("a page that says where its server is as JupyterLab does is enough, and one that does not is told of", async () => {
    const place = (config: string): Promise<unknown> =>
      notebook.page.evaluate(`{
        document.getElementById("jupyter-config-data")?.remove();
        const place = Object.assign(document.createElement("script"), { id: "jupyter-config-data", type: "application/json" });
        place.textContent = ${JSON.stringify(config)};
        document.head.append(place);
      }`);
    const code = "await interact({ k: [0, 4] }, ({ k }) => 'k is ' + k);";
    await place(JSON.stringify({ baseUrl: "/", wsUrl: "", token: "" }));
    await notebook.run(8, code);
    await notebook.shows(8, "k is 2");
    await notebook.output(8).getByRole("slider", { name: "k" }).press("End");
    await notebook.shows(8, "k is 4");
    await place("{}");
    await notebook.run(9, code);
    await notebook.shows(9, "k is 2");
    await notebook.output(9).getByRole("slider", { name: "k" }).press("End");
    await notebook.output(9).getByRole("status").filter({ hasText: "No kernel can be reached from this page." }).waitFor();
  });

  test("a widget whose kernel was started anew says that it is gone", async () => {
    await notebook.page.locator("[data-jupyter-action='jupyter-notebook:confirm-restart-kernel']").first().click();
    await notebook.page.locator(".modal-dialog .btn-danger").click();
    await notebook.page.waitForFunction("window.Jupyter.notebook.kernel.is_connected()");
    await notebook.output(3).getByRole("slider", { name: "k" }).press("ArrowRight");
    await notebook.output(3).getByRole("status").filter({ hasText: "is gone: run the cell again" }).waitFor();
  });
});
