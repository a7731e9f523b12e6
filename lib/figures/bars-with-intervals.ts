import { plotText } from "./escape.js";
import { Figure } from "./figure.js";
import { axis, frame, legendAbove } from "./layout.js";
import { classStyle, ink } from "./palette.js";
import type { PlotObject, Trace } from "./plot-value.js";
import { numberText } from "./text.js";

/** An estimate with its confidence interval. */
export interface Estimate {
  readonly mean: number;
  readonly low: number;
  readonly high: number;
}

export interface BarSeries {
  readonly name: string;
  /** One per category. */
  readonly values: readonly Estimate[];
}

export interface BarsOptions {
  readonly title?: string;
  /** Says what the intervals are: "95 % bootstrap intervals, n = 500". */
  readonly subtitle?: string;
  /** The quantity, with unit. */
  readonly valueLabel?: string;
  /** A value to compare with, drawn as a line: chance, a baseline. */
  readonly reference?: { readonly value: number; readonly name: string };
  readonly range?: readonly [number, number];
}

/**
 * Means with confidence intervals, as horizontal bars, so that names can be read.
 * @throws RangeError if a series has not one estimate per category
 */
export function barsWithIntervals(
  categories: readonly string[],
  series: readonly BarSeries[],
  options: BarsOptions = {},
): Figure {
  const { title = "Comparison", subtitle, valueLabel = "value", reference } = options;
  for (const { name, values } of series) {
    if (values.length !== categories.length) {
      throw new RangeError(`barsWithIntervals: ${name} has ${values.length} estimates for ${categories.length} categories`);
    }
  }
  const data = series.map(
    ({ name, values }, k): Trace => ({
      type: "bar",
      orientation: "h",
      name: plotText(name),
      x: values.map((v) => v.mean),
      y: categories.map((_, i) => i),
      error_x: {
        type: "data",
        symmetric: false,
        array: values.map((v) => v.high - v.mean),
        arrayminus: values.map((v) => v.mean - v.low),
        thickness: 2,
        width: 5,
        color: ink.text,
      },
      marker: { color: classStyle(k).color, opacity: 0.6 },
      customdata: values.map((v, i) => [
        plotText(categories[i]!),
        numberText(v.mean),
        `${numberText(v.low)} – ${numberText(v.high)}`,
      ]),
      hovertemplate: "%{customdata[0]}<br><b>%{customdata[1]}</b> (%{customdata[2]})",
    }),
  );
  const bars = categories.length * Math.max(1, series.length);
  const barHeight = bars > 24 ? 13 : 22;
  const inner = Math.max(90, bars * barHeight + categories.length * 10);
  const top =
    (subtitle === undefined ? 52 : 76) +
    (series.length > 1 || reference !== undefined ? 22 : 0) +
    (series.length > 1 && reference !== undefined ? 14 : 0);
  const referenceMarks: PlotObject =
    reference === undefined
      ? {}
      : {
          shapes: [
            {
              type: "line",
              x0: reference.value,
              x1: reference.value,
              yref: "paper",
              y0: 0,
              y1: 1,
              line: { color: ink.text, dash: "dash", width: 1 },
            },
          ],
          annotations: [
            {
              text: plotText(reference.name),
              x: reference.value,
              yref: "paper",
              y: 1,
              yanchor: "bottom",
              xanchor: "center",
              showarrow: false,
              font: { size: 11 },
            },
          ],
        };
  return new Figure({
    data,
    layout: {
      ...frame({
        title,
        subtitle,
        height: top + inner + 56,
        margin: { l: 120, t: top, b: 56 },
      }),
      barmode: "group",
      bargap: 0.3,
      xaxis: axis(valueLabel, { range: options.range, zeroline: true, zerolinecolor: ink.axis }),
      yaxis: axis("", {
        tickmode: "array",
        tickvals: categories.map((_, i) => i),
        ticktext: categories.map(plotText),
        autorange: "reversed",
        showgrid: false,
        ticks: "",
      }),
      legend: { ...legendAbove, traceorder: "normal", y: 1 + (reference === undefined ? 6 : 20) / inner },
      showlegend: series.length > 1,
      ...referenceMarks,
    },
    summary: `${title}: ${series
      .flatMap(({ name, values }) =>
        values.map(
          (v, i) =>
            `${categories[i]} ${series.length > 1 ? `(${name}) ` : ""}${numberText(v.mean)} [${numberText(v.low)}, ${numberText(v.high)}]`,
        ),
      )
      .slice(0, 12)
      .join("; ")}`,
  });
}
