import { plotlyLoader, withoutLibrary } from "../lib/figures/document.js";
import { bundlesOf, PLOTLY } from "./html-cells.js";
import { HTML_STYLE, THEME_BUTTON, THEME_SCRIPT } from "./html-style.js";
import type { Notebook } from "./notebook-format.js";
import { escapeHtml } from "./value-display.js";

/** `auto` follows the reader's system until the reader says otherwise. */
export type Theme = "auto" | "light" | "dark";

export interface PageParts {
  readonly title: string;
  readonly body: string;
  readonly theme?: Theme | undefined;
  readonly style?: string;
  /** Runs at the end of the page. */
  readonly script?: string;
  /** Drawing code for figures: in the page, or from this file beside it; none where there are no figures. */
  readonly figures?: "inline" | { readonly src: string } | undefined;
  /** The page shows files that lie beside it. */
  readonly beside?: boolean;
}

/** A page may do nothing but show itself: no request leaves it, unless for a file beside it. */
const policy = (beside: boolean): string => {
  const own = beside ? " 'self'" : "";
  return `default-src 'none'; script-src 'unsafe-inline'${own}; style-src 'unsafe-inline'; img-src data: blob:${own}; media-src data:; font-src data:`;
};

/** Draws the figures that came as Plotly's JSON only, in the page's colours where they name none. */
const DRAW_FIGURES = `
for (const element of document.querySelectorAll(".figure")) {
  const { data, layout = {}, frames, config } = JSON.parse(element.querySelector("script").textContent);
  element.style.height = (layout.height ?? 420) + "px";
  const ink = () => getComputedStyle(element).color;
  const axis = { gridcolor: "rgba(128,128,128,0.25)", zerolinecolor: "rgba(128,128,128,0.5)" };
  const quiet = { paper_bgcolor: "transparent", plot_bgcolor: "transparent", xaxis: axis, yaxis: axis };
  const ownColor = layout.font?.color;
  Plotly.newPlot(element, {
    data, frames, config: { responsive: true, displaylogo: false, ...config },
    layout: { autosize: true, template: { layout: quiet }, ...layout, font: { color: ink(), ...layout.font } },
  });
  if (!ownColor) for (const follow of [matchMedia("(prefers-color-scheme: dark)"), window])
    follow.addEventListener(follow === window ? "themechange" : "change", () => Plotly.relayout(element, { "font.color": ink() }));
}`;

/** A whole document: opens offline, in any browser, light or dark, and prints. */
export function htmlPage({
  title,
  body,
  theme = "auto",
  style = "",
  script = "",
  figures,
  beside = typeof figures === "object",
}: PageParts): string {
  const library =
    typeof figures === "object" ? `<script src="${escapeHtml(figures.src)}"></script>` : figures ? plotlyLoader(true) : "";
  const draw = body.includes('<div class="figure">') ? DRAW_FIGURES : "";
  return `<!doctype html>
<html lang="en"${theme === "auto" ? "" : ` data-theme="${theme}"`}>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${policy(beside)}">
<link rel="icon" href="data:,">
<title>${escapeHtml(title)}</title>
<style>${HTML_STYLE}${style}</style>
<script>${THEME_SCRIPT}</script>
${library}
</head>
<body>
${theme === "auto" ? THEME_BUTTON : ""}
${withoutLibrary(body)}
${draw || script ? `<script>${draw}${script}</script>` : ""}
</body>
</html>
`;
}

/** Whether a notebook shows figures that need the drawing code. */
export function hasFigures(notebook: Notebook): boolean {
  return bundlesOf(notebook).some((data) => PLOTLY in data || String(data["text/html"] ?? "").includes("tweedieFigures"));
}

/** The drawing code as a file for pages that share it. */
export function figureScript(): string {
  return plotlyLoader(true).replace(/^<script[^>]*>|<\/script>$/g, "");
}
