import { Displayed, documentId, type MimeBundle, plotlyLoader } from "./document.js";
import { escapeHtml, scriptJson } from "./escape.js";
import { type Json, type PlotObject, type PlotValue, plotJson, type Trace } from "./plot-value.js";
import { staticSvg } from "./static-svg.js";

/** What a figure does beyond Plotly once it is drawn. */
export interface Behaviour {
  /** A JavaScript function expression `(element, data, textColor) => void`; fixed text, never built from user data. */
  readonly script: string;
  /** Handed to the function as its second argument. */
  readonly data: PlotValue;
}

export interface FigureSpec {
  readonly data: readonly Trace[];
  readonly layout: PlotObject;
  readonly frames?: readonly PlotObject[] | undefined;
  readonly config?: PlotObject | undefined;
  readonly behaviour?: Behaviour | undefined;
  /** One or two sentences with the figure's numbers: its plain-text form, and its description for screen readers. */
  readonly summary: string;
}

const commonConfig: PlotObject = {
  responsive: true,
  displaylogo: false,
  showTips: false,
  // A prompt with two dollar signs is no formula.
  typesetMath: false,
  // No figure offers to send its data to a server.
  modeBarButtonsToRemove: ["sendChartToCloud", "select2d", "lasso2d", "autoScale2d"],
  plotlyServerURL: "",
};

/** In a narrower column, in pixels, a figure scrolls sideways: below this its texts would collide. */
const narrowest = 640;

/** A longer still stands in the HTML only, not beside it for readers that show none. */
const longestOwnStill = 150_000;

/** A Plotly figure as plain data, which shows itself in a notebook. Typed arrays are encoded only when it is shown. */
export class Figure extends Displayed {
  readonly data: readonly Trace[];
  readonly layout: PlotObject;
  readonly frames: readonly PlotObject[] | undefined;
  readonly config: PlotObject;
  readonly behaviour: Behaviour | undefined;
  readonly summary: string;

  constructor(spec: FigureSpec) {
    super();
    this.data = spec.data;
    this.layout = spec.layout;
    this.frames = spec.frames;
    this.config = { ...commonConfig, ...spec.config };
    this.behaviour = spec.behaviour;
    this.summary = spec.summary;
  }

  /** The figure in Plotly's JSON (arrays as base64), readable by Plotly in any language. */
  toJSON(): { [key: string]: Json } {
    const { data, layout, frames, config } = this;
    return plotJson({ data, layout, frames, config }) as { [key: string]: Json };
  }

  /** A complete HTML document with this figure, which opens anywhere without network. */
  toPage(): string {
    return [
      `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${escapeHtml(this.summary)}</title>`,
      "<style>:root{color-scheme:light dark}body{font:14px system-ui,sans-serif;max-width:860px;margin:1em auto}</style></head>",
      `<body>${this.#fragment(true, this.toSvg())}</body></html>`,
    ].join("\n");
  }

  /** A still picture of the figure, for documents and for readers that run no scripts. */
  toSvg(): string {
    return staticSvg(this);
  }

  /** Plotly's own type is what editors such as VS Code draw by themselves, and what other programs read a figure's data from. */
  override mimeBundle(): MimeBundle {
    const svg = this.toSvg();
    return {
      "application/vnd.plotly.v1+json": this.toJSON(),
      "text/html": this.#fragment(false, svg),
      ...(svg.length <= longestOwnStill ? { "image/svg+xml": svg } : {}),
      "text/plain": this.summary,
    };
  }

  #fragment(standalone: boolean, svg: string): string {
    const loader = plotlyLoader(standalone);
    const id = documentId("tweedie-figure");
    const spec = scriptJson({ ...this.toJSON(), extra: plotJson(this.behaviour?.data) });
    const height = Number(this.layout.height ?? 450);
    const summary = escapeHtml(this.summary);
    // Seen where scripts do not run, and until plotly.js is there.
    const still = `<img alt="${summary}" style="max-width:100%" src="data:image/svg+xml;base64,${Buffer.from(svg).toString("base64")}">`;
    // An element is looked up by "not drawn yet": an output left from an earlier kernel may bear the same id.
    return [
      loader,
      '<div style="overflow-x:auto">',
      `<div id="${id}" role="figure" aria-label="${summary}" style="min-width:${narrowest}px;min-height:${height}px">${still}</div></div>`,
      `<script>(function(){var el=document.querySelector('#${id}:not([data-drawn])');if(!el)return;el.setAttribute("data-drawn","");`,
      `(window.tweedieFigures=window.tweedieFigures||[]).push([el,${spec},${this.behaviour?.script ?? "null"}]);`,
      'setTimeout(function(){if(el.getAttribute("data-drawn")==="")el.insertAdjacentText("beforeend",',
      `${JSON.stringify(libraryGone)})},5000)})()</script>`,
    ].join("");
  }
}

/** The still picture in a figure's HTML, as SVG; undefined in other HTML. */
export function stillOf(html: string): string | undefined {
  const found = /role="figure"[^>]*><img [^>]*src="data:image\/svg\+xml;base64,([A-Za-z\d+/=]+)"/.exec(html);
  return found === null ? undefined : Buffer.from(found[1]!, "base64").toString();
}

const libraryGone =
  "Only a still picture: plotly.js came with another figure, whose output is gone. Run that figure's cell, or restoreFigures() in any cell, and this one comes alive.";
