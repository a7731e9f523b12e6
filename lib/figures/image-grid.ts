import { plotText } from "./escape.js";
import { Figure } from "./figure.js";
import { cellGrid, gridAxes, imageTrace } from "./image-traces.js";
import { frame, label } from "./layout.js";
import { type Pictures, picturesOf } from "./picture.js";
import { wrapped } from "./text.js";

export interface ImageGridOptions {
  readonly title?: string;
  readonly subtitle?: string;
  /** One text over each picture. */
  readonly titles?: readonly string[];
  readonly columns?: number;
  /** Float values shown as black and white; default [0, 1]. */
  readonly range?: readonly [number, number];
}

/**
 * Pictures side by side, enlarged without blur.
 * @throws RangeError if there is no picture, or there are not as many titles as pictures
 */
export function imageGrid(images: Pictures, options: ImageGridOptions = {}): Figure {
  const pictures = picturesOf(images, options.range);
  const { titles, title = "Pictures", subtitle } = options;
  if (pictures.length === 0) throw new RangeError("imageGrid: expected at least one picture, got none");
  if (titles !== undefined && titles.length !== pictures.length) {
    throw new RangeError(`imageGrid: expected ${pictures.length} titles, one per picture, got ${titles.length}`);
  }
  const cellWidth = Math.max(...pictures.map((p) => p.width));
  const cellHeight = Math.max(...pictures.map((p) => p.height));
  const cells = { count: pictures.length, cellWidth, cellHeight, columns: options.columns };
  const charactersThatFit = Math.max(4, Math.floor((cellWidth * cellGrid(cells).zoom) / 6));
  const lines = (titles ?? []).map((text) => wrapped(text, charactersThatFit, 3));
  const titleRoom = titles === undefined ? 0 : 6 + 14 * Math.max(...lines.map((l) => l.length));
  const grid = cellGrid({ ...cells, titleRoom });
  const top = subtitle === undefined ? 44 : 68;
  return new Figure({
    data: pictures.map((picture, i) =>
      imageTrace(picture, {
        left: grid.left(i),
        top: grid.top(i),
        width: cellWidth,
        height: cellHeight,
        hover: titles?.[i] ?? `picture ${i}`,
      }),
    ),
    layout: {
      ...frame({
        title,
        subtitle,
        height: Math.ceil(grid.height * grid.zoom) + top + 12,
        margin: { l: 12, r: 20, t: top, b: 12 },
      }),
      ...gridAxes(grid.width, grid.height),
      annotations: lines.map((text, i) =>
        label("", grid.left(i) + cellWidth / 2, grid.top(i), {
          text: text.map(plotText).join("<br>"),
          xanchor: "center",
          yanchor: "bottom",
        }),
      ),
    },
    summary: `${title}: ${pictures.length} pictures of ${cellWidth}×${cellHeight} pixels`,
  });
}
