import { plotText } from "./escape.js";
import { Figure } from "./figure.js";
import { gridAxes, imageTrace } from "./image-traces.js";
import { frame, label, notebookWidth } from "./layout.js";
import { ink } from "./palette.js";
import { type Picture, type Pictures, picturesOf, shrinkPicture } from "./picture.js";
import type { PlotObject } from "./plot-value.js";
import { numberText, shorten, wrapped } from "./text.js";

/** One sampler at every number of steps, from the same noise. */
export interface SamplerRow {
  readonly name: string;
  /** One picture per number of steps. */
  readonly pictures: Pictures;
  /** A number under each picture: the distance to the reference, say. */
  readonly metric?: ArrayLike<number>;
}

export interface SamplerComparison {
  /** Numbers of steps (or of network calls), one per column. */
  readonly steps: readonly number[];
  readonly rows: readonly SamplerRow[];
  /** What all should come to: a picture made with many steps. */
  readonly reference?: Picture;
}

export interface SamplerComparisonOptions {
  readonly title?: string;
  readonly subtitle?: string;
  /** What the columns count; default "steps". */
  readonly stepsLabel?: string;
  /** What the numbers under the pictures are, with unit. */
  readonly metricLabel?: string;
  readonly referenceLabel?: string;
  /** Float values shown as black and white; default [0, 1]. */
  readonly range?: readonly [number, number];
}

const gap = 6;

/**
 * Pictures by sampler (rows) and number of steps (columns), each with its metric; the best of each column is in bold type.
 * `errorCurves` with `orders` draws the metric over network calls.
 * @throws RangeError if there is no row or no column, or a row has not one picture and metric per column
 */
export function samplerComparison(comparison: SamplerComparison, options: SamplerComparisonOptions = {}): Figure {
  const { steps, rows, reference } = comparison;
  const { title = "Samplers compared", subtitle, stepsLabel = "steps", metricLabel = "", referenceLabel = "reference" } = options;
  const n = steps.length;
  if (n === 0 || rows.length === 0)
    throw new RangeError(`samplerComparison: expected rows and steps, got ${rows.length} rows and ${n} numbers of steps`);
  const pictures = rows.map((row) => picturesOf(row.pictures, options.range));
  rows.forEach(({ name, metric }, r) => {
    if (pictures[r]!.length !== n || (metric !== undefined && metric.length !== n))
      throw new RangeError(
        `samplerComparison: ${name} has ${pictures[r]!.length} pictures${metric === undefined ? "" : ` and ${metric.length} metrics`} for ${n} numbers of steps`,
      );
  });
  const hasMetric = rows.some((row) => row.metric !== undefined);
  const nameRoom = 116;
  const columns = n + (reference === undefined ? 0 : 1);
  const first = pictures[0]![0]!;
  const width = Math.min(144, (notebookWidth - nameRoom - 32 - (columns - 1) * gap) / columns);
  const height = (width * first.height) / first.width;
  // Twice the pixels shown, for dense screens.
  const shown = (picture: Picture): Picture => shrinkPicture(picture, 2 * Math.max(width, height));
  const left = (s: number): number => s * (width + gap) + (s === n ? gap : 0);
  const top = (r: number): number => 22 + r * (height + gap + (hasMetric ? 18 : 0));
  const best = steps.map((_, s) =>
    rows.reduce((low, { metric }) => Math.min(low, metric?.[s] ?? Number.POSITIVE_INFINITY), Number.POSITIVE_INFINITY),
  );
  // Numbers that read the same are equally good.
  const metricText = (value: number, s: number): string =>
    numberText(value) === numberText(best[s]) && rows.length > 1 ? `<b>${numberText(value)}</b>` : numberText(value);
  // Two pixels more, for the reference's frame.
  const total = { width: left(columns - 1) + width + 3, height: top(rows.length) };
  const middle = (s: number): number => left(s) + width / 2;
  const notes = [
    ...(subtitle === undefined ? [] : [subtitle]),
    ...(hasMetric && metricLabel !== "" ? [`under each picture: ${metricLabel}, least of the column in bold`] : []),
  ];
  const header = notes.length === 0 ? 48 : 70;
  return new Figure({
    data: [
      ...rows.flatMap(({ name, metric }, r) =>
        steps.map((count, s) =>
          imageTrace(shown(pictures[r]![s]!), {
            left: left(s),
            top: top(r),
            width,
            height,
            hover: `${name}, ${numberText(count)} ${stepsLabel}${metric === undefined ? "" : `\n${metricLabel} ${numberText(metric[s])}`}`,
          }),
        ),
      ),
      ...(reference === undefined
        ? []
        : [imageTrace(shown(reference), { left: left(n), top: top(0), width, height, hover: referenceLabel })]),
    ],
    layout: {
      ...frame({
        title,
        subtitle: notes.length === 0 ? undefined : notes.join(" · "),
        height: Math.ceil(total.height) + header + 12,
        margin: { l: nameRoom, r: 20, t: header, b: 12 },
      }),
      ...gridAxes(total.width, total.height),
      annotations: [
        ...steps.map((count, s) =>
          label(`${numberText(count)} ${s === 0 ? stepsLabel : ""}`, middle(s), 20, { yanchor: "bottom" }),
        ),
        ...(reference === undefined ? [] : [label(shorten(referenceLabel, width / 6), middle(n), 20, { yanchor: "bottom" })]),
        ...rows.map(
          ({ name }, r): PlotObject => ({
            ...label("", 0, top(r) + height / 2, { xanchor: "right", xshift: -8, align: "right", font: { size: 12 } }),
            text: wrapped(name, 16, 3).map(plotText).join("<br>"),
          }),
        ),
        ...rows.flatMap(({ metric }, r) =>
          metric === undefined
            ? []
            : steps.map(
                (_, s): PlotObject => ({
                  ...label("", middle(s), top(r) + height, { yanchor: "top" }),
                  text: metricText(metric[s]!, s),
                }),
              ),
        ),
      ],
      ...(reference === undefined
        ? {}
        : {
            shapes: [
              {
                type: "rect",
                x0: left(n) - 2,
                x1: left(n) + width + 2,
                y0: top(0) - 2,
                y1: top(0) + height + 2,
                line: { color: ink.accent, width: 2 },
              },
            ],
          }),
    },
    summary: `${title}: ${rows.map(({ name }) => name).join(", ")} at ${steps.map((s) => numberText(s)).join(", ")} ${stepsLabel}${rows
      .map(({ name, metric }) => (metric === undefined ? "" : `; ${name} ${Array.from(metric, (v) => numberText(v)).join(", ")}`))
      .join("")}`,
  });
}
