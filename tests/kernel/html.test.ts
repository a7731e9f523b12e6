import { writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { highlightTypeScript } from "../../kernel/highlight.js";
import { notebookToHtml } from "../../kernel/html.js";
import { type Notebook, type Output, parseNotebook } from "../../kernel/notebook-format.js";
import { plotlyLoader } from "../../lib/figures/document.js";
import { lossCurve } from "../../lib/figures/loss-curve.js";
import { temporaryFolder } from "./compiled.js";

const PLOTLY = "application/vnd.plotly.v1+json";
const options = { directory: ".", title: "untitled" };

function notebook(...cells: ({ markdown: string } | { code: string; outputs?: Output[] })[]): Notebook {
  const raw = cells.map((cell) =>
    "markdown" in cell
      ? { cell_type: "markdown", metadata: {}, source: cell.markdown }
      : { cell_type: "code", metadata: {}, source: cell.code, execution_count: 1, outputs: cell.outputs ?? [] },
  );
  return parseNotebook(JSON.stringify({ cells: raw, metadata: {}, nbformat: 4, nbformat_minor: 5 }));
}

const display = (data: Record<string, unknown>): Output => ({ output_type: "display_data", data, metadata: {} });
const body = (html: string): string => html.slice(html.indexOf("<main>"), html.indexOf("</main>"));

test("the page is titled by the first heading", () => {
  expect(notebookToHtml(notebook({ markdown: "# Look *inside* <now>" }), options)).toContain(
    "<title>Look inside &#60;now&#62;</title>",
  );
  expect(notebookToHtml(notebook({ markdown: "text" }), options)).toContain("<title>untitled</title>");
});

test("Plotly is in the page once however many figures there are, and not at all without one", () => {
  const figure = display({ [PLOTLY]: { data: [{ y: [1, 2] }], layout: {} } });
  const html = notebookToHtml(notebook({ code: "a", outputs: [figure, figure] }, { code: "b", outputs: [figure] }), options);
  expect(html.match(/plotly\.js/g)?.length).toBeLessThan(10);
  expect(html.length).toBeGreaterThan(1_000_000);
  expect(html.length).toBeLessThan(1_700_000);
  expect(html.match(/class="figure"/g)).toHaveLength(3);
  expect(notebookToHtml(notebook({ code: "a" }), options).length).toBeLessThan(20_000);
});

test("a figure of the library draws itself, and the Plotly that came with it is taken out", () => {
  const html = lossCurve([{ name: "loss", y: [2, 1] }]).mimeBundle();
  const carrying = display({ ...html, "text/html": `${plotlyLoader(true)}${html["text/html"]}` });
  const page = notebookToHtml(notebook({ code: "a", outputs: [carrying] }, { code: "b", outputs: [carrying] }), options);
  expect(page.match(/<script data-tweedie-library>/g)).toHaveLength(1);
  expect(page.indexOf("<script data-tweedie-library>")).toBeLessThan(page.indexOf("<main>"));
  expect(page.length).toBeLessThan(1_700_000);
});

describe("what is text stays text", () => {
  const script = "<script>alert(1)</script>";

  test.each<[string, Output]>([
    ["standard output", { output_type: "stream", name: "stdout", text: script }],
    ["a plain result", display({ "text/plain": script })],
    ["an error", { output_type: "error", ename: script, evalue: script, traceback: [script] }],
    ["a figure's title", display({ [PLOTLY]: { data: [], layout: { title: { text: `</script>${script}` } } } })],
    ["an image's description", display({ "image/png": "AAAA", "text/plain": `"${script}` })],
    ["displayed markdown", display({ "text/markdown": script })],
  ])("%s", (_, output) => {
    expect(body(notebookToHtml(notebook({ code: "x", outputs: [output] }), options))).not.toContain("<script>alert");
  });

  test("source and markdown", () => {
    const html = body(
      notebookToHtml(notebook({ markdown: `${script} [x](javascript:alert(1))` }, { code: `'${script}'` }), options),
    );
    expect(html).not.toContain("<script>");
    expect(html).not.toContain('href="javascript:');
  });
});

describe("formulas", () => {
  const math = (markdown: string): string => body(notebookToHtml(notebook({ markdown }), options));
  const tex = (html: string): string[] =>
    [...html.matchAll(/<annotation encoding="application\/x-tex">([^<]*)</g)].map((match) => match[1]!);

  test("between dollar signs, on lines of their own and in environments become MathML", () => {
    const html = math(
      "The score $\\nabla\\log p(x)$ and $a_1*b*$, $$x^2$$ in line.\n\n$$\n\\int_0^1 x\\,dx\n= \\frac12\n$$\n\n\\begin{align}\na &= b \\\\\nc &= d\n\\end{align}\n\n- item\n  $$y$$",
    );
    expect(tex(html)).toEqual([
      "\\nabla\\log p(x)",
      "a_1*b*",
      "x^2",
      "\n\\int_0^1 x\\,dx\n= \\frac12\n",
      "\\begin{align}\na &amp;= b \\\\\nc &amp;= d\n\\end{align}",
      "y",
    ]);
    expect(html.match(/<math[^>]*display="block"/g)).toHaveLength(4);
    expect(html.match(/<div class="math">/g)).toHaveLength(3);
    expect(html).toContain("<mfrac><mn>1</mn><mn>2</mn></mfrac>");
    expect(html).not.toContain("<em>");
  });

  test.each(["It costs $5, not $10.", "\\$a\\$", "`$a$`", "```\n$$a$$\n```", "$ a$", "$a $", "a $$"])("%j is none", (text) => {
    expect(math(text)).not.toContain("<math");
  });

  test("what is wrong is shown as it was written", () => {
    expect(math("$\\frac{a$ b")).toMatch(/class="katex-error" title="[^"]*ParseError[^"]*"[^>]*>\\frac\{a</);
  });

  test("run nothing", () => {
    for (const attack of [
      "\\href{javascript:alert(1)}{x}",
      "\\html@mathml{<script>}{<img>}",
      "\\htmlData{onload=a}{x}",
      "\\includegraphics{https://x.invalid/y.png}",
      "<img src=x onerror=alert(1)>",
    ])
      expect(math(`$${attack}$`)).not.toMatch(/<script>|<img|<[^>]*(href|onload|src)=/);
  });
});

test("terminal text is shown as the terminal would have left it", () => {
  const text = "10 %\r50 %\r100 %\nnext\n\u001b[31mred\u001b[0m\r\n";
  const html = body(notebookToHtml(notebook({ code: "x", outputs: [{ output_type: "stream", name: "stdout", text }] }), options));
  expect(html).toContain('<pre class="stdout">100 %\nnext\nred\n</pre>');
});

test("pictures of the notebook's folder are put into the page, others are not fetched", () => {
  const folder = temporaryFolder();
  writeFileSync(path.join(folder, "dot.png"), Buffer.from([1, 2, 3]));
  const markdown = "![a](dot.png) ![b](https://example.org/x.png) ![c](../../etc/y.png) ![d](missing.png)";
  const html = body(notebookToHtml(notebook({ markdown }), { ...options, directory: folder }));
  expect(html).toContain('src="data:image/png;base64,AQID"');
  expect(html.match(/src="data:,"/g)).toHaveLength(3);
  expect(html).not.toContain("example.org");
});

describe("highlighting", () => {
  test("marks what tokens are", () => {
    expect(highlightTypeScript("const a: Map = f(1); // <b>")).toBe(
      '<span class="tok-keyword">const</span> a: <span class="tok-type">Map</span> = <span class="tok-call">f</span>(<span class="tok-number">1</span>); <span class="tok-comment">// &#60;b&#62;</span>',
    );
  });

  test("knows property names from keywords", () => {
    expect(highlightTypeScript('{ type: "x", of: 1 }')).not.toContain("tok-keyword");
    expect(highlightTypeScript("p.delete")).not.toContain("tok-keyword");
    expect(highlightTypeScript("a ? null : b")).toContain('<span class="tok-keyword">null</span>');
  });

  test("changes no character of the text, even of unfinished code", () => {
    for (const code of ["const s = `a ${b", "/* never closed", '"unclosed\nx', "a / b / c", "🙂 => 'é'"]) {
      const text = highlightTypeScript(code)
        .replace(/<[^>]+>/g, "")
        .replace(/&#(\d+);/g, (_, n) => String.fromCharCode(n));
      expect(text).toBe(code);
    }
  });
});
