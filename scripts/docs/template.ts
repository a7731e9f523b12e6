import path from "node:path";
import { escapeHtml } from "../../lib/figures/escape.js";
import type { Heading } from "./markdown.js";
import type { Page, Section } from "./pages.js";

export interface PageParts {
  /** Place below the site, with slashes, without `.html`. */
  readonly name: string;
  readonly title: string;
  readonly body: string;
  readonly headings: readonly Heading[];
}

/** What the header leads to: title and place below the site. */
export const sectionLinks: readonly (readonly [title: string, page: string])[] = [
  ["tweedie", "index.html"],
  ["Tutorial", "tutorial/install.html"],
  ["How-to", "how-to/load-models.html"],
  ["Explanation", "explanation/idea.html"],
  ["Reference", "reference/index.html"],
  ["Gallery", "gallery.html"],
];

/** No request leaves a page, and no script runs but the site's. */
const policy = "default-src 'none'; img-src 'self' data: file:; style-src 'self' 'unsafe-inline' file:; script-src 'self' file:";

/** A page around its text: header, pages of its section at the left, its parts at the right, the next page below. */
export function pageHtml({ name, title, body, headings }: PageParts, sections: readonly Section[]): string {
  const to = (place: string): string => escapeHtml(path.posix.relative(path.posix.dirname(name), place));
  const section = sections.find(({ folder }) => name.startsWith(`${folder}/`));
  const current = `${name}.html`;
  const links = sectionLinks.slice(1).map(([text, page]) => {
    const isHere = section ? page.startsWith(`${section.folder}/`) : page === current;
    return `<a href="${to(page)}"${isHere ? ' aria-current="true"' : ""}>${text}</a>`;
  });
  const parts = headings.filter(({ level }) => level === 2);
  const toc =
    parts.length < 2
      ? ""
      : `<nav class="parts" aria-label="On this page"><p>On this page</p>${parts.map(({ text, id }) => `<a href="#${id}">${escapeHtml(text)}</a>`).join("")}</nav>`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>${escapeHtml(title)}${name === "index" ? "" : " · tweedie"}</title>
<link rel="stylesheet" href="${to("assets/site.css")}">
<script src="${to("assets/theme.js")}"></script>
<script defer src="${to("assets/search.js")}" data-root="${to("index.html").replace(/index\.html$/, "")}"></script>
</head>
<body class="${section ? "in-section" : name}">
<a class="skip" href="#text">Skip to the text</a>
<header><a class="logo" href="${to("index.html")}">tweedie</a>
<nav aria-label="Sections">${links.join("")}</nav>
<div class="tools"><div class="search" role="search"><input type="search" placeholder="Search" aria-label="Search the documentation" autocomplete="off"><ol hidden></ol></div>
<button type="button" class="theme" aria-label="Light or dark" title="Light or dark"></button></div></header>
<div class="columns">
${section ? sidebar(section, name, to) : ""}
<main id="text">
${body}
${section ? neighbours(section, name, to) : ""}
</main>
${toc}
</div>
</body>
</html>
`;
}

function sidebar({ title, pages }: Section, name: string, to: (place: string) => string): string {
  const links = pages.map(
    (page) =>
      `<a href="${to(`${page.name}.html`)}"${page.name === name ? ' aria-current="page"' : ""}>${escapeHtml(page.title)}</a>`,
  );
  return `<nav class="pages" aria-label="${title}"><details open><summary>${title}</summary>${links.join("")}</details></nav>`;
}

function neighbours({ pages }: Section, name: string, to: (place: string) => string): string {
  const at = pages.findIndex((page) => page.name === name);
  const link = (page: Page | undefined, rel: string, label: string): string =>
    page === undefined
      ? "<span></span>"
      : `<a rel="${rel}" href="${to(`${page.name}.html`)}"><small>${label}</small>${escapeHtml(page.title)}</a>`;
  return `<nav class="neighbours" aria-label="Neighbouring pages">${link(pages[at - 1], "prev", "Before")}${link(pages[at + 1], "next", "Next")}</nav>`;
}
