import { Displayed, type MimeBundle } from "../figures/document.js";
import { escapeHtml } from "../figures/escape.js";
import { HtmlBlock } from "../figures/html-block.js";
import { numberText, shorten } from "../figures/text.js";
import { type HtmlPlace, htmlPlaces } from "./html-places.js";

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

function fill(strings: readonly string[], values: readonly unknown[], write: (value: unknown, i: number) => string): string {
  return strings.map((s, i) => (i < values.length ? s + write(values[i], i) : s)).join("");
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

const urlAttributes = /^(href|src|action|formaction|data|poster|cite|background|xlink:href)$/;

/** Whether an address runs no code. Browsers read over spaces and control characters in the name of a scheme. */
function isHarmless(address: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to read over
  const read = address.replace(/[\u0001-\u0020]/g, "");
  return !read.includes("\0") && /^(?![a-z][a-z\d+.-]*:)|^(https?|mailto|blob):|^data:(image|audio|video)\//i.test(read);
}

/** A value where `place` says, escaped for it. @throws TypeError where no text can be made safe */
function placed(value: unknown, { kind, attribute = "", before = "", because }: HtmlPlace): string {
  if (kind === "text") return htmlOf(value);
  const text = plainText(value);
  if (kind === "forbidden") throw new TypeError(`html: "${shorten(text, 40)}" stands where text is not safe; ${because}`);
  if (urlAttributes.test(attribute) && !/[/?#:]/.test(before) && !isHarmless(before + text))
    throw new TypeError(
      `html: ${attribute} expected one value with an address (http, mailto, a relative path, data:image/…), got "${shorten(text, 40)}"`,
    );
  return escapeHtml(text);
}

/**
 * HTML with values put in: text escaped for content and quoted attributes, other `html` pieces as they are.
 * @throws TypeError for a value where no text is safe: in an attribute without quotes, a tag, a script, a handler, or as an
 * address that runs code
 */
export function html(strings: TemplateStringsArray, ...values: readonly unknown[]): HtmlBlock {
  const places = htmlPlaces(strings);
  const markup = fill(strings, values, (value, i) => placed(value, places[i]!));
  return new HtmlBlock(markup, fill(strings, values, plainText).replace(/<[^>]*>/g, ""));
}
