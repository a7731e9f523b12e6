import { readFileSync } from "node:fs";
import path from "node:path";
import MarkdownIt, { type MarkdownIt as Markdown } from "markdown-it";
import { plotlyLoader, withoutLibrary } from "../lib/figures/document.js";
import { highlightTypeScript } from "./highlight.js";
import { HTML_STYLE } from "./html-style.js";
import type { MimeBundle } from "./messages.js";
import type { CodeCell, Notebook, Output, TextCell } from "./notebook-format.js";
import { escapeHtml } from "./value-display.js";

const PLOTLY = "application/vnd.plotly.v1+json";

/** A page may do nothing but show itself: no request leaves it. */
const POLICY =
  "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; media-src data:; font-src data:";

const FIGURE = '<div class="figure">';

/** Draws the figures that came as Plotly's JSON only; runs once, behind them. */
const DRAW_FIGURES = `
for (const element of document.querySelectorAll(".figure")) {
  const { data, layout, frames, config } = JSON.parse(element.querySelector("script").textContent);
  element.style.height = (layout?.height ?? 420) + "px";
  Plotly.newPlot(element, { data, layout: { autosize: true, ...layout }, frames, config: { responsive: true, displaylogo: false, ...config } });
}`;

export interface HtmlOptions {
  /** Folder that pictures in markdown cells are relative to; they are put into the page. */
  readonly directory: string;
  /** Title where the notebook has no heading. */
  readonly title: string;
}

/** An executed notebook as one self-contained page: opens offline, in any browser, and prints.
 *
 * Outputs of type `text/html` are the notebook's own and go in as they are; everything else is escaped. */
export function notebookToHtml(notebook: Notebook, options: HtmlOptions): string {
  const cells = notebook.cells
    .map((cell) =>
      cell.cell_type === "code" ? codeCell(cell) : cell.cell_type === "markdown" ? textCell(cell, options.directory) : "",
    )
    .join("\n");
  const bundles = notebook.cells
    .flatMap((cell) => (cell.cell_type === "code" ? cell.outputs : []))
    .flatMap((output) => ("data" in output ? [output.data] : []));
  // Wherever in the notebook the library came along: in the page it stands once, before everything that draws.
  const library = plotlyLoader(true);
  const hasFigures = bundles.some((data) => PLOTLY in data || /tweedieFigures/.test(String(data["text/html"] ?? "")));
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<link rel="icon" href="data:,">
<title>${escapeHtml(titleOf(notebook) ?? options.title)}</title>
<style>${HTML_STYLE}</style>
${hasFigures ? library : ""}
</head>
<body>
<main>
${withoutLibrary(cells)}
<footer>Made with tweedie.</footer>
</main>
${cells.includes(FIGURE) ? `<script>${DRAW_FIGURES}</script>` : ""}
</body>
</html>
`;
}

function codeCell(cell: CodeCell): string {
  const failed = cell.outputs.some((output) => output.output_type === "error");
  const source = cell.source.trim() === "" ? "" : `<pre class="source">${highlightTypeScript(cell.source)}</pre>`;
  const outputs = cell.outputs.map(outputHtml).join("\n");
  if (!source && !outputs) return "";
  return `<section class="cell code${failed ? " failed" : ""}">${source}<div class="outputs">${outputs}</div></section>`;
}

function outputHtml(output: Output): string {
  switch (output.output_type) {
    case "stream":
      return `<pre class="${output.name}">${escapeHtml(terminalText(output.text))}</pre>`;
    case "error":
      return `<pre class="error">${escapeHtml(terminalText(output.traceback.join("\n") || `${output.ename}: ${output.evalue}`))}</pre>`;
    default:
      return bundleHtml(output.data);
  }
}

/** The richest representation that a page can show. */
function bundleHtml(data: MimeBundle): string {
  const text = (type: string): string | undefined => (typeof data[type] === "string" ? data[type] : undefined);
  const html = text("text/html");
  if (html !== undefined) return `<div class="html">${html}</div>`;
  if (data[PLOTLY]) return `${FIGURE}<script type="application/json">${scriptJson(data[PLOTLY])}</script></div>`;
  const svg = text("image/svg+xml");
  if (svg !== undefined) return `<img alt="" src="data:image/svg+xml;base64,${Buffer.from(svg).toString("base64")}">`;
  for (const type of ["image/png", "image/jpeg", "image/gif", "image/webp"]) {
    const image = text(type);
    if (image !== undefined)
      return `<img alt="${escapeHtml(text("text/plain") ?? "")}" src="data:${type};base64,${image.replace(/\s/g, "")}">`;
  }
  const markdown = text("text/markdown");
  if (markdown !== undefined) return `<div class="text">${markdownRenderer().render(markdown)}</div>`;
  const json = data["application/json"];
  const plain = text("text/plain") ?? text("text/latex") ?? (json === undefined ? "" : JSON.stringify(json, null, 2));
  return plain === "" ? "" : `<pre class="plain">${escapeHtml(terminalText(plain))}</pre>`;
}

function textCell(cell: TextCell, directory: string): string {
  return `<section class="text">${markdownRenderer(directory, cell.attachments).render(cell.source)}</section>`;
}

function markdownRenderer(directory?: string, attachments: TextCell["attachments"] = {}): Markdown {
  const markdown = new MarkdownIt({
    html: false,
    linkify: false,
    highlight: (code, language) => (/^(ts|js|typescript|javascript)$/.test(language) ? highlightTypeScript(code) : ""),
  });
  const renderImage = markdown.renderer.rules.image!;
  markdown.renderer.rules.image = (tokens, index, options, env, self) => {
    const token = tokens[index]!;
    token.attrSet("src", embedImage(String(token.attrGet("src") ?? ""), directory, attachments) ?? "data:,");
    return renderImage(tokens, index, options, env, self);
  };
  const validate = markdown.validateLink;
  markdown.validateLink = (url) => url.startsWith("attachment:") || validate(url);
  return markdown;
}

const IMAGE_TYPES: Readonly<Record<string, string>> = {
  ".png": "image/png",
  ".jpg": "image/jpeg",
  ".jpeg": "image/jpeg",
  ".gif": "image/gif",
  ".svg": "image/svg+xml",
  ".webp": "image/webp",
};

/** The picture as a data URL; undefined for one that is elsewhere on the network, missing, or outside the notebook's folder. */
function embedImage(
  source: string,
  directory: string | undefined,
  attachments: NonNullable<TextCell["attachments"]>,
): string | undefined {
  if (source.startsWith("data:image/")) return source;
  if (source.startsWith("attachment:")) {
    const [type, data] = Object.entries(attachments[decodeURIComponent(source.slice("attachment:".length))] ?? {})[0] ?? [];
    return type && Object.values(IMAGE_TYPES).includes(type) ? `data:${type};base64,${String(data)}` : undefined;
  }
  const type = IMAGE_TYPES[path.extname(source).toLowerCase()];
  if (!type || directory === undefined || /^[a-z][a-z\d+.-]*:|^\/\//i.test(source)) return undefined;
  const file = path.resolve(directory, decodeURIComponent(source));
  if (path.relative(directory, file).startsWith("..")) return undefined;
  try {
    return `data:${type};base64,${readFileSync(file).toString("base64")}`;
  } catch {
    return undefined;
  }
}

/** Text as a terminal would leave it: colours dropped, lines that a carriage return rewrote reduced to their last state. */
function terminalText(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences start with one
  const plain = text.replace(/\u001b\[[\d;?]*[A-Za-z]/g, "").replaceAll("\r\n", "\n");
  return plain.includes("\r") ? plain.replace(/[^\n]*\r(?=[^\n])/g, "").replaceAll("\r", "") : plain;
}

/** JSON that cannot end the script element it stands in. */
function scriptJson(value: unknown): string {
  return JSON.stringify(value).replaceAll("<", "\\u003c");
}

function titleOf(notebook: Notebook): string | undefined {
  for (const cell of notebook.cells) {
    const heading = cell.cell_type === "markdown" ? /^#\s+(.+)$/m.exec(cell.source) : null;
    if (heading) return heading[1]!.replace(/[*_`]/g, "").trim();
  }
  return undefined;
}
