import path from "node:path";
import { notebookToHtml } from "./html.js";
import type { CellOptions } from "./html-cells.js";
import { figureScript, hasFigures, htmlPage, type Theme } from "./html-page.js";
import { decoded, titleOf } from "./markdown.js";
import type { Notebook } from "./notebook-format.js";
import { SITE_SCRIPT, SITE_STYLE } from "./site-style.js";
import { thumbnailOf } from "./thumbnail.js";
import { escapeHtml } from "./value-display.js";

export interface SiteNotebook {
  readonly file: string;
  /** Place below the site's folder, with slashes, still with `.ipynb`. */
  readonly place: string;
  readonly notebook: Notebook;
}

export interface SiteOptions {
  readonly title: string;
  readonly code?: CellOptions["code"];
  readonly theme?: Theme | undefined;
}

/** A static site: its files by place, and links between notebooks that lead nowhere. */
export interface Site {
  readonly files: ReadonlyMap<string, string | Uint8Array>;
  readonly broken: readonly string[];
}

const FIGURES = "assets/figures.js";

/** Notebooks as pages that know one another: an index with titles, pictures and tags; links between notebooks lead to pages; the
 * drawing code is there once for all of them.
 * @throws RangeError for a notebook whose page would be the index */
export function notebooksToSite(notebooks: readonly SiteNotebook[], options: SiteOptions): Site {
  const files = new Map<string, string | Uint8Array>();
  const broken: string[] = [];
  const places = new Set(notebooks.map(({ place }) => place));
  if (places.has("index.ipynb"))
    throw new RangeError(
      "export: expected notebooks besides the index, got index.ipynb, whose page would be index.html; rename it",
    );
  notebooks.forEach(({ file, place, notebook }, number) => {
    const here = path.posix.dirname(place);
    const to = (target: string): string => encodeURI(path.posix.relative(here, target));
    const neighbour = (at: number, arrow: string, rel: string): string => {
      const other = notebooks[at];
      if (!other) return "<span></span>";
      return `<a rel="${rel}" href="${escapeHtml(to(pageOf(other.place)))}">${arrow.replace("*", escapeHtml(nameOf(other)))}</a>`;
    };
    const home = `<a href="${escapeHtml(to("index.html"))}">${escapeHtml(options.title)}</a>`;
    const navigation = `<nav class="pages">${neighbour(number - 1, "← *", "prev")}${home}${neighbour(number + 1, "* →", "next")}</nav>`;
    const link = (url: string): string => {
      const [, target = "", rest = ""] = /^([^?#]*\.ipynb)([?#].*)?$/i.exec(url) ?? [];
      if (target === "" || /^[a-z][a-z\d+.-]*:|^\//i.test(url)) return url;
      const at = path.posix.join(here, decoded(target));
      if (places.has(at)) return to(pageOf(at)) + rest;
      broken.push(`${file} links to ${url}`);
      return url;
    };
    const directory = path.dirname(path.resolve(file));
    const title = path.posix.basename(place, ".ipynb");
    files.set(
      pageOf(place),
      notebookToHtml(notebook, { ...options, directory, title, link, navigation, figures: { src: to(FIGURES) } }),
    );
  });
  if (notebooks.some(({ notebook }) => hasFigures(notebook))) files.set(FIGURES, figureScript());
  files.set("index.html", indexPage(notebooks, options, files));
  return { files, broken };
}

/** The page of a notebook: `a/b.ipynb` → `a/b.html`. */
function pageOf(place: string): string {
  return place.replace(/\.ipynb$/, ".html");
}

function nameOf({ notebook, place }: SiteNotebook): string {
  return titleOf(notebook) ?? path.posix.basename(place, ".ipynb");
}

function indexPage(
  notebooks: readonly SiteNotebook[],
  { title, theme }: SiteOptions,
  files: Map<string, string | Uint8Array>,
): string {
  const cards = notebooks.map((entry) => {
    const { place, notebook } = entry;
    const thumbnail = thumbnailOf(notebook);
    const picture = thumbnail && `assets/thumbnails/${place.replace(/\.ipynb$/, "")}.${thumbnail.extension}`;
    if (picture) files.set(picture, thumbnail.bytes);
    const tags = tagsOf(notebook);
    const image = picture ? `<img alt="" loading="lazy" src="${escapeHtml(encodeURI(picture))}">` : '<div class="blank"></div>';
    return `<li data-tags="${escapeHtml(JSON.stringify(tags))}"><a href="${escapeHtml(encodeURI(pageOf(place)))}">${image}
<h2>${escapeHtml(nameOf(entry))}</h2></a><p>${escapeHtml(introductionOf(notebook))}</p>
<p class="tags">${tags.map((tag) => `<span>${escapeHtml(tag)}</span>`).join(" ")}</p></li>`;
  });
  const all = [...new Set(notebooks.flatMap(({ notebook }) => tagsOf(notebook)))].sort();
  const filter = all.map((tag) => `<button type="button" aria-pressed="false">${escapeHtml(tag)}</button>`).join(" ");
  return htmlPage({
    title,
    theme,
    style: SITE_STYLE,
    script: all.length > 0 ? SITE_SCRIPT : "",
    beside: true,
    body: `<main class="index">
<h1>${escapeHtml(title)}</h1>
${filter && `<div class="filter" role="group" aria-label="Show only notebooks tagged">${filter}</div>`}
<ul>
${cards.join("\n")}
</ul>
<footer>Made with tweedie.</footer>
</main>`,
  });
}

/** Tags of a whole notebook: `metadata.tags`, or `keywords` as JupyterBook has them. */
function tagsOf({ metadata }: Notebook): string[] {
  const tags = metadata.tags ?? metadata.keywords;
  return Array.isArray(tags) ? tags.filter((tag) => typeof tag === "string") : [];
}

/** The first paragraph of text, without its markup, cut at a word. */
function introductionOf(notebook: Notebook): string {
  const text = notebook.cells.flatMap((cell) => (cell.cell_type === "markdown" ? [cell.source] : [])).join("\n\n");
  const paragraph = text.split(/\n\s*\n/).find((block) => /^[^#>|`!<\s-]/.test(block)) ?? "";
  const plain = paragraph
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/[*_`]/g, "")
    .replace(/\s+/g, " ");
  return plain.length <= 180 ? plain : `${plain.slice(0, 180).replace(/\s\S*$/, "")} …`;
}
