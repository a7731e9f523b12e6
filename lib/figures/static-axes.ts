import { Tensor } from "../tensor/tensor.js";
import type { PlotArray, PlotObject, PlotValue, Trace } from "./plot-value.js";
import { numberText, percentText } from "./text.js";

/** The part of a Plotly axis that the static picture draws. */
export interface AxisSpec {
  readonly type?: string;
  readonly title?: { readonly text?: string };
  readonly range?: readonly number[];
  readonly domain?: readonly [number, number];
  readonly autorange?: string | boolean;
  readonly rangemode?: string;
  readonly visible?: boolean;
  readonly showgrid?: boolean;
  readonly showticklabels?: boolean;
  readonly tickvals?: readonly number[];
  readonly ticktext?: readonly string[];
  readonly tickformat?: string;
  readonly constrain?: string;
  readonly scaleanchor?: string;
  readonly side?: string;
  readonly overlaying?: string;
}

/** An axis placed on the picture. */
export interface PlacedAxis {
  readonly spec: AxisSpec;
  /** Pixel of a data value. */
  readonly at: (value: number) => number;
  /** Pixels of the axis' start and end: left and right, or bottom and top. */
  readonly from: number;
  readonly to: number;
  readonly ticks: readonly { readonly value: number; readonly text: string }[];
}

/** Two placed axes and what is drawn between them. */
export interface Panel {
  readonly x: PlacedAxis;
  readonly y: PlacedAxis;
  readonly traces: readonly Trace[];
}

/** The numbers of a trace's field, whatever holds them; strings and holes are NaN. */
export function numbersOf(value: PlotValue): readonly number[] {
  if (value === undefined || value === null) return [];
  if (value instanceof Tensor) return Array.from(value.data as Float32Array);
  if (ArrayBuffer.isView(value)) return Array.from(value as PlotArray);
  if (Array.isArray(value)) return (value as readonly PlotValue[]).map((v) => (typeof v === "number" ? v : Number.NaN));
  return [];
}

/** What a trace covers along one direction, in data units. */
function extentOf(trace: Trace, along: "x" | "y"): readonly number[] {
  const delta = Number(trace[`d${along}`] ?? 1);
  const start = Number(trace[`${along}0`] ?? 0);
  if (trace.type === "heatmap" || trace.type === "image") {
    const z = trace.z;
    const shape = z instanceof Tensor ? z.shape : [1, 1];
    const cells = shape[along === "x" ? 1 : 0]!;
    return [start - delta / 2, start + (cells - 0.5) * delta];
  }
  const values = numbersOf(trace[along]);
  if (trace.type !== "bar") return withErrors(values, trace[`error_${along}`] as PlotObject | undefined);
  const valueDirection = trace.orientation === "h" ? "x" : "y";
  if (along === valueDirection) {
    const base = Number(trace.base ?? 0);
    return [base, ...withErrors(values, trace[`error_${along}`] as PlotObject | undefined).map((v) => base + v)];
  }
  const half = Number(trace.width ?? 0.8) / 2;
  return values.flatMap((v) => [v - half, v + half]);
}

function withErrors(values: readonly number[], error: PlotObject | undefined): readonly number[] {
  if (error === undefined) return values;
  const above = numbersOf(error.array);
  const below = numbersOf(error.arrayminus);
  return [...values, ...values.map((v, i) => v + (above[i] ?? 0)), ...values.map((v, i) => v - (below[i] ?? 0))];
}

/** The ends of an axis in its own units (decades for a logarithmic one), start first. */
export function axisRange(spec: AxisSpec, traces: readonly Trace[], along: "x" | "y"): [number, number] {
  if (spec.range !== undefined) return [spec.range[0]!, spec.range[1]!];
  const log = spec.type === "log";
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const trace of traces) {
    for (const value of extentOf(trace, along)) {
      const v = log ? Math.log10(value) : value;
      if (!Number.isFinite(v)) continue;
      low = Math.min(low, v);
      high = Math.max(high, v);
    }
  }
  if (low > high) [low, high] = [0, 1];
  if (spec.rangemode === "tozero" && !log) [low, high] = [Math.min(0, low), Math.max(0, high)];
  const snug = traces.every((t) => t.type === "heatmap" || t.type === "image" || (along === "x" && t.mode === "lines"));
  const room = snug ? 0 : 0.05 * (high - low || 1);
  const touchesZero = (end: number): boolean => !log && end === 0;
  const ends: [number, number] = [touchesZero(low) ? 0 : low - room, touchesZero(high) ? 0 : high + room];
  if (ends[0] === ends[1]) ends[1] += 1;
  return spec.autorange === "reversed" ? [ends[1], ends[0]] : ends;
}

/** An axis between two pixels. */
export function placeAxis(spec: AxisSpec, range: readonly [number, number], from: number, to: number, tickRoom = 60): PlacedAxis {
  const log = spec.type === "log";
  const scale = (to - from) / (range[1] - range[0]);
  const at = (value: number): number => from + ((log ? Math.log10(value) : value) - range[0]) * scale;
  const low = Math.min(range[0], range[1]);
  const high = Math.max(range[0], range[1]);
  const inside = (v: number): boolean => v >= low - 1e-9 && v <= high + 1e-9;
  const values =
    spec.tickvals ??
    (log ? logTicks(low, high) : linearTicks(low, high, Math.max(2, Math.min(7, Math.abs(to - from) / tickRoom))));
  const ticks = values
    .map((value, i) => ({ value, text: spec.ticktext?.[i] ?? tickText(value, spec.tickformat) }))
    .filter(({ value }) => inside(log ? Math.log10(value) : value));
  return { spec, at, from, to, ticks };
}

function tickText(value: number, format: string | undefined): string {
  return format?.endsWith("%") === true
    ? percentText(Number(value.toPrecision(6))).replace(" ", "")
    : numberText(Number(value.toPrecision(6)));
}

/** Round numbers (1, 2 or 5 times a power of ten apart) inside low…high. */
export function linearTicks(low: number, high: number, count: number): readonly number[] {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((m) => m * power >= rough * 0.999) ?? 10);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => (first + i) * step);
}

/** Powers of ten, with 2 and 5 between them where there are few. `low` and `high` are logarithms. */
export function logTicks(low: number, high: number): readonly number[] {
  const factors = high - low > 2.5 ? [1] : [1, 2, 5];
  const step = Math.max(1, Math.ceil((high - low) / 8));
  const ticks: number[] = [];
  for (let d = Math.floor(low); d <= Math.ceil(high); d += step) for (const f of factors) ticks.push(f * 10 ** d);
  return ticks.filter((t) => Math.log10(t) >= low && Math.log10(t) <= high);
}
