import { plotText } from "./escape.js";
import { Figure } from "./figure.js";
import { frame, legendAbove, logAxis } from "./layout.js";
import { classStyle, ink } from "./palette.js";
import type { PlotObject, Trace } from "./plot-value.js";
import { numberText } from "./text.js";

/** An error, measured at several costs. */
export interface ErrorCurve {
  readonly name: string;
  /** Steps or network calls, each above 0. */
  readonly x: ArrayLike<number>;
  /** Errors, each at least 0. */
  readonly error: ArrayLike<number>;
  /** Ends of the confidence intervals. */
  readonly low?: ArrayLike<number>;
  readonly high?: ArrayLike<number>;
}

export interface ErrorCurvesOptions {
  readonly title?: string;
  /** Says what the error is of and what the intervals are. */
  readonly subtitle?: string;
  readonly xLabel?: string;
  /** The error, with unit. */
  readonly yLabel?: string;
  /** An error that cannot be undercut, drawn as a line: the autoencoder's own, the reference's. */
  readonly floor?: { readonly value: number; readonly name: string };
  /** Name each curve with the order fitted to it: the slope of the straight line through its logarithms. */
  readonly orders?: boolean;
}

/**
 * Errors over costs, both logarithmic: an order of convergence is a slope.
 * @throws RangeError if a curve is empty, its series differ in length, or a cost is not above or an error below 0
 */
export function errorCurves(curves: readonly ErrorCurve[], options: ErrorCurvesOptions = {}): Figure {
  const { title = "Error", subtitle, xLabel = "steps", yLabel = "error", floor, orders = false } = options;
  if (curves.length === 0) throw new RangeError("errorCurves: expected at least one curve, got none");
  for (const curve of curves) expectCurve(curve);
  const fits = curves.map((curve) => (orders ? convergenceOrder(curve.x, curve.error) : undefined));
  const labels = curves.map(({ name }, k) => (fits[k] === undefined ? name : `${name}, order ${fits[k].toFixed(1)}`));
  const costs = positive(curves.flatMap(({ x }) => Array.from(x)));
  const errors = positive([
    ...curves.flatMap(({ error, low, high }) => [error, low ?? [], high ?? []].flatMap((part) => Array.from(part))),
    ...(floor === undefined ? [] : [floor.value]),
  ]);
  const ticks = apart(costs);
  const guides = orders ? orderGuides(costs, errors, fits) : [];
  const floorMarks: PlotObject =
    floor === undefined
      ? {}
      : {
          shapes: [
            {
              type: "line",
              xref: "paper",
              x0: 0,
              x1: 1,
              y0: floor.value,
              y1: floor.value,
              line: { color: ink.text, width: 1, dash: "dash" },
            },
          ],
        };
  return new Figure({
    data: [...guides, ...curves.map((curve, k) => curveTrace(curve, labels[k]!, k))],
    layout: {
      ...frame({ title, subtitle, height: 400, margin: { t: subtitle === undefined ? 84 : 108, r: 40 } }),
      xaxis: logAxis(xLabel, Math.min(...costs), Math.max(...costs), {
        ...(ticks.length <= 12 ? { tickmode: "array", tickvals: ticks, ticktext: ticks.map((v) => numberText(v)) } : {}),
      }),
      yaxis: logAxis(yLabel, Math.min(...errors), Math.max(...errors)),
      hovermode: "closest",
      legend: legendAbove,
      showlegend: curves.length > 1 || orders,
      ...floorMarks,
      annotations:
        floor === undefined
          ? []
          : [
              {
                text: plotText(floor.name),
                xref: "paper",
                x: 0.01,
                xanchor: "left",
                y: Math.log10(floor.value),
                yanchor: "bottom",
                showarrow: false,
                font: { size: 11 },
              },
            ],
    },
    summary: `${title}: ${curves
      .map(
        ({ x, error }, k) =>
          `${labels[k]}: ${numberText(error[0])} at ${numberText(x[0])} to ${numberText(error[error.length - 1])} at ${numberText(x[x.length - 1])} ${xLabel}`,
      )
      .join("; ")}`,
  });
}

/**
 * The order p of error ≈ c·cost^−p: minus the slope of the least-squares line through the logarithms of all positive points.
 * @returns undefined where fewer than two different costs have a positive error
 */
export function convergenceOrder(costs: ArrayLike<number>, errors: ArrayLike<number>): number | undefined {
  const points = Array.from(costs, (x, i) => [Math.log(x), Math.log(errors[i]!)] as const).filter((p) =>
    p.every(Number.isFinite),
  );
  const mean = (k: 0 | 1): number => points.reduce((sum, p) => sum + p[k], 0) / points.length;
  const [x, y] = [mean(0), mean(1)];
  const spread = points.reduce((sum, p) => sum + (p[0] - x) ** 2, 0);
  return spread > 0 ? -points.reduce((sum, p) => sum + (p[0] - x) * (p[1] - y), 0) / spread : undefined;
}

function expectCurve({ name, x, error, low = error, high = error }: ErrorCurve): void {
  const lengths = [x, error, low, high].map((part) => part.length);
  if (lengths[0] === 0 || new Set(lengths).size > 1)
    throw new RangeError(
      `errorCurves: ${name} needs as many errors, lows and highs as costs, one at least; got ${lengths.slice(1).join(", ")} for ${lengths[0]}`,
    );
  const cost = Array.from(x).find((v) => !(v > 0 && v < Number.POSITIVE_INFINITY));
  if (cost !== undefined) throw new RangeError(`errorCurves: ${name} has a cost of ${cost}; steps and calls are above 0`);
  const wrong = Array.from(error).find((v) => !(v >= 0));
  if (wrong !== undefined) throw new RangeError(`errorCurves: ${name} has an error of ${wrong}; errors are at least 0`);
}

function positive(values: readonly number[]): readonly number[] {
  const kept = values.filter((v) => v > 0 && Number.isFinite(v));
  return kept.length === 0 ? [1] : kept;
}

/** The costs that have room for a tick each, or none where they are many. */
function apart(costs: readonly number[]): readonly number[] {
  const ticks: number[] = [];
  for (const v of [...new Set(costs)].sort((a, b) => a - b)) if (v > 1.15 * (ticks.at(-1) ?? 0)) ticks.push(v);
  return ticks.length > 14 ? [] : ticks;
}

function curveTrace({ x, error, low, high }: ErrorCurve, label: string, k: number): Trace {
  const { color } = classStyle(k);
  // Marks tell the curves apart too, for colour-blind readers.
  const symbols = ["circle", "diamond", "square", "triangle-up", "x", "star"];
  const at = Float32Array.from(x);
  const whiskers: PlotObject =
    low === undefined || high === undefined
      ? {}
      : {
          error_y: {
            type: "data",
            symmetric: false,
            array: Float32Array.from(high, (h, i) => h - error[i]!),
            arrayminus: Float32Array.from(low, (l, i) => error[i]! - l),
            color,
            thickness: 1.2,
            width: 3,
          },
        };
  return {
    type: "scatter",
    mode: "lines+markers",
    x: at,
    y: Float32Array.from(error),
    name: plotText(label),
    line: { color, width: 2 },
    marker: { color, symbol: symbols[k % symbols.length]!, size: 8 },
    ...whiskers,
    hovertemplate: "%{x:~g}: <b>%{y:.3~g}</b>",
  };
}

/** Dotted lines of the whole orders nearest to the fitted ones, from the top left down. */
function orderGuides(costs: readonly number[], errors: readonly number[], fits: readonly (number | undefined)[]): Trace[] {
  const [from, to] = [Math.min(...costs), Math.max(...costs)];
  const [bottom, top] = [Math.min(...errors), Math.max(...errors)];
  const orders = new Set(fits.map((p) => Math.round(p ?? 0)).filter((p) => p >= 1));
  return [...orders]
    .sort((a, b) => a - b)
    .map((p) => {
      const end = Math.min(to, from * (top / bottom) ** (1 / p));
      return {
        type: "scatter",
        mode: "lines+text",
        x: Float32Array.of(from, end),
        y: Float32Array.of(top, top * (from / end) ** p),
        text: ["", `slope −${p}`],
        textposition: "top left",
        textfont: { size: 11, color: ink.text },
        line: { color: ink.faint, width: 1.5, dash: "dot" },
        name: `slope −${p}`,
        showlegend: false,
        hoverinfo: "skip",
      };
    });
}
