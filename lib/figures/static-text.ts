import { escapeHtml } from "./escape.js";

/** A pixel position with one decimal. */
export function px(v: number): string {
  return String(Math.round(v * 10) / 10);
}

/** Text for XML content and attributes. Control characters, which XML forbids, go. */
export function xmlText(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to remove
  return escapeHtml(text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, ""));
}

/** The text behind Plotly's markup: `<b>` is read, other tags go, entities are resolved. */
export function plainLines(markup: string): { readonly lines: readonly string[]; readonly bold: boolean } {
  const plain = (s: string): string =>
    s
      .replace(/<[^>]*>/g, "")
      .replace(/&lt;/g, "<")
      .replace(/&gt;/g, ">")
      .replace(/&amp;/g, "&");
  return { lines: markup.split(/<br>/).map(plain), bold: markup.startsWith("<b>") };
}

/** Plotly text as SVG, line by line. `attributes` are written as they are. */
export function svgText(markup: string, x: number, y: number, attributes: string): string {
  const { lines, bold } = plainLines(markup);
  const weight = bold ? ' font-weight="600"' : "";
  return lines
    .map((line, i) => `<text x="${px(x)}" y="${px(y + i * 13)}"${weight} ${attributes}>${xmlText(line)}</text>`)
    .join("");
}
