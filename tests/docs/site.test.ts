import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Page } from "playwright-core";
import { beforeAll, describe, expect, test } from "vitest";
import { commands } from "../../kernel/commands/index.js";
import { vjpRules } from "../../lib/autodiff/rules/index.js";
import { pipelineClasses, samplers, schedulerClasses } from "../../lib/diffusion/index.js";
import { imageGrid } from "../../lib/figures/index.js";
import { inferRules } from "../../lib/onnx/index.js";
import { checkLinks } from "../../scripts/docs/links.js";
import { buildSite, type SiteReport } from "../../scripts/docs/main.js";
import { renderPage } from "../../scripts/docs/markdown.js";
import { bundleHtml } from "../../scripts/docs/stills.js";
import { BROWSER_TIMEOUT_MS, CHROMIUM, sharedBrowser } from "../browser/chromium.js";
import { temporaryFolder } from "../temporary-folder.js";

describe("the documentation's site", () => {
  const folder = temporaryFolder();
  let report: SiteReport;
  const page = (name: string): string => readFileSync(join(folder, `${name}.html`), "utf8");
  beforeAll(async () => {
    report = await buildSite({ out: folder, figures: false });
  }, 600_000);

  test("has no link that leads nowhere, and loads nothing from elsewhere", () => {
    expect(report.broken).toEqual([]);
    expect(report.loaded).toEqual([]);
    expect(report.checked).toBeGreaterThan(10_000);
  });

  test("links names of the library to their reference", () => {
    expect(page("tutorial/collect")).toMatch(/<a class="api" href="\.\.\/api\/functions\/tweedie_activations\.collect\.html">/);
    expect(existsSync(join(folder, "api", "functions", "tweedie_activations.collect.html"))).toBe(true);
  });

  test("tells every operator, sampler, scheduler and pipeline class that there is", () => {
    const names = {
      "reference/operators": [...Object.keys(inferRules), ...Object.keys(vjpRules)].map((name) => name.split(".").at(-1)!),
      "reference/samplers": [...Object.keys(samplers), ...Object.keys(schedulerClasses)],
      "reference/models": Object.keys(pipelineClasses),
    };
    for (const [name, all] of Object.entries(names)) {
      const html = page(name);
      expect(all.filter((one) => !html.includes(`<code>${one}</code>`))).toEqual([]);
    }
  });

  test("holds what every command says of itself", () => {
    const html = page("reference/command");
    for (const { name } of commands) expect(html).toContain(`<h2 id="tweedie-${name}">`);
  });

  describe.skipIf(CHROMIUM === undefined)("in a browser", () => {
    const browser = sharedBrowser();
    const open = async (name: string, width: number): Promise<Page> => {
      const opened = await browser().newPage({ viewport: { width, height: 800 }, colorScheme: "light" });
      await opened.goto(pathToFileURL(join(folder, `${name}.html`)).href);
      return opened;
    };

    test("fits wide and narrow windows", { timeout: BROWSER_TIMEOUT_MS }, async () => {
      for (const name of ["index", "tutorial/features", "how-to/patch-activations", "reference/samplers", "gallery"]) {
        for (const width of [1280, 400]) {
          const opened = await open(name, width);
          const excess = await opened.evaluate("document.documentElement.scrollWidth - innerWidth");
          expect([name, width, excess]).toEqual([name, width, expect.toSatisfy((n: number) => n <= 0)]);
          await opened.close();
        }
      }
    });

    test("is searched by keyboard: pages, their parts and the API", { timeout: BROWSER_TIMEOUT_MS }, async () => {
      const opened = await open("how-to/devices", 1280);
      await opened.keyboard.press("/");
      for (const [wanted, place] of [
        ["Pipeline.generate", "api/classes/tweedie_diffusion.Pipeline.html#generate"],
        ["come back under guidance", "how-to/invert-and-edit.html#come-back-under-guidance"],
      ] as const) {
        await opened.getByRole("searchbox").fill(wanted);
        const first = opened.locator(".search li a").first();
        await first.filter({ hasText: new RegExp(wanted, "i") }).waitFor();
        expect(await first.evaluate((link) => (link as unknown as { href: string }).href)).toBe(
          `${pathToFileURL(folder).href}/${place}`,
        );
      }
      await opened.keyboard.press("Enter");
      await opened.waitForURL(/invert-and-edit/);
      expect(await opened.title()).toBe("Invert a picture and edit it · tweedie");
    });

    test("keeps the reader's choice of light or dark from page to page", { timeout: BROWSER_TIMEOUT_MS }, async () => {
      const opened = await open("index", 1280);
      const paper = (): Promise<unknown> => opened.evaluate("getComputedStyle(document.body).backgroundColor");
      const light = await paper();
      await opened.getByRole("button", { name: "Light or dark" }).click();
      const dark = await paper();
      expect(dark).not.toBe(light);
      await Promise.all([opened.waitForEvent("load"), opened.getByRole("link", { name: "Explanation" }).first().click()]);
      expect(await paper()).toBe(dark);
    });
  });
});

describe("a folder with anything but a site in it", () => {
  const folder = temporaryFolder();

  test("is left alone", async () => {
    writeFileSync(join(folder, "thesis.txt"), "years of work");
    await expect(buildSite({ out: folder, figures: false })).rejects.toThrow("expected an empty folder");
    expect(readFileSync(join(folder, "thesis.txt"), "utf8")).toBe("years of work");
  });
});

describe("links", () => {
  const folder = temporaryFolder();

  test("are broken where a file, an anchor or the folder ends", () => {
    writeFileSync(
      join(folder, "a.html"),
      '<h1 id="top">A</h1><a href="b.html#part">b</a><a href="#top">top</a><a href="../a.html">out</a>',
    );
    writeFileSync(
      join(folder, "b.html"),
      '<a href="a.html#nowhere">a</a><img src="c.png"><a href="https://example.org">e</a><script>"<a href=\'no.html\'>"</script>',
    );
    const { broken, checked, outside } = checkLinks(folder, ["a.html", "b.html"]);
    expect(broken).toEqual(["a.html: b.html#part", "a.html: ../a.html", "b.html: a.html#nowhere", "b.html: c.png"]);
    expect(checked).toBe(5);
    expect([...outside]).toEqual(["https://example.org"]);
  });

  test("to what a page would load from elsewhere are told apart", () => {
    writeFileSync(join(folder, "c.html"), '<script src="https://example.org/x.js"></script>');
    expect(checkLinks(folder, ["c.html"]).loaded).toEqual(["c.html: https://example.org/x.js"]);
  });
});

describe("a page", () => {
  const options = { page: "how-to/x", api: new Map([["collect", "api/collect.html"]]), inserts: {}, outputs: new Map() };

  test("links to the reference by name, once per page in code", () => {
    const { html } = renderPage("`collect` and `collect()`, [all](api:collect), [next](y.md#part)", options);
    expect(html).toBe(
      '<p><a class="api" href="../api/collect.html"><code>collect</code></a> and <code>collect()</code>, ' +
        '<a href="../api/collect.html">all</a>, <a href="y.html#part">next</a></p>\n',
    );
  });

  test("cannot name what is not exported or not made", () => {
    expect(() => renderPage("[x](api:colect)", options)).toThrow("how-to/x.md: the library exports no colect");
    expect(() => renderPage("<!-- tabel -->", options)).toThrow("how-to/x.md: nothing is called tabel");
  });

  test("shows what an example displayed, and why one was not run", () => {
    const { html } = renderPage("```ts no-run it needs a GPU\na < b\n```\n\n```ts show\nx\n```\n", {
      ...options,
      outputs: new Map([[4, "<img>"]]),
    });
    expect(html).toContain("<figcaption>Not run for this page: it needs a GPU.</figcaption>");
    expect(html).toContain("a &#60; b");
    expect(html).toContain('<div class="shown"><img></div>');
  });

  test("draws a figure whose still the notebook left out as it is drawn with it", () => {
    const figure = imageGrid([{ width: 2, height: 2, channels: 3, pixels: new Uint8Array(12) }], { title: "One" });
    const { "image/svg+xml": still, ...withoutStill } = figure.mimeBundle();
    const stills: (string | Uint8Array)[] = [];
    const keep = (bytes: string | Uint8Array): string => `${stills.push(bytes)}.svg`;
    bundleHtml({ ...withoutStill, "image/svg+xml": still }, keep);
    bundleHtml(withoutStill, keep);
    expect(stills[1]).toBe(stills[0]);
  });
});
