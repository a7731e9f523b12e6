import { Displayed, type MimeBundle } from "../figures/document.js";
import { escapeHtml } from "../figures/escape.js";
import { HtmlBlock } from "../figures/html-block.js";
import { numberText } from "../figures/text.js";

/** Markdown that shows itself in a notebook. */
export class MarkdownBlock extends Displayed {
  readonly markdown: string;

  /** @param markdown safe as it stands */
  constructor(markdown: string) {
    super();
    this.markdown = markdown;
  }

  override toString(): string {
    return this.markdown;
  }

  override mimeBundle(): MimeBundle {
    return { "text/markdown": this.markdown, "text/plain": this.markdown };
  }
}

/** Text in which Markdown sees no markup: a label or a path stays what it is. */
export function escapeMarkdown(text: string): string {
  return text.replace(/[\\`*_{}[\]()#+!|~$]/g, "\\$&").replace(/[<>&]/g, (c) => escapeHtml(c));
}

function fill(strings: readonly string[], values: readonly unknown[], write: (value: unknown) => string): string {
  return strings.map((s, i) => (i < values.length ? s + write(values[i]) : s)).join("");
}

/** Removes the indentation that all lines share, so that a template may be indented with its code. */
function dedent(strings: readonly string[]): readonly string[] {
  const indents = strings
    .join("")
    .split("\n")
    .slice(1)
    .filter((line) => line.trim() !== "")
    .map((line) => line.match(/^[ \t]*/)![0].length);
  const shared = indents.length === 0 ? 0 : Math.min(...indents);
  const cut = shared === 0 ? strings : strings.map((s) => s.replaceAll(new RegExp(`\n[ \t]{${shared}}`, "g"), "\n"));
  return cut.map((s, i) => (i === 0 ? s.trimStart() : s)).map((s, i, all) => (i === all.length - 1 ? s.trimEnd() : s));
}

function plainText(value: unknown): string {
  if (typeof value === "number") return numberText(value, 4);
  return String(value);
}

function markdownOf(value: unknown): string {
  if (value instanceof MarkdownBlock) return value.markdown;
  if (Array.isArray(value)) return value.map(markdownOf).join(", ");
  return typeof value === "number" ? plainText(value) : escapeMarkdown(String(value));
}

/** Markdown with values put in: numbers rounded, text escaped, other `md` pieces as they are. */
export function md(strings: TemplateStringsArray, ...values: readonly unknown[]): MarkdownBlock {
  return new MarkdownBlock(fill(dedent(strings), values, markdownOf));
}

function htmlOf(value: unknown): string {
  if (value instanceof HtmlBlock) return value.html;
  if (Array.isArray(value)) return value.map(htmlOf).join("");
  return escapeHtml(plainText(value));
}

/** HTML with values put in: text escaped for content and quoted attributes, other `html` pieces as they are. */
export function html(strings: TemplateStringsArray, ...values: readonly unknown[]): HtmlBlock {
  const markup = fill(strings, values, htmlOf);
  return new HtmlBlock(markup, fill(strings, values, plainText).replace(/<[^>]*>/g, ""));
}
