import { highlightTypeScript } from "./highlight.js";
import { markdownRenderer } from "./markdown.js";
import type { MimeBundle } from "./messages.js";
import type { CodeCell, Notebook, NotebookCell, Output } from "./notebook-format.js";
import { hasTag } from "./parameters.js";
import { cellTitle } from "./run-record.js";
import { escapeHtml } from "./value-display.js";

export const PLOTLY = "application/vnd.plotly.v1+json";

/** How a notebook's cells become HTML. */
export interface CellOptions {
  /** Folder that pictures in markdown cells are relative to; they are put into the page. */
  readonly directory: string;
  /** Whether code is seen: always, on a click, never. */
  readonly code?: "shown" | "folded" | "hidden" | undefined;
  /** Where a link in the text leads in the page. */
  readonly link?: ((url: string) => string) | undefined;
}

/** A cell as HTML; empty for one that shows nothing.
 *
 * Cells tagged `remove-cell`, `remove-input` and `remove-output` are left out, or the half of them, as in nbconvert and Jupyter Book.
 * Outputs of type `text/html` are the notebook's own and go in as they are; everything else is escaped. */
export function cellHtml(cell: NotebookCell, options: CellOptions): string {
  if (hasTag(cell, "remove-cell")) return "";
  if (cell.cell_type === "code") return codeCell(cell, options.code ?? "shown");
  if (cell.cell_type === "raw") return "";
  const { directory, link } = options;
  return `<section class="text">${markdownRenderer({ directory, attachments: cell.attachments ?? {}, link }).render(cell.source)}</section>`;
}

/** Everything that a notebook's cells display. */
export function bundlesOf(notebook: Notebook): MimeBundle[] {
  return notebook.cells
    .flatMap((cell) => (cell.cell_type === "code" ? cell.outputs : []))
    .flatMap((output) => ("data" in output ? [output.data] : []));
}

function codeCell(cell: CodeCell, code: NonNullable<CellOptions["code"]>): string {
  const failed = cell.outputs.some((output) => output.output_type === "error");
  const source =
    cell.source.trim() === "" || code === "hidden" || hasTag(cell, "remove-input") ? "" : sourceHtml(cell.source, code);
  const outputs = hasTag(cell, "remove-output") ? "" : cell.outputs.map(outputHtml).join("\n");
  if (!source && !outputs) return "";
  return `<section class="cell code${failed ? " failed" : ""}">${source}<div class="outputs">${outputs}</div></section>`;
}

function sourceHtml(source: string, code: "shown" | "folded"): string {
  const block = `<pre class="source">${highlightTypeScript(source)}</pre>`;
  if (code === "shown") return block;
  return `<details class="fold"><summary>Code: <code>${escapeHtml(cellTitle(source))}</code></summary>${block}</details>`;
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
  if (data[PLOTLY]) return `<div class="figure"><script type="application/json">${scriptJson(data[PLOTLY])}</script></div>`;
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

/** Text as a terminal would leave it: colours dropped, lines that a carriage return rewrote reduced to their last state. */
export function terminalText(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences start with one
  const plain = text.replace(/\u001b\[[\d;?]*[A-Za-z]/g, "").replaceAll("\r\n", "\n");
  return plain.includes("\r") ? plain.replace(/[^\n]*\r(?=[^\n])/g, "").replaceAll("\r", "") : plain;
}

/** JSON that cannot end the script element it stands in. */
function scriptJson(value: unknown): string {
  return JSON.stringify(value).replaceAll("<", "\\u003c");
}
