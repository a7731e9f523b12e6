import { readFileSync } from "node:fs";
import path from "node:path";
import MarkdownIt, { type MarkdownIt as Markdown } from "markdown-it";
import { highlightTypeScript } from "./highlight.js";
import { mathInMarkdown } from "./markdown-math.js";
import type { Notebook, TextCell } from "./notebook-format.js";

export interface MarkdownOptions {
  /** Folder that pictures are relative to; without one, only pictures that are in the text itself are shown. */
  readonly directory?: string;
  readonly attachments?: TextCell["attachments"];
  /** Where a link leads in the page. */
  readonly link?: ((url: string) => string) | undefined;
}

/** Markdown for a page that stands alone: pictures are put into it, markup in the text is not believed, formulas are typeset, headings can be linked to
 * as in Jupyter (`#My-heading`). */
export function markdownRenderer({ directory, attachments = {}, link }: MarkdownOptions = {}): Markdown {
  const markdown = new MarkdownIt({
    html: false,
    linkify: false,
    highlight: (code, language) => (/^(ts|js|typescript|javascript)$/.test(language) ? highlightTypeScript(code) : ""),
  });
  mathInMarkdown(markdown);
  const { rules } = markdown.renderer;
  const renderImage = rules.image!;
  rules.image = (tokens, index, options, env, self) => {
    const token = tokens[index]!;
    token.attrSet("src", embedImage(String(token.attrGet("src") ?? ""), directory, attachments) ?? "data:,");
    return renderImage(tokens, index, options, env, self);
  };
  rules.link_open = (tokens, index, options, _env, self) => {
    const token = tokens[index]!;
    if (link) token.attrSet("href", link(String(token.attrGet("href") ?? "")));
    return self.renderToken(tokens, index, options);
  };
  rules.heading_open = (tokens, index, options, _env, self) => {
    tokens[index]!.attrSet("id", plainHeading(tokens[index + 1]!.content).replaceAll(" ", "-"));
    return self.renderToken(tokens, index, options);
  };
  const validate = markdown.validateLink;
  markdown.validateLink = (url) => url.startsWith("attachment:") || validate(url);
  return markdown;
}

/** Title of a notebook: its first heading. */
export function titleOf(notebook: Notebook): string | undefined {
  for (const cell of notebook.cells) {
    const heading = cell.cell_type === "markdown" ? /^#\s+(.+)$/m.exec(cell.source) : null;
    if (heading) return plainHeading(heading[1]!);
  }
  return undefined;
}

function plainHeading(text: string): string {
  return text.replace(/[*_`]/g, "").trim();
}

/** A link's text as the name of a file; as it stands where it is not properly encoded. */
export function decoded(url: string): string {
  try {
    return decodeURIComponent(url);
  } catch {
    return url;
  }
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
    const [type, data] = Object.entries(attachments[decoded(source.slice("attachment:".length))] ?? {})[0] ?? [];
    return type && Object.values(IMAGE_TYPES).includes(type) ? `data:${type};base64,${String(data)}` : undefined;
  }
  const type = IMAGE_TYPES[path.extname(source).toLowerCase()];
  if (!type || directory === undefined || /^[a-z][a-z\d+.-]*:|^\/\//i.test(source)) return undefined;
  const file = path.resolve(directory, decoded(source));
  if (path.relative(directory, file).startsWith("..")) return undefined;
  try {
    return `data:${type};base64,${readFileSync(file).toString("base64")}`;
  } catch {
    return undefined;
  }
}
