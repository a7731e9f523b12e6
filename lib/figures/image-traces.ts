import { hoverText } from "./escape.js";
import { hiddenAxis, notebookWidth } from "./layout.js";
import { type Picture, pngUri } from "./picture.js";
import type { PlotObject, Trace } from "./plot-value.js";

/** Where equal cells stand, in units of cell pixels, y downward. */
export interface CellGrid {
  readonly columns: number;
  readonly rows: number;
  readonly left: (index: number) => number;
  readonly top: (index: number) => number;
  readonly width: number;
  readonly height: number;
  /** Screen pixels per unit at the planned width. */
  readonly zoom: number;
}

export interface CellGridOptions {
  readonly count: number;
  readonly cellWidth: number;
  readonly cellHeight: number;
  readonly columns?: number | undefined;
  /** Room for text over each cell, in screen pixels. */
  readonly titleRoom?: number;
  /** No cell is drawn larger, in screen pixels. */
  readonly maxCell?: number;
  readonly width?: number;
}

/** Four to eight columns: the number that leaves the fewest cells empty and makes the grid a little wider than tall. */
function columnsFor(count: number): number {
  const wanted = Math.sqrt(1.5 * count);
  const cost = (columns: number): number => Math.ceil(count / columns) * columns - count + Math.abs(columns - wanted) / 10;
  return [4, 5, 6, 7, 8].reduce((best, columns) => (cost(columns) < cost(best) ? columns : best));
}

/** Plans a grid that fits the notebook's width. */
export function cellGrid(options: CellGridOptions): CellGrid {
  const { count, cellWidth, cellHeight, titleRoom = 0, maxCell = 200, width: room = notebookWidth - 32 } = options;
  const columns = Math.max(1, Math.min(count, options.columns ?? columnsFor(count)));
  const rows = Math.max(1, Math.ceil(count / columns));
  const gapPixels = 6;
  const zoom = Math.min(maxCell / cellWidth, (room - (columns - 1) * gapPixels) / (columns * cellWidth));
  const gap = gapPixels / zoom;
  const title = titleRoom / zoom;
  return {
    columns,
    rows,
    zoom,
    left: (i) => (i % columns) * (cellWidth + gap),
    top: (i) => title + Math.floor(i / columns) * (cellHeight + gap + title),
    width: columns * (cellWidth + gap) - gap,
    height: rows * (cellHeight + gap + title) - gap,
  };
}

export interface PlacedImage {
  readonly left: number;
  readonly top: number;
  /** Size on the axes; default one unit per pixel. */
  readonly width?: number;
  readonly height?: number;
  /** Shown under the pointer. */
  readonly hover?: string | undefined;
  readonly axes?: readonly [string, string];
}

/** One picture as a Plotly image trace with crisp pixels. */
export function imageTrace(picture: Picture, place: PlacedImage): Trace {
  const dx = (place.width ?? picture.width) / picture.width;
  const dy = (place.height ?? picture.height) / picture.height;
  const [xaxis, yaxis] = place.axes ?? ["x", "y"];
  const hover: PlotObject =
    place.hover === undefined
      ? { hoverinfo: "skip" }
      : { hovertemplate: `${hoverText(place.hover)}<br><span style="opacity:0.7">rgb %{z}</span><extra></extra>` };
  return {
    type: "image",
    source: pngUri(picture),
    zsmooth: false,
    // Plotly centres the first pixel on x0, y0.
    x0: place.left + dx / 2,
    y0: place.top + dy / 2,
    dx,
    dy,
    xaxis,
    yaxis,
    ...hover,
  };
}

/** Axes of a grid of cells: square pixels, y downward, kept at the top left. */
export function gridAxes(width: number, height: number): { readonly xaxis: PlotObject; readonly yaxis: PlotObject } {
  return {
    xaxis: hiddenAxis({ range: [0, width], constrain: "domain", constraintoward: "left" }),
    yaxis: hiddenAxis({ range: [height, 0], scaleanchor: "x", constrain: "domain", constraintoward: "top" }),
  };
}
