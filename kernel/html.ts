import { type CellOptions, cellHtml } from "./html-cells.js";
import { hasFigures, htmlPage, type PageParts, type Theme } from "./html-page.js";
import { titleOf } from "./markdown.js";
import type { Notebook } from "./notebook-format.js";

export interface HtmlOptions extends CellOptions {
  /** Title where the notebook has no heading. */
  readonly title: string;
  readonly theme?: Theme | undefined;
  /** Links to other pages, above and below the notebook. */
  readonly navigation?: string;
  /** The file that holds the drawing code for figures; without one it is in the page. */
  readonly figures?: PageParts["figures"];
}

/** An executed notebook as one self-contained page. */
export function notebookToHtml(notebook: Notebook, options: HtmlOptions): string {
  const { title, theme, navigation = "", figures = "inline" } = options;
  const cells = notebook.cells.map((cell) => cellHtml(cell, options)).filter(Boolean);
  return htmlPage({
    title: titleOf(notebook) ?? title,
    theme,
    figures: hasFigures(notebook) ? figures : undefined,
    body: `<main>\n${navigation}\n${cells.join("\n")}\n${navigation}\n<footer>Made with tweedie.</footer>\n</main>`,
  });
}
