import type { HtmlOptions } from "./html.js";
import { cellHtml } from "./html-cells.js";
import { hasFigures, htmlPage } from "./html-page.js";
import { titleOf } from "./markdown.js";
import type { Notebook, NotebookCell } from "./notebook-format.js";
import { SLIDES_SCRIPT, SLIDES_STYLE } from "./slides-style.js";

interface SlidePart {
  readonly cell: NotebookCell;
  /** Comes with the next step, not with the slide. */
  readonly isFragment: boolean;
  readonly isNotes: boolean;
}

type SlideType = "slide" | "subslide" | "fragment" | "skip" | "notes" | "-";

/** A notebook as slides in one self-contained page: keyboard, touch, overview, printing.
 *
 * Slides are what the notebook's slideshow metadata says (View → Cell Toolbar → Slideshow in Jupyter). Without any, every heading of
 * the first two levels begins one, and so does every figure that would not be the first on its slide. */
export function notebookToSlides(notebook: Notebook, options: HtmlOptions): string {
  const slides = slidesOf(notebook)
    .map((parts) => parts.map((part) => partHtml(part, options)).join("\n"))
    .filter((html) => html.trim() !== "")
    .map(
      (html, index) => `<section class="slide" id="${index + 1}" aria-roledescription="slide"><div>\n${html}\n</div></section>`,
    );
  return htmlPage({
    title: titleOf(notebook) ?? options.title,
    theme: options.theme,
    figures: hasFigures(notebook) ? "inline" : undefined,
    style: SLIDES_STYLE,
    script: SLIDES_SCRIPT,
    body: `<main class="deck">\n${slides.join("\n")}\n</main>\n<output id="place" aria-live="polite"></output><div id="bar"></div>`,
  });
}

function partHtml({ cell, isFragment, isNotes }: SlidePart, options: HtmlOptions): string {
  const html = cellHtml(cell, options);
  if (html === "" || (!isFragment && !isNotes)) return html;
  return isNotes ? `<aside class="notes">${html}</aside>` : `<div class="fragment">${html}</div>`;
}

function slidesOf(notebook: Notebook): SlidePart[][] {
  const typed = notebook.cells.some((cell) => typeOf(cell) !== undefined);
  const slides: SlidePart[][] = [];
  const begin = (part: SlidePart): unknown => slides.push([part]);
  const go = (part: SlidePart): unknown => (slides.length === 0 ? begin(part) : slides.at(-1)!.push(part));
  for (const cell of typed ? notebook.cells : notebook.cells.flatMap(atHeadings)) {
    const type = typed ? (typeOf(cell) ?? "-") : beginsSlide(cell, slides.at(-1) ?? []) ? "slide" : "-";
    if (type === "skip") continue;
    const part = { cell, isFragment: type === "fragment", isNotes: type === "notes" };
    if (type === "slide" || type === "subslide") begin(part);
    else go(part);
  }
  return slides;
}

function typeOf(cell: NotebookCell): SlideType | undefined {
  const type = (cell.metadata.slideshow as { slide_type?: SlideType } | undefined)?.slide_type;
  return type || undefined;
}

/** A text cell in pieces that begin with a heading of the first two levels. */
function atHeadings(cell: NotebookCell): NotebookCell[] {
  if (cell.cell_type !== "markdown") return [cell];
  let isCode = false;
  const pieces: string[][] = [[]];
  for (const line of cell.source.split("\n")) {
    if (/^\s*(```|~~~)/.test(line)) isCode = !isCode;
    if (!isCode && HEADING.test(line)) pieces.push([]);
    pieces.at(-1)!.push(line);
  }
  return pieces.filter((lines) => lines.join("").trim() !== "").map((lines) => ({ ...cell, source: lines.join("\n") }));
}

const HEADING = /^##?\s/;

function beginsSlide(cell: NotebookCell, slide: readonly SlidePart[]): boolean {
  if (cell.cell_type === "markdown") return HEADING.test(cell.source);
  return isRich(cell) && slide.some((part) => isRich(part.cell));
}

/** Whether a cell shows something that takes much of a slide. */
function isRich(cell: NotebookCell): boolean {
  return (
    cell.cell_type === "code" &&
    cell.outputs.some(
      (output) => "data" in output && Object.keys(output.data).some((type) => !/^text\/(plain|latex|markdown)$/.test(type)),
    )
  );
}
