import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, test } from "vitest";
import {
  attentionOverPicture,
  attributionOverPicture,
  barsWithIntervals,
  confusionMatrix,
  type Displayable,
  denoisedOverTime,
  embeddingScatter,
  errorCurves,
  Figure,
  featureCard,
  heatmap,
  imageGrid,
  jupyterDisplay,
  latentsAndDenoised,
  lossCurve,
  moduleTree,
  patchingHeatmap,
  saeHealth,
  samplerComparison,
  scheduleComparison,
  steeringComparison,
  table,
} from "../../lib/figures/index.js";
import { html, md, restoreFigures } from "../../lib/notebook/index.js";
import { zeros } from "../../lib/tensor/tensor.js";
import { exampleFigures, scene } from "../lib/figures/example-figures.js";
import { htmlOf, insideNotebook } from "../lib/notebook/fake-notebook.js";
import { temporaryFolder } from "../temporary-folder.js";
import { BROWSER_TIMEOUT_MS, CHROMIUM, openFile, sharedBrowser } from "./chromium.js";

const timeout = BROWSER_TIMEOUT_MS;

describe.skipIf(CHROMIUM === undefined)("figures in a browser", () => {
  const browser = sharedBrowser();
  const folder = temporaryFolder();

  function open(name: string, content: string): ReturnType<typeof openFile> {
    const path = join(folder, `${name}.html`);
    writeFileSync(path, content);
    return openFile(browser(), path);
  }

  async function notebookPage(figures: Record<string, Displayable>): Promise<string> {
    const parts: string[] = [];
    await insideNotebook(async () => {
      for (const [name, figure] of Object.entries(figures)) {
        const bundle = await figure[jupyterDisplay]();
        parts.push(`<section id="${name}">${bundle["text/html"]}</section>`);
        if (figure instanceof Figure) parts.push(`<section id="${name}-still">${figure.toSvg()}</section>`);
      }
    });
    return `<!doctype html><html><head><meta charset="utf-8"></head><body style="width:800px">${parts.join("\n")}</body></html>`;
  }

  test("every figure is drawn, offline, without an error", { timeout }, async () => {
    const figures = exampleFigures(300);
    const { page, trouble } = await open("all", await notebookPage(figures));
    const plots = Object.values(figures).filter((f) => f instanceof Figure).length;
    expect(await page.locator("[data-drawn=yes] .main-svg").count()).toBeGreaterThanOrEqual(plots);
    for (const [name, figure] of Object.entries(figures)) {
      const box = await page.locator(`section#${name}`).boundingBox();
      expect(box!.height, name).toBeGreaterThan(60);
      if (figure instanceof Figure) expect(await page.locator(`section#${name} .gtitle`).textContent(), name).not.toBe("");
    }

    const buttons = await page.locator(".modebar-btn").evaluateAll((all) => all.map((b) => b.getAttribute("data-title")));
    expect(buttons.filter((title) => /share|cloud|chart studio/i.test(title ?? ""))).toEqual([]);

    // The pointer on a point brings up its picture from the sheet.
    const point = page.locator("#embeddingScatter .scatterlayer .points path").nth(5);
    await point.scrollIntoViewIfNeeded();
    const at = (await point.boundingBox())!;
    await page.mouse.move(at.x + at.width / 2, at.y + at.height / 2, { steps: 4 });
    await page.waitForSelector("#embeddingScatter [data-point]", { state: "visible" });
    expect(await page.locator("#embeddingScatter .hoverlayer .hovertext").count()).toBeGreaterThan(0);

    // The slider changes the film's picture.
    const film = page.locator("#denoisedOverTime .imagelayer image").first();
    const before = await film.getAttribute("href");
    await page.evaluate(
      `Plotly.animate(document.querySelector("#denoisedOverTime [data-drawn]"), ["0"], {mode: "immediate", frame: {duration: 0, redraw: true}})`,
    );
    await page.waitForFunction(
      `document.querySelector("#denoisedOverTime .imagelayer image").getAttribute("href") !== ${JSON.stringify(before)}`,
    );

    // So do the keys, and a screen reader hears the step.
    const keys = page.locator("#denoisedOverTime input[type=range]");
    await keys.focus();
    await keys.press("End");
    expect(await keys.getAttribute("aria-valuetext")).toBe("step 19 · t = 50 · σ = 0.00183");
    await page.waitForFunction(
      `document.querySelector("#denoisedOverTime .imagelayer image").getAttribute("href") === ${JSON.stringify(before)}`,
    );
    await keys.press(" ");
    await page.waitForFunction(`document.querySelector("#denoisedOverTime input").value < 19`);
    await keys.press(" ");

    // The tree opens by keyboard.
    const closed = page.locator("#moduleTree details:not([open]) > summary").first();
    const branches = await page.locator("#moduleTree details[open]").count();
    await closed.focus();
    await page.keyboard.press("Enter");
    expect(await page.locator("#moduleTree details[open]").count()).toBe(branches + 1);

    expect(trouble).toEqual([]);
    await page.close();
  });

  test("a single figure's page stands alone", { timeout }, async () => {
    const { page, trouble } = await open("alone", lossCurve([{ name: "loss", y: [3, 2, 1] }]).toPage());
    expect(await page.locator(".main-svg").count()).toBeGreaterThan(0);
    expect(trouble).toEqual([]);
    await page.close();
  });

  test("a figure's text follows the page from light to dark", { timeout }, async () => {
    const { page, trouble } = await open("dark", lossCurve([{ name: "loss", y: [3, 2, 1] }]).toPage());
    const fill = `getComputedStyle(document.querySelector(".gtitle")).fill`;
    expect(await page.evaluate(fill)).toBe("rgb(0, 0, 0)");
    await page.emulateMedia({ colorScheme: "dark" });
    await page.waitForFunction(`${fill} === "rgb(255, 255, 255)"`);
    expect(trouble).toEqual([]);
    await page.close();
  });

  test("text in titles, labels, names and hovers never runs", { timeout }, async () => {
    const { page, trouble } = await open("attack", await notebookPage(hostileFigures()));
    for (const mark of await page.locator(".scatterlayer .points path, .barlayer .point path").all()) {
      const box = await mark.boundingBox();
      if (box !== null) await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
    }
    expect(await page.evaluate("typeof attacked")).toBe("undefined");
    expect(await page.locator("section img, section iframe, section a, section svg[onload], section script[src]").count()).toBe(
      0,
    );
    expect(trouble).toEqual([]);
    await page.close();
  });

  test("a figure without plotly.js is a still picture that says what to do, and comes alive when plotly.js does", {
    timeout,
  }, async () => {
    const parts: string[] = [];
    await insideNotebook(async (_, runtime) => {
      runtime.documentState.set("plotly-loaded", true);
      const figure: Displayable = lossCurve([{ name: "loss", y: [1] }]);
      parts.push(String((await figure[jupyterDisplay]())["text/html"]));
    });
    const library = (await insideNotebook(() => restoreFigures())).map(htmlOf)[0]!;
    const path = join(folder, "missing.html");
    writeFileSync(path, `<!doctype html><meta charset="utf-8">${parts[0]}`);
    const page = await browser().newPage();
    page.setDefaultTimeout(timeout);
    await page.goto(pathToFileURL(path).href);
    const still = page.getByRole("img", { name: /^Loss: / });
    expect((await still.boundingBox())!.height).toBeGreaterThan(200);
    await page.getByText("restoreFigures() in any cell, and this one comes alive.").waitFor();
    // As Jupyter puts an output into the page.
    await page.evaluate(`document.body.append(document.createRange().createContextualFragment(${JSON.stringify(library)}))`);
    await page.locator("[data-drawn=yes] .main-svg").first().waitFor();
    expect(await page.getByText("comes alive").count()).toBe(0);
    await page.close();
  });
});

const attacks: readonly string[] = [
  "<script>attacked=1</script>",
  "</script><script>attacked=2</script>",
  '<img src="x" onerror="attacked=3">',
  "<svg onload=attacked=4>",
  '"><script>attacked=5</script>',
  "' onmouseover='attacked=6",
  "<a href='javascript:attacked=7'>x</a>",
  "<iframe srcdoc='<script>parent.attacked=8</script>'></iframe>",
  "%{customdata}<b onclick=attacked=9>b</b>",
  "-->\u2028<style>@import 'http://attack.invalid/x'</style>",
  "&lt;script&gt;attacked=10&lt;/script&gt;",
  "$" + "{attacked=11}`;attacked=11;//",
  "<math><mtext><img src=http://attack.invalid/y onerror=attacked=12></mtext></math>",
];

/** Every place where a caller's text goes, filled with attacks. */
function hostileFigures(): Record<string, Displayable> {
  const n = attacks.length;
  const all = attacks.join(" ");
  const picture = scene("red", "disc", [9, 9]);
  const pictures = attacks.map(() => picture);
  const points = zeros([n, 2]);
  for (let i = 0; i < n; i++) points.data.set([i % 4, Math.floor(i / 4)], 2 * i);
  const estimates = attacks.map(() => ({ mean: 0.5, low: 0.4, high: 0.6 }));
  return {
    grid: imageGrid(pictures, { title: all, subtitle: all, titles: attacks }),
    scatter: embeddingScatter(points, {
      title: all,
      labels: attacks,
      texts: attacks,
      pictures,
      colorLabel: all,
      xLabel: all,
      yLabel: all,
    }),
    values: embeddingScatter(points, { title: all, values: attacks.map((_, i) => i), texts: attacks, colorLabel: all }),
    loss: lossCurve(
      attacks.map((name) => ({ name, y: [3, 2, 1] })),
      { title: all, xLabel: all, yLabel: all },
    ),
    bars: barsWithIntervals(attacks, [{ name: all, values: estimates }], {
      title: all,
      reference: { value: 0.1, name: all },
      valueLabel: all,
    }),
    heat: heatmap(zeros([n, n]), { title: all, rows: attacks, columns: attacks, quantity: all, xLabel: all, yLabel: all }),
    confusion: confusionMatrix(
      attacks.map(() => attacks.map(() => 1)),
      attacks,
      { title: all },
    ),
    card: featureCard({
      feature: 1,
      label: { text: all, heldOutAuc: 0.9 },
      examples: [{ picture, activation: 1, caption: all }],
      activations: [1, 2],
      factors: attacks.map((name) => ({ name, auroc: 0.6 })),
    }),
    steering: steeringComparison(
      {
        strengths: [0, 1],
        rows: [{ name: all, pictures: [picture, picture] }],
        curves: attacks.map((name) => ({ name, mean: [0, 1] })),
      },
      { title: all, subtitle: all, strengthLabel: all, valueLabel: all },
    ),
    health: saeHealth(
      {
        firingRates: [0, 0.1],
        tokens: 100,
        l0: [1, 2],
        fvu: 0.1,
        baselines: attacks.map((name) => ({ name, fvu: 1 })),
        loss: { step: [0, 1], value: [1, 0.5] },
      },
      { title: all },
    ),
    tree: moduleTree({
      name: all,
      kind: all,
      shape: attacks,
      hookPoint: all,
      children: attacks.map((name) => ({ name, kind: name, hookPoint: name })),
    }),
    film: denoisedOverTime({ denoised: pictures }, { title: all, subtitle: all }),
    trajectory: latentsAndDenoised({ latents: [pictures], denoised: [pictures], names: attacks }, { title: all }),
    attention: attentionOverPicture(
      { picture, words: attacks.map((word) => ({ word, map: zeros([2, 2]) })) },
      { title: all, subtitle: all, quantity: all, threshold: 0.5 },
    ),
    attribution: attributionOverPicture(
      { picture, maps: attacks.map((name) => ({ name, map: zeros([2, 2]) })) },
      { title: all, subtitle: all, scale: "each" },
    ),
    patching: patchingHeatmap(
      { hookPoints: attacks, timesteps: [1], effect: zeros([n, 1]) },
      { title: all, subtitle: all, quantity: all },
    ),
    errors: errorCurves(
      attacks.map((name) => ({ name, x: [1, 2], error: [1, 0.5] })),
      { title: all, subtitle: all, xLabel: all, yLabel: all, orders: true, floor: { value: 0.1, name: all } },
    ),
    samplers: samplerComparison(
      {
        steps: [1],
        rows: attacks.map((name) => ({ name, pictures: [picture], metric: [1] })),
        reference: picture,
      },
      { title: all, subtitle: all, stepsLabel: all, metricLabel: all, referenceLabel: all },
    ),
    schedules: scheduleComparison(
      attacks.map((name) => ({ name, sigmas: [1, 2] })),
      attacks.map((name) => ({ name, timesteps: [0, 1] })),
      { title: all, subtitle: all },
    ),
    cells: table({ [all]: attacks, n: attacks.map((_, i) => i) }, { title: all }),
    block: html`<p title="${all}">${attacks}</p>`,
    text: html`<pre>${md`${all}`.markdown}</pre>`,
  };
}
