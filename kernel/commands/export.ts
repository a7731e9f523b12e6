import { mkdirSync } from "node:fs";
import path from "node:path";
import { type Command, command, say, UsageError } from "../command-line.js";
import type { HtmlOptions } from "../html.js";
import type { Theme } from "../html-page.js";
import { decoded } from "../markdown.js";
import { findNotebooks, type NotebookFile } from "../notebook-files.js";
import { type Notebook, readNotebook, writeFileAtomic } from "../notebook-format.js";

const FORMATS = ["html", "slides", "site", "markdown"] as const;
const THEMES = ["auto", "light", "dark"] as const;

interface Source extends NotebookFile {
  readonly notebook: Notebook;
}

/** Files by place below the folder that is written to. */
type Files = ReadonlyMap<string, string | Uint8Array>;

export const exportNotebooks: Command = command({
  name: "export",
  summary: "writes notebooks as pages, slides, a site or Markdown",
  operands: "<notebook, folder or glob…>",
  examples: [
    ["tweedie export out/study.ipynb", "study.html: one page that opens anywhere, without network"],
    ["tweedie export out/study.ipynb --no-code", "for readers who want the results"],
    ["tweedie export lecture.ipynb --to slides", "lecture.slides.html"],
    ["tweedie run notebooks/ && tweedie export out/ --to site -o public", "a site with an index"],
  ],
  about: `Shows the outputs that are in the notebook: run it before, with tweedie run or in Jupyter.

Pages follow the reader's system between light and dark, and have a button for it. Cells tagged "remove-cell", "remove-input" or
"remove-output" are left out. Links between the notebooks that are exported together lead to their pages.

Slides begin where the notebook's slideshow metadata says; without any, at every heading of the first two levels and at every further
figure; code of more than eight lines is folded when it shows something. Keys: arrows, space, Home, End, f full screen, o overview, s notes. Printing gives one slide per page.

A site's index shows titles, the first picture and the first paragraph of each notebook, and tags from its metadata ("tags": [...]).`,
  options: {
    to: { value: "<html|slides|site|markdown>", choices: FORMATS, default: "html", help: "what to write" },
    output: { short: "o", value: "<folder>", help: "where (default: beside each notebook; for a site: site)" },
    "no-code": { help: "leave out code" },
    "fold-code": { help: "show code on a click" },
    theme: { value: "<auto|light|dark>", choices: THEMES, default: "auto", help: "auto follows the reader's system" },
    title: { value: "<text>", help: "title of the site (default: the folder's name)" },
  },
  async run({ values, positionals }) {
    if (positionals.length === 0)
      throw new UsageError("export: expected a notebook, for instance tweedie export out/01-look-inside.ipynb");
    if (values["no-code"] && values["fold-code"]) throw new UsageError("export: expected one of --no-code and --fold-code");
    const sources = findNotebooks(positionals, values.output).map((found) => ({ ...found, notebook: readNotebook(found.file) }));
    for (const { file, notebook } of sources)
      if (hasNotRun(notebook)) warn(`${file} has no outputs; tweedie run ${file} makes them`);
    const code = values["no-code"] ? "hidden" : values["fold-code"] ? "folded" : "shown";
    const theme = values.theme as Theme;
    if (values.to === "site") {
      const { notebooksToSite } = await import("../site.js");
      const title = values.title ?? path.basename(path.resolve(positionals[0]!), ".ipynb");
      const notebooks = sources.map((source) => ({ ...source, place: source.place.replaceAll("\\", "/") }));
      const { files, broken } = notebooksToSite(notebooks, { title, code, theme });
      for (const text of broken) warn(`${text}, which is not part of the site`);
      write(files, values.output ?? "site");
      return say(
        `${path.join(values.output ?? "site", "index.html")}: ${sources.length} notebook${sources.length === 1 ? "" : "s"}`,
      );
    }
    for (const source of sources) {
      const files = await render(values.to, source, { code, theme, link: linkAmong(source, sources, values.to) });
      const folder =
        values.output === undefined ? path.dirname(source.file) : path.join(values.output, path.dirname(source.place));
      say(write(files, folder)[0]!);
    }
    return 0;
  },
});

async function render(to: string, { file, notebook }: Source, options: Omit<HtmlOptions, "directory" | "title">): Promise<Files> {
  const title = path.basename(file, ".ipynb");
  const page = { ...options, directory: path.dirname(path.resolve(file)), title };
  if (to === "markdown") {
    const { notebookToMarkdown } = await import("../markdown-export.js");
    const { text, files } = notebookToMarkdown(notebook, title, options.code !== "hidden");
    return new Map<string, string | Uint8Array>([[`${title}.md`, text], ...files]);
  }
  if (to === "slides")
    return new Map([[`${title}.slides.html`, (await import("../slides.js")).notebookToSlides(notebook, page)]]);
  return new Map([[`${title}.html`, (await import("../html.js")).notebookToHtml(notebook, page)]]);
}

/** Notebooks that are exported together keep their places to one another. */
function linkAmong(source: Source, sources: readonly Source[], to: string): (url: string) => string {
  const known = new Set(sources.map(({ file }) => path.resolve(file)));
  return (url) => {
    const [, target, rest = ""] = /^([^?#:]*)\.ipynb([?#].*)?$/i.exec(url) ?? [];
    if (target === undefined) return url;
    const file = path.resolve(path.dirname(source.file), `${decoded(target)}.ipynb`);
    return known.has(file) ? `${target}${to === "slides" ? ".slides" : ""}.html${rest}` : url;
  };
}

/** @returns what was written */
function write(files: Files, folder: string): string[] {
  return [...files].map(([place, content]) => {
    const file = path.join(folder, place);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileAtomic(file, content);
    return file;
  });
}

function hasNotRun({ cells }: Notebook): boolean {
  const code = cells.filter((cell) => cell.cell_type === "code" && cell.source.trim() !== "");
  return (
    code.length > 0 &&
    code.every((cell) => cell.cell_type === "code" && cell.outputs.length === 0 && cell.execution_count === null)
  );
}

function warn(text: string): void {
  process.stderr.write(`tweedie export: ${text}\n`);
}
