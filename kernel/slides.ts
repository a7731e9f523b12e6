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

/** Code that would push what it shows off the slide is folded. */
const MAX_LINES = 8;

function partHtml({ cell, isFragment, isNotes }: SlidePart, options: HtmlOptions): string {
  const isLong = cell.cell_type === "code" && cell.outputs.length > 0 && cell.source.split("\n").length > MAX_LINES;
  const html = cellHtml(cell, isLong && options.code !== "hidden" ? { ...options, code: "folded" } : options);
  if (html === "" || (!isFragment && !isNotes)) return html;
  return isNotes ? `<aside class="notes">${html}</aside>` : `<div class="fragment">${html}</div>`;
}

function slidesOf({ cells }: Notebook): SlidePart[][] {
  return cells.some((cell) => typeOf(cell) !== undefined) ? byMetadata(cells) : byHeadings(cells.flatMap(atHeadings));
}

function byMetadata(cells: readonly NotebookCell[]): SlidePart[][] {
  const slides: SlidePart[][] = [[]];
  for (const cell of cells) {
    const type = typeOf(cell) ?? "-";
    if (type === "skip") continue;
    if (type === "slide" || type === "subslide") slides.push([]);
    slides.at(-1)!.push({ cell, isFragment: type === "fragment", isNotes: type === "notes" });
  }
  return slides;
}

function byHeadings(cells: readonly NotebookCell[]): SlidePart[][] {
  const slides: SlidePart[][] = [[]];
  for (const cell of cells) {
    const slide = slides.at(-1)!;
    if (cell.cell_type === "markdown" && HEADING.test(cell.source)) slides.push([]);
    else if (isRich(cell) && slide.some((part) => isRich(part.cell))) {
      // The text before a figure is about it.
      const text = slide.findLastIndex((part) => part.cell.cell_type !== "markdown") + 1;
      slides.push(slide.splice(text));
    }
    slides.at(-1)!.push({ cell, isFragment: false, isNotes: false });
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

/** Whether a cell shows something that takes much of a slide. */
function isRich(cell: NotebookCell): boolean {
  return (
    cell.cell_type === "code" &&
    cell.outputs.some(
      (output) => "data" in output && Object.keys(output.data).some((type) => !/^text\/(plain|latex|markdown)$/.test(type)),
    )
  );
}
