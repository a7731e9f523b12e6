import { writeFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { notebookToHtml } from "../../kernel/html.js";
import { type CodeCell, parseNotebook } from "../../kernel/notebook-format.js";
import { OutputCollector } from "../../kernel/output-collector.js";
import { BROWSER_TIMEOUT_MS, CHROMIUM, openFile, sharedBrowser } from "../browser/chromium.js";
import { ATTACKS } from "../browser/injection-corpus.js";
import { EngineProcess, temporaryFolder } from "./compiled.js";

const FILE = "<img src=x onerror=attacked=101>";

/** Every place where a text of the user's goes that an output shows. */
const CELLS: readonly string[] = [
  "import { readFileSync } from 'node:fs'; const attacks: string[] = JSON.parse(readFileSync('attacks.json', 'utf8')); const all = attacks.join(' ');",
  "for (const text of attacks) { console.log(text); console.error(text); console.log({ [text]: text }); }",
  "class Hostile { constructor(readonly text: string) {} toString() { return this.text; } toJSON() { return this.text; } get [Symbol.toStringTag]() { return this.text; } [Symbol.for('nodejs.util.inspect.custom')]() { return this.text; } }\nattacks.map((text) => new Hostile(text))",
  "new Map(attacks.map((text) => [text, Object.assign(() => text, { [text]: new Set([text]) })]))",
  "all",
  "Object.defineProperty(class {}, 'name', { value: all })",
  "({ [Symbol.for('Jupyter.display')]: () => ({ 'text/plain': all, 'text/markdown': all }) })",
  "({ [Symbol.for('Jupyter.display')]: () => ({ 'text/plain': all, 'application/json': { all } }) })",
  "({ [Symbol.for('Jupyter.display')]: () => ({ 'text/plain': all, 'image/png': new Uint8Array([1, 2, 3]) }) })",
  "import { table } from 'arquero'; table({ [all]: attacks, text: attacks })",
  "throw Object.assign(new Error(all, { cause: new TypeError(all) }), { name: all })",
  "throw all",
  "throw new AggregateError(attacks.map((text) => new Error(text)), all)",
  "throw new Hostile(all)",
  "void Promise.reject(new Error(all)); await new Promise((r) => setTimeout(r, 50));",
  `import { fail } from './${FILE}'; fail();`,
  `import { wrong } from './wrong ${FILE}'; wrong;`,
  "const wrong: '<script>attacked=102</script>' = '<img src=x onerror=attacked=103>';",
  "%<script>attacked=104</script>",
  "%img_src_x_onerror <img src=x onerror=attacked=105>",
  "%load_ext <img src=x onerror=attacked=106>",
  "%who",
  "await input(all)",
  "import { html, load, md, progress, show } from 'tweedie'; import { zeros } from 'tweedie/tensor'; import * as figures from 'tweedie/figures';",
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the templates are the cell's
  'for (const _ of progress([1], { label: all, unit: all })); show(html`<p title="${all}">${attacks}</p>`); md`${all}`',
  "const pipe = await load('shapes'); await pipe.generate(attacks.slice(0, 6), { steps: 1, seed: 1 })",
  "(await pipe.generate(all, { steps: 1, seed: 1 })).figure()",
  "await pipe.generate('a circle', { steps: 1, capture: [all] })",
  "await load(all)",
  "show(figures.lossCurve(attacks.map((name) => ({ name, y: [2, 1] })), { title: all, subtitle: all, xLabel: all, yLabel: all }));",
  "figures.embeddingScatter(zeros([attacks.length, 2]), { title: all, labels: attacks, texts: attacks, colorLabel: all, xLabel: all, yLabel: all })",
  "figures.heatmap(zeros([attacks.length, attacks.length]), { title: all, rows: attacks, columns: attacks, quantity: all })",
  "figures.imageGrid(zeros([attacks.length, 3, 2, 2]), { title: all, subtitle: all, titles: attacks })",
  "figures.table({ [all]: attacks }, { title: all })",
];

test.skipIf(CHROMIUM === undefined)(
  `none of ${ATTACKS.length} hostile texts does anything in a page, wherever it comes to stand`,
  async () => {
    const folder = temporaryFolder();
    writeFileSync(path.join(folder, "attacks.json"), JSON.stringify(ATTACKS));
    writeFileSync(path.join(folder, `${FILE}.ts`), `export function fail(): never { throw new Error(${JSON.stringify(FILE)}); }`);
    writeFileSync(path.join(folder, `wrong ${FILE}.ts`), "export const wrong: string = 5;");
    const engine = await EngineProcess.start(folder);
    const collector = new OutputCollector();
    const cells: CodeCell[] = [];
    const failed: string[] = [];
    for (const [index, source] of CELLS.entries()) {
      const cell: CodeCell = {
        cell_type: "code",
        id: `c${index}`,
        metadata: {},
        source,
        execution_count: index + 1,
        outputs: [],
      };
      const { ok, died } = await engine.execute(source, {
        label: `cell[${index}]`,
        onEvent: (event) => collector.add(cell, event),
      });
      expect(died).toBe(false);
      if (!ok) failed.push(source);
      cells.push(cell);
    }
    await engine.stop();
    // The others show what they are to show.
    const meant = /^throw|^import \{ (fail|wrong)|^const wrong|^%<|^%img|^await (input|load)|capture: \[all\]/;
    expect(failed.filter((source) => !meant.test(source))).toEqual([]);
    expect(failed.length).toBe(CELLS.filter((source) => meant.test(source)).length);

    const markdown = { cell_type: "markdown", id: "m", metadata: {}, source: ATTACKS.join("\n\n") };
    const notebook = parseNotebook(JSON.stringify({ cells: [markdown, ...cells], metadata: {}, nbformat: 4, nbformat_minor: 5 }));
    const file = path.join(folder, "page.html");
    writeFileSync(file, notebookToHtml(notebook, { directory: folder, title: ATTACKS.join(" ") }));
    const { page, trouble } = await openFile(browser(), file);
    for (const mark of (await page.locator(".scatterlayer .points path").all()).slice(0, 20)) await mark.hover({ force: true });
    // Tables sorted by each of their columns, and then their last pages.
    const buttons = page.locator(".tweedie-table button, .tweedie-rows [aria-label='last page']");
    expect(await buttons.count()).toBeGreaterThanOrEqual(5);
    for (const button of await buttons.all()) await button.evaluate((b: { click(): void }) => b.click());
    expect(await page.getByText(`–${ATTACKS.length} of ${ATTACKS.length}`).count()).toBe(2);
    expect(await page.evaluate("typeof attacked")).toBe("undefined");
    expect(await page.evaluate(LIVE)).toEqual([]);
    // Pictures of bytes that are none, and where the texts ask for pictures by name, are not there; nothing else is amiss.
    expect(trouble.filter((what) => !/ERR_FILE_NOT_FOUND|ERR_INVALID_URL/.test(what))).toEqual([]);
    expect(await page.evaluate("document.body.innerText.includes('<script>attacked=1</script>')")).toBe(true);
  },
  BROWSER_TIMEOUT_MS,
);

const browser =
  CHROMIUM === undefined
    ? () => {
        throw new Error("no browser");
      }
    : sharedBrowser();

/** Elements of the page that come from a text, or could still run one. */
const LIVE = `[...document.querySelectorAll("*")].flatMap((element) => [
  ...[...element.attributes].filter(({ name, value }) => /^on/.test(name) || /^\\s*(javascript|vbscript|data:text)/i.test(value)),
  ...(/^(iframe|object|embed|base|meta|form|marquee|audio|video)$/i.test(element.tagName) && !element.closest("head") ? [element] : []),
  ...(element.getAttribute("src")?.includes("attack.invalid") || element.getAttribute("href")?.includes("attack.invalid/8") ? [element] : []),
].map((found) => found.outerHTML ?? found.name + "=" + found.value))`;
