import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { notebookToHtml } from "../../kernel/html.js";
import { notebookToMarkdown } from "../../kernel/markdown-export.js";
import { type Notebook, type Output, parseNotebook } from "../../kernel/notebook-format.js";
import { notebooksToSite } from "../../kernel/site.js";
import { notebookToSlides } from "../../kernel/slides.js";
import { lossCurve } from "../../lib/figures/loss-curve.js";
import { CLI, temporaryFolder } from "./compiled.js";

const options = { directory: ".", title: "untitled" };
const PNG = "iVBORw0KGgo=";

interface Given {
  markdown?: string;
  code?: string;
  outputs?: Output[];
  metadata?: object;
}

function notebook(cells: readonly Given[], metadata: object = {}): Notebook {
  const raw = cells.map(({ markdown, code, outputs = [], metadata: own = {} }) =>
    markdown === undefined
      ? { cell_type: "code", metadata: own, source: code, execution_count: 1, outputs }
      : { cell_type: "markdown", metadata: own, source: markdown },
  );
  return parseNotebook(JSON.stringify({ cells: raw, metadata, nbformat: 4, nbformat_minor: 5 }));
}

const display = (data: Record<string, unknown>): Output => ({ output_type: "display_data", data, metadata: {} });
const printed = (text: string): Output => ({ output_type: "stream", name: "stdout", text });
const main = (html: string): string => html.slice(html.indexOf("<main"), html.indexOf("</main>"));

describe("code in pages", () => {
  const cells = notebook([
    { markdown: "# T" },
    { code: "const secret = 1;", outputs: [printed("shown")] },
    { code: "removedCell", outputs: [printed("removed cell")], metadata: { tags: ["remove-cell"] } },
    { code: "removedInput", outputs: [printed("kept output")], metadata: { tags: ["remove-input"] } },
    { code: "keptInput", outputs: [printed("removed output")], metadata: { tags: ["remove-output"] } },
  ]);

  test("is shown, folded or left out; outputs stay", () => {
    const shown = main(notebookToHtml(cells, options));
    const folded = main(notebookToHtml(cells, { ...options, code: "folded" }));
    const hidden = main(notebookToHtml(cells, { ...options, code: "hidden" }));
    for (const html of [shown, folded, hidden]) expect(html).toContain("shown");
    expect(shown).not.toContain("<details");
    expect(folded).toMatch(/<details class="fold"><summary>Code: <code>const secret = 1;<\/code><\/summary><pre class="source">/);
    expect(hidden).not.toContain("secret");
  });

  test("follows the tags of nbconvert and Jupyter Book", () => {
    const html = main(notebookToHtml(cells, options));
    for (const gone of ["removedCell", "removed cell", "removedInput", "removed output"]) expect(html).not.toContain(gone);
    for (const kept of ["kept output", "keptInput"]) expect(html).toContain(kept);
  });
});

describe("slides", () => {
  const slides = (book: Notebook): string[] => main(notebookToSlides(book, options)).split('<section class="slide"').slice(1);

  test("are what the slideshow metadata says", () => {
    const of = (slide_type: string) => ({ slideshow: { slide_type } });
    const found = slides(
      notebook([
        { markdown: "# One", metadata: of("slide") },
        { markdown: "with one", metadata: of("-") },
        { markdown: "later", metadata: of("fragment") },
        { markdown: "to say", metadata: of("notes") },
        { markdown: "nobody sees", metadata: of("skip") },
        { code: "two", metadata: of("subslide") },
        { markdown: "# not a slide of its own" },
      ]),
    );
    expect(found).toHaveLength(2);
    expect(found[0]).toMatch(
      /One[\s\S]*with one[\s\S]*<div class="fragment">[\s\S]*later[\s\S]*<aside class="notes">[\s\S]*to say/,
    );
    expect(found[1]).toMatch(/two[\s\S]*not a slide of its own/);
    expect(found.join("")).not.toContain("nobody sees");
  });

  test("begin at headings of two levels and at a second figure where there is no metadata", () => {
    const image = display({ "image/png": PNG });
    const found = slides(
      notebook([
        { markdown: "# A\ntext\n## B\n```\n# no heading\n```\n### also B" },
        { code: "b1", outputs: [image] },
        { code: "b2", outputs: [printed("no figure")] },
        { markdown: "about c1" },
        { code: `c1${"\n".repeat(8)}`, outputs: [image] },
        { markdown: "## D" },
      ]),
    );
    const texts = found.map((html) => html.replace(/<[^>]*>/g, " "));
    expect(texts.map((text) => ["A", "also B", "b1", "b2", "c1", "D"].filter((word) => text.includes(` ${word} `)))).toEqual([
      ["A"],
      ["also B", "b1", "b2"],
      ["c1"],
      ["D"],
    ]);
    expect(found[2]).toMatch(/about c1[\s\S]*<details class="fold"><summary>Code: <code>c1</);
    expect(found[1]).not.toContain("<details");
  });
});

describe("a site", () => {
  const figure = display({ ...lossCurve([{ name: "loss", y: [2, 1] }]).mimeBundle() });
  const first = notebook(
    [
      { markdown: "# First *one*\n\nWhat it is about: [a link](x.html) and `code`.\n\nMore." },
      { markdown: "[second](in/second%20one.ipynb#A-part) [self](first.ipynb) [gone](gone.ipynb) [out](https://a.org/b.ipynb)" },
      { code: "plot", outputs: [figure] },
    ],
    { tags: ["loss", "<b>"] },
  );
  const second = notebook([
    { markdown: "## A part\n[back](../first.ipynb)" },
    { code: "x", outputs: [display({ "image/png": PNG }), figure] },
  ]);
  const { files, broken } = notebooksToSite(
    [
      { file: "n/first.ipynb", place: "first.ipynb", notebook: first },
      { file: "n/in/second one.ipynb", place: "in/second one.ipynb", notebook: second },
    ],
    { title: "All & sundry" },
  );
  const page = (place: string): string => String(files.get(place));

  test("has a page per notebook, an index, pictures, and the drawing code once", () => {
    expect([...files.keys()].sort()).toEqual([
      "assets/figures.js",
      "assets/thumbnails/first.svg",
      "assets/thumbnails/in/second one.png",
      "first.html",
      "in/second one.html",
      "index.html",
    ]);
    const carriers = [...files].filter(([, content]) => String(content).includes("Plotly.newPlot(el,"));
    expect(carriers.map(([place]) => place)).toEqual(["assets/figures.js"]);
    expect(page("in/second one.html")).toContain('<script src="../assets/figures.js"></script>');
    expect(page("assets/figures.js")).not.toContain("<script>");
    expect(page("first.html").length).toBeLessThan(60_000);
  });

  test("keeps links between notebooks, and tells those that lead nowhere", () => {
    expect(page("first.html")).toContain('href="in/second%20one.html#A-part"');
    expect(page("first.html")).toContain('href="first.html"');
    expect(page("first.html")).toContain('href="https://a.org/b.ipynb"');
    expect(page("in/second one.html")).toContain('href="../first.html"');
    expect(page("in/second one.html")).toContain('<h2 id="A-part">');
    expect(broken).toEqual(["n/first.ipynb links to gone.ipynb"]);
  });

  test("leads from page to page and back to the index", () => {
    expect(page("first.html")).toContain('<a rel="next" href="in/second%20one.html">second one →</a>');
    expect(page("in/second one.html")).toContain('<a rel="prev" href="../first.html">← First one</a>');
    expect(page("in/second one.html")).toContain('<a href="../index.html">All &#38; sundry</a>');
  });

  test("has titles, introductions, pictures and tags in its index", () => {
    const index = page("index.html");
    expect(index).toContain("<title>All &#38; sundry</title>");
    expect(index).toContain('<img alt="" loading="lazy" src="assets/thumbnails/in/second%20one.png">');
    expect(index).toContain("<p>What it is about: a link and code.</p>");
    expect(index.match(/<button type="button" aria-pressed="false">/g)).toHaveLength(2);
    expect(index).not.toContain("<b>");
  });
});

describe("Markdown", () => {
  test("keeps text and code, puts pictures beside it, and shows the rest as text", () => {
    const book = notebook([
      { markdown: "# T" },
      { code: "const a = `x`;", outputs: [printed("10 %\r100 %\n"), display({ "image/png": PNG, "text/plain": "a [dot]" })] },
      { code: "b", outputs: [display({ "text/markdown": "**bold**" }), display({ "text/html": "<b>x</b>", "text/plain": "x" })] },
      { code: "c", outputs: [printed("```\n")] },
    ]);
    const { text, files } = notebookToMarkdown(book, "a b");
    expect(text).toBe(`# T

\`\`\`ts
const a = \`x\`;
\`\`\`

\`\`\`
100 %
\`\`\`

![a dot](a%20b_files/1.png)

\`\`\`ts
b
\`\`\`

**bold**

\`\`\`
x
\`\`\`

\`\`\`ts
c
\`\`\`

\`\`\`\`
\`\`\`
\`\`\`\`
`);
    expect([...files]).toEqual([["a b_files/1.png", Buffer.from(PNG, "base64")]]);
    expect(notebookToMarkdown(book, "x", false).text).not.toContain("```ts");
  });
});

test("the command writes beside the notebook or where it is told, and says what is missing", () => {
  const folder = temporaryFolder();
  mkdirSync(path.join(folder, "in"));
  const write = (place: string, ...cells: object[]): void =>
    writeFileSync(path.join(folder, place), JSON.stringify({ cells, metadata: {}, nbformat: 4, nbformat_minor: 5 }));
  const markdown = (source: string) => ({ cell_type: "markdown", metadata: {}, source });
  write("a.ipynb", markdown("[b](in/b.ipynb) [c](c.ipynb)"));
  write("in/b.ipynb", { cell_type: "code", metadata: {}, source: "1", outputs: [], execution_count: null });
  const run = (...args: string[]) => spawnSync(process.execPath, [CLI, "export", ...args], { encoding: "utf8", cwd: folder });

  expect(run("a.ipynb", "in/b.ipynb")).toMatchObject({
    status: 0,
    stdout: "a.html\nin/b.html\n",
    stderr: "tweedie export: in/b.ipynb has no outputs; tweedie run in/b.ipynb makes them\n",
  });
  const links = (file: string) =>
    [...readFileSync(path.join(folder, file), "utf8").matchAll(/<a href="([^"]+)"/g)].map(([, to]) => to);
  expect(links("a.html")).toEqual(["in/b.html", "c.ipynb"]);
  expect(run("a.ipynb", "in/b.ipynb", "--to", "slides", "-o", "talks").stdout).toBe("talks/a.slides.html\ntalks/b.slides.html\n");
  const site = run(".", "--to", "site", "-o", "public", "--title", "Notes", "--theme", "dark");
  expect(site).toMatchObject({ status: 0, stdout: "public/index.html: 2 notebooks\n" });
  expect(site.stderr).toContain("a.ipynb links to c.ipynb, which is not part of the site");
  expect(readFileSync(path.join(folder, "public", "in", "b.html"), "utf8")).toContain('<html lang="en" data-theme="dark">');
  expect(existsSync(path.join(folder, "public", "assets"))).toBe(false);
  writeFileSync(path.join(folder, "index.ipynb"), readFileSync(path.join(folder, "a.ipynb")));
  expect(run(".", "--to", "site").stderr).toContain("got index.ipynb, whose page would be index.html; rename it");
});
