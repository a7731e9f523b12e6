import path from "node:path";
import MarkdownIt, { type MarkdownIt as Markdown } from "markdown-it";
import { highlightTypeScript } from "../../kernel/highlight.js";
import { escapeHtml } from "../../lib/figures/escape.js";
import type { ApiPages } from "./reference.js";

export interface Heading {
  readonly level: number;
  readonly text: string;
  readonly id: string;
}

export interface Rendered {
  readonly html: string;
  readonly headings: readonly Heading[];
}

export interface RenderOptions {
  /** Place of the page below the site, with slashes, without `.html`. */
  readonly page: string;
  readonly api: ApiPages;
  /** What goes in the place of `<!-- name -->` on a line of its own, in Markdown. */
  readonly inserts: Readonly<Record<string, () => string>>;
  /** What the examples of the page showed, in HTML, by line of their fence. */
  readonly outputs: ReadonlyMap<number, string>;
}

/** A page of `docs/` as HTML. Links to `.md` files lead to their pages, `api:name` to the reference, and so does the first
 * mention in code of what the library exports.
 * @throws RangeError for an `api:` link or an insert that nothing stands behind */
export function renderPage(source: string, options: RenderOptions): Rendered {
  const { page, api, inserts, outputs } = options;
  const here = path.posix.dirname(page);
  const to = (place: string): string => path.posix.relative(here, place) || path.posix.basename(place);
  const markdown: Markdown = new MarkdownIt({ html: true, linkify: false, typographer: false });
  const headings: Heading[] = [];
  const ids = new Set<string>();
  const mentioned = new Set<string>();
  const { rules } = markdown.renderer;
  rules.text = (tokens, index) =>
    escapeHtml(tokens[index]!.content).replace(
      /arXiv:(\d{4}\.\d{4,5})/g,
      (text, id: string) => `<a class="paper" href="https://arxiv.org/abs/${id}">${text}</a>`,
    );
  rules.heading_open = (tokens, index, settings, _env, self) => {
    const token = tokens[index]!;
    const text = plain(tokens[index + 1]!.content);
    const level = Number(token.tag.slice(1));
    const id = slug(text, ids);
    token.attrSet("id", id);
    headings.push({ level, text, id });
    return self.renderToken(tokens, index, settings);
  };
  rules.heading_close = (tokens, index, settings, _env, self) => {
    const { id, level } = headings.at(-1)!;
    const anchor = level === 1 ? "" : ` <a class="anchor" href="#${id}" aria-label="Link to this part">#</a>`;
    return anchor + self.renderToken(tokens, index, settings);
  };
  rules.link_open = (tokens, index, settings, _env, self) => {
    const token = tokens[index]!;
    token.attrSet("href", linkTo(String(token.attrGet("href") ?? "")));
    return self.renderToken(tokens, index, settings);
  };
  rules.code_inline = (tokens, index) => {
    const text = tokens[index]!.content;
    const code = `<code>${escapeHtml(text)}</code>`;
    const insideLink = tokens
      .slice(0, index)
      .reduce((open, { type }) => open + Number(type === "link_open") - Number(type === "link_close"), 0);
    const name = /^([A-Za-z]\w*(?:\.\w+)?)(?:\(.*\))?$/.exec(text)?.[1];
    const url = name === undefined ? undefined : api.get(name);
    if (url === undefined || insideLink > 0 || mentioned.has(url)) return code;
    mentioned.add(url);
    return `<a class="api" href="${escapeHtml(to(url))}">${code}</a>`;
  };
  rules.fence = (tokens, index) => {
    const { info, content, map } = tokens[index]!;
    const [, language = "", rest = ""] = /^(\S*)\s*(.*)$/.exec(info)!;
    const html = language === "ts" ? highlightTypeScript(content) : escapeHtml(content);
    const why = /^no-run\s+(.*)$/.exec(rest)?.[1];
    const caption = why === undefined ? "" : `<figcaption>Not run for this page: ${escapeHtml(why)}.</figcaption>`;
    const shown = outputs.get(map![0]);
    const result = shown === undefined ? "" : `<div class="shown">${shown}</div>`;
    return `<figure class="code ${escapeHtml(language)}"><pre><code>${html}</code></pre>${caption}</figure>${result}\n`;
  };
  rules.table_open = () => '<div class="table"><table>';
  rules.table_close = () => "</table></div>";
  rules.html_block = (tokens, index) => {
    const { content } = tokens[index]!;
    const name = /^<!-- ([a-z-]+) -->\s*$/.exec(content)?.[1];
    if (name === undefined) return content;
    const insert = inserts[name];
    if (insert === undefined)
      throw new RangeError(
        `docs/${page}.md: nothing is called ${name} that could be put in; there are ${Object.keys(inserts).join(", ")}`,
      );
    return markdown.render(insert());
  };
  const html = markdown.render(source);
  return { html, headings };

  function linkTo(url: string): string {
    if (url.startsWith("api:")) {
      const target = api.get(url.slice(4));
      if (target === undefined)
        throw new RangeError(`docs/${page}.md: the library exports no ${url.slice(4)}; api: links name exports`);
      return to(target);
    }
    return /^[a-z][a-z\d+.-]*:/i.test(url) ? url : url.replace(/\.md(?=#|$)/, ".html");
  }
}

function plain(markdown: string): string {
  return markdown.replace(/\[([^\]]*)\]\([^)]*\)/g, "$1").replace(/[*_`]/g, "");
}

function slug(text: string, taken: Set<string>): string {
  const base = text
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, "-")
    .replace(/^-|-$/g, "");
  let id = base;
  for (let i = 2; taken.has(id); i++) id = `${base}-${i}`;
  taken.add(id);
  return id;
}
