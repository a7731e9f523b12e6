import { plotText } from "./escape.js";
import { ink } from "./palette.js";
import type { PlotObject, PlotValue } from "./plot-value.js";

/** The width in pixels that heights and fixed-size texts are planned for; figures follow their column. */
export const notebookWidth = 800;

export interface FrameOptions {
  readonly title: string;
  /** A line under the title: n, what the intervals are, what was left out. */
  readonly subtitle?: string | undefined;
  readonly height: number;
  readonly margin?: PlotObject;
}

/** The layout that all figures share: transparent ground, quiet grid, title at the left with a line under it. */
export function frame(options: FrameOptions): { readonly [key: string]: PlotValue } {
  const { title, subtitle, height, margin } = options;
  return {
    title: {
      text: `<b>${plotText(title)}</b>`,
      font: { size: 15 },
      x: 0,
      xref: "container",
      pad: { l: 12, t: 12 },
      y: 1,
      yref: "container",
      yanchor: "top",
      ...(subtitle === undefined ? {} : { subtitle: { text: plotText(subtitle), font: { size: 12 } } }),
    },
    height,
    margin: { l: 64, r: 24, t: subtitle === undefined ? 48 : 72, b: 56, ...margin },
    font: { family: "system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif", size: 12, color: ink.text },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    modebar: { bgcolor: "rgba(0,0,0,0)", color: ink.faint, activecolor: ink.main },
    hoverlabel: { align: "left", font: { size: 12 } },
  };
}

/** An axis with its quantity and, in brackets, its unit. */
export function axis(title: string, options: PlotObject = {}): PlotObject {
  return {
    title: { text: plotText(title), standoff: 8, font: { size: 12 } },
    gridcolor: ink.grid,
    linecolor: ink.axis,
    showline: true,
    zeroline: false,
    ticks: "outside",
    ticklen: 4,
    tickcolor: ink.axis,
    automargin: true,
    ...options,
  };
}

/** A logarithmic axis whose ticks are plain numbers: decades where they suffice, else 1, 2, 5. */
export function logAxis(title: string, low: number, high: number, options: PlotObject = {}): PlotObject {
  const decades = low > 0 && high > low ? Math.log10(high / low) : 1;
  const dtick = decades > 2.5 ? Math.ceil(decades / 8) : "D2";
  return axis(title, { type: "log", dtick, tickformat: "~g", ...options });
}

/** An axis that only positions things. */
export function hiddenAxis(options: PlotObject = {}): PlotObject {
  return { visible: false, showgrid: false, zeroline: false, fixedrange: false, ...options };
}

/** A colour bar that says what it shows. */
export function colorBar(title: string, options: PlotObject = {}): PlotObject {
  return {
    title: { text: plotText(title), side: "right", font: { size: 12 } },
    thickness: 12,
    outlinewidth: 0,
    tickfont: { size: 11 },
    ...options,
  };
}

/** The legend as one line above the plot. */
export const legendAbove: PlotObject = {
  orientation: "h",
  x: 0,
  xanchor: "left",
  y: 1.02,
  yanchor: "bottom",
  bgcolor: "rgba(0,0,0,0)",
};

/** Text at a point of the data. */
export function label(text: string, x: number, y: number, options: PlotObject = {}): PlotObject {
  return { text: plotText(text), x, y, xref: "x", yref: "y", showarrow: false, font: { size: 11 }, ...options };
}

/** A heading over a panel whose axes have the ids `x` and `y`, such as "x2" and "y2". */
export function panelTitle(text: string, x: string, y: string, options: PlotObject = {}): PlotObject {
  return {
    text: `<b>${plotText(text)}</b>`,
    x: 0,
    y: 1,
    xref: `${x} domain`,
    yref: `${y} domain`,
    xanchor: "left",
    yanchor: "bottom",
    yshift: 4,
    showarrow: false,
    font: { size: 12 },
    ...options,
  };
}
