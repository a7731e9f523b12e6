import { Tensor } from "../tensor/tensor.js";
import { plotText } from "./escape.js";
import { Figure } from "./figure.js";
import { axis, colorBar, frame, notebookWidth } from "./layout.js";
import { type ColorScale, signed as signedScale, viridis } from "./palette.js";
import { numberText } from "./text.js";

export interface HeatmapOptions {
  readonly title?: string;
  readonly subtitle?: string;
  readonly rows?: readonly string[];
  /** Shorter texts for the axis; the full names stay under the pointer. */
  readonly shortRows?: readonly string[];
  readonly columns?: readonly string[];
  readonly xLabel?: string;
  readonly yLabel?: string;
  /** What the cells hold, with unit. */
  readonly quantity?: string;
  /** Ends of the colour scale; default the values' own. */
  readonly range?: readonly [number, number];
  /** Colours centred on zero; default when values have both signs. */
  readonly signed?: boolean;
  readonly colors?: ColorScale;
  /** Write the numbers into the cells; default for at most 20 columns and 300 cells. */
  readonly numbers?: boolean;
}

/**
 * A matrix as coloured cells, first row at the top: block × timestep probes, similarities, attention.
 * @param matrix float32 tensor [rows, columns]
 * @throws RangeError unless it is a matrix with as many names as rows and columns
 */
export function heatmap(matrix: Tensor, options: HeatmapOptions = {}): Figure {
  const [height, width] = matrix.shape as [number, number];
  if (matrix.shape.length !== 2 || matrix.dtype !== "float32")
    throw new RangeError(`heatmap: expected a float32 tensor [rows, columns], got ${matrix}`);
  const { title = "Heat map", subtitle, xLabel = "column", yLabel = "row", quantity = "value" } = options;
  const rows = options.rows ?? Array.from({ length: height }, (_, i) => String(i));
  const columns = options.columns ?? Array.from({ length: width }, (_, i) => String(i));
  if (rows.length !== height || columns.length !== width) {
    throw new RangeError(
      `heatmap: a [${height}, ${width}] matrix needs ${height} row and ${width} column names, got ${rows.length} and ${columns.length}`,
    );
  }
  const values = matrix.data as Float32Array;
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const v of values) {
    if (v < low) low = v;
    if (v > high) high = v;
  }
  const signed = options.signed ?? (low < 0 && high > 0);
  const reach = Math.max(-low, high);
  const [zmin, zmax] = options.range ?? (signed ? [-reach, reach] : [low, high]);
  const numbers = options.numbers ?? (width <= 20 && width * height <= 300);
  const cell = Math.min(64, Math.max(12, Math.min(600 / width, 560 / height)));
  const longest = Math.max(...columns.map((c) => c.length));
  // Positions are numbers and names are tick texts, for equal names would share one cell on a category axis.
  const ticks = (names: readonly string[]): { tickvals: number[]; ticktext: string[]; tickmode: string } => {
    const step = Math.ceil(names.length / 40);
    const shown = names.map((_, i) => i).filter((i) => i % step === 0);
    return { tickmode: "array", tickvals: shown, ticktext: shown.map((i) => plotText(names[i]!)) };
  };
  return new Figure({
    data: [
      {
        type: "heatmap",
        z: new Tensor("float32", values, [height, width]),
        zmin,
        zmax,
        colorscale: options.colors ?? (signed ? signedScale : viridis),
        xgap: cell > 24 ? 1 : 0,
        ygap: cell > 24 ? 1 : 0,
        ...(numbers ? { texttemplate: "%{z:.2~f}", textfont: { size: 11 } } : {}),
        customdata: rows.map((row) => columns.map((column) => [plotText(row), plotText(column)])),
        hovertemplate: `%{customdata[0]} · %{customdata[1]}<br><b>%{z:.4~g}</b><extra></extra>`,
        colorbar: colorBar(quantity),
      },
    ],
    layout: {
      ...frame({
        title,
        subtitle,
        height: Math.round(cell * height) + 150 + Math.min(120, longest * 4),
        margin: { l: 90, r: Math.max(24, notebookWidth - 190 - cell * width) },
      }),
      xaxis: axis(xLabel, { ...ticks(columns), showgrid: false, showline: false, ticks: "" }),
      yaxis: axis(yLabel, {
        ...ticks(options.shortRows ?? rows),
        showgrid: false,
        showline: false,
        ticks: "",
        ticklabelstandoff: 5,
        autorange: "reversed",
      }),
    },
    summary: `${title}: ${height}×${width}, ${quantity} ${numberText(low)} to ${numberText(high)}`,
  });
}
