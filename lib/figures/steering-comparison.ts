import { plotText } from "./escape.js";
import { Figure } from "./figure.js";
import { imageTrace } from "./image-traces.js";
import { axis, frame, hiddenAxis, notebookWidth } from "./layout.js";
import { classStyle, ink } from "./palette.js";
import { type Pictures, picturesOf } from "./picture.js";
import type { PlotObject, Trace } from "./plot-value.js";
import { numberText, shorten } from "./text.js";

/** One prompt or seed, generated at every strength. */
export interface SteeringRow {
  readonly name: string;
  /** One picture per strength. */
  readonly pictures: Pictures;
}

/** A quantity measured on the pictures at every strength. */
export interface SteeringCurve {
  readonly name: string;
  readonly mean: readonly number[];
  /** Ends of the confidence interval. */
  readonly low?: readonly number[];
  readonly high?: readonly number[];
}

export interface SteeringComparison {
  /** Edit strengths in drawing order. */
  readonly strengths: readonly number[];
  readonly rows: readonly SteeringRow[];
  readonly curves?: readonly SteeringCurve[];
}

export interface SteeringComparisonOptions {
  readonly title?: string;
  readonly subtitle?: string;
  readonly strengthLabel?: string;
  /** The strength that leaves pictures as they are; default 0, of factors it is 1. */
  readonly unedited?: number;
  readonly valueLabel?: string;
  readonly range?: readonly [number, number];
}

/**
 * Before and after: pictures over edit strengths, the unedited column framed, above the measured dose–response curves;
 * either may be missing.
 * @throws RangeError if there is neither a row nor a curve, or one has not one entry per strength
 */
export function steeringComparison(comparison: SteeringComparison, options: SteeringComparisonOptions = {}): Figure {
  const { strengths, rows, curves = [] } = comparison;
  const { title = "Steering", subtitle, strengthLabel = "strength", valueLabel = "measured" } = options;
  const n = strengths.length;
  const pictures = rows.map((row) => picturesOf(row.pictures, options.range));
  rows.forEach((row, r) => {
    if (pictures[r]!.length !== n)
      throw new RangeError(`steeringComparison: ${row.name} has ${pictures[r]!.length} pictures for ${n} strengths`);
  });
  for (const { name, mean, low, high } of curves) {
    for (const part of [mean, low, high]) {
      if (part !== undefined && part.length !== n)
        throw new RangeError(`steeringComparison: curve ${name} has ${part.length} values for ${n} strengths`);
    }
  }
  if (rows.length + curves.length === 0) throw new RangeError("steeringComparison: expected a row or a curve, got neither");
  const nameRoom = rows.length === 0 ? 64 : 110;
  const gap = 6;
  const size = Math.min(112, (notebookWidth - nameRoom - 50 - (n - 1) * gap) / Math.max(1, n));
  const left = (s: number): number => s * (size + gap);
  const top = (r: number): number => 22 + r * (size + gap);
  const gridHeight = rows.length === 0 ? 0 : top(rows.length) + 4;
  const gridWidth = left(n) - gap;
  const header = subtitle === undefined ? 48 : 70;
  const curveHeight = curves.length === 0 ? 0 : 210;
  const height = header + gridHeight + (curves.length === 0 ? 12 : curveHeight + 116);
  const bottom = curves.length === 0 ? 12 : 56;
  const inner = height - header - bottom;
  const unedited = strengths.indexOf(options.unedited ?? 0);
  const span = notebookWidth - nameRoom - 40;
  return new Figure({
    data: [
      ...rows.flatMap((row, r) =>
        strengths.map((strength, s) =>
          imageTrace(pictures[r]![s]!, {
            left: left(s),
            top: top(r),
            width: size,
            height: size,
            hover: `${row.name}\n${strengthLabel} ${numberText(strength)}`,
          }),
        ),
      ),
      ...curves.flatMap((curve, k) => curveTraces(curve, strengths, k)),
    ],
    layout: {
      ...frame({ title, subtitle, height, margin: { l: nameRoom, r: 30, t: header, b: bottom } }),
      ...(rows.length === 0
        ? {}
        : {
            xaxis: hiddenAxis({ range: [0, span], domain: [0, 1], anchor: "y", constrain: "domain", constraintoward: "left" }),
            yaxis: hiddenAxis({
              range: [gridHeight, 0],
              domain: [1 - gridHeight / inner, 1],
              anchor: "x",
              scaleanchor: "x",
              constrain: "domain",
              constraintoward: "top",
            }),
          }),
      ...(curves.length === 0
        ? {}
        : {
            xaxis2: axis(strengthLabel, {
              domain: [0, rows.length === 0 ? 1 : Math.max(0.55, gridWidth / span)],
              anchor: "y2",
              tickvals: strengths.length <= 15 ? strengths : undefined,
            }),
            yaxis2: axis(valueLabel, { domain: [0, curveHeight / inner], anchor: "x2", rangemode: "tozero" }),
          }),
      hovermode: "closest",
      legend: { orientation: "h", x: 0, y: curveHeight / inner + 0.01, yanchor: "bottom", bgcolor: "rgba(0,0,0,0)" },
      showlegend: curves.length > 0,
      annotations: [
        ...(rows.length === 0 ? [] : strengths).map(
          (strength, s): PlotObject => ({
            text: s === unedited ? "<b>unedited</b>" : numberText(strength),
            x: left(s) + size / 2,
            y: 20,
            xref: "x",
            yref: "y",
            xanchor: "center",
            yanchor: "bottom",
            showarrow: false,
            font: { size: 11 },
          }),
        ),
        ...(unedited < 0 || rows.length > 0
          ? []
          : [
              {
                text: "unedited",
                x: strengths[unedited],
                y: 1,
                xref: "x2",
                yref: "y2 domain",
                xanchor: "left",
                xshift: 4,
                yanchor: "top",
                showarrow: false,
                font: { size: 11 },
              },
            ]),
        ...rows.map(
          (row, r): PlotObject => ({
            text: plotText(shorten(row.name, 34)).replace(/(.{10}\S*)\s/g, "$1<br>"),
            x: 0,
            y: top(r) + size / 2,
            xref: "x",
            yref: "y",
            xanchor: "right",
            xshift: -8,
            align: "right",
            showarrow: false,
            font: { size: 11 },
          }),
        ),
      ],
      shapes: [
        ...(unedited < 0 || rows.length === 0
          ? []
          : [
              {
                type: "rect",
                x0: left(unedited) - 2,
                x1: left(unedited) + size + 2,
                y0: top(0) - 2,
                y1: top(rows.length - 1) + size + 2,
                line: { color: ink.accent, width: 2 },
              },
            ]),
        ...(unedited < 0 || curves.length === 0
          ? []
          : [
              {
                type: "line",
                xref: "x2",
                yref: "y2 domain",
                x0: strengths[unedited],
                x1: strengths[unedited],
                y0: 0,
                y1: 1,
                line: { color: ink.accent, width: 1.5, dash: "dot" },
              },
            ]),
      ],
    },
    summary: `${title}: ${rows.length === 0 ? "" : `${rows.length} rows at `}strengths ${strengths.map((s) => numberText(s)).join(", ")}${curves
      .map((c) => `; ${c.name} ${c.mean.map((v) => numberText(v)).join(", ")}`)
      .join("")}`,
  });
}

function curveTraces(curve: SteeringCurve, strengths: readonly number[], k: number): Trace[] {
  const { color, symbol } = classStyle(k);
  const name = plotText(curve.name);
  const main: Trace = {
    type: "scatter",
    mode: "lines+markers",
    x: strengths,
    y: curve.mean,
    xaxis: "x2",
    yaxis: "y2",
    name,
    line: { color, width: 2 },
    marker: { color, symbol, size: 7 },
    ...(curve.low === undefined || curve.high === undefined
      ? {}
      : {
          error_y: {
            type: "data",
            symmetric: false,
            array: curve.high.map((h, i) => h - curve.mean[i]!),
            arrayminus: curve.low.map((l, i) => curve.mean[i]! - l),
            color,
            thickness: 1.2,
            width: 3,
          },
        }),
    hovertemplate: "%{x:.3~g}: <b>%{y:.4~g}</b>",
  };
  return [main];
}
