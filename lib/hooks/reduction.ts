import type { GraphBuilder, Value } from "../program/index.js";
import { float32, int64, Tensor, tensorDigest } from "../tensor/index.js";
import { positionAxes } from "./axes.js";
import { identityOf } from "./edits/edit.js";
import { coverage, type Region, regionGrid } from "./edits/region.js";
import type { Axis, HookPoint } from "./hook-point.js";

/** How several numbers become one. */
export type Pooling = "mean" | "max" | "sum";

/** A reduction of one's own, computed in the graph. */
export interface CustomReduction {
  readonly name: string;
  /** Axes of the result. */
  readonly axes: readonly Axis[];
  readonly program: (x: Value, g: GraphBuilder, point: HookPoint) => Value;
}

/** One step of what happens to an activation before it leaves the runtime. */
export type ReductionStep =
  | Pooling
  | "tokens"
  | { readonly tokens: readonly number[] }
  | { readonly channels: readonly number[] }
  | { readonly heads: readonly number[] | "mean" }
  | { readonly queries: readonly number[] }
  | { readonly keys: readonly number[] }
  | { readonly region: Region; readonly by?: Pooling }
  | { readonly grid: number; readonly by?: Pooling }
  | CustomReduction;

/**
 * What leaves the runtime of a captured activation:
 * - `"mean"`, `"max"`, `"sum"`: over positions (y and x, tokens, or an attention's queries or keys where channels stay) → [batch, channel];
 * - `{ region, by }`: the same over a part of the picture as edits take it, by default the mean, where it is soft a weighted one;
 * - `{ grid: k, by }`: k × k fields of equal size, by default their means, for images, and for tokens, queries of a square;
 * - `"tokens"`: every position as a vector → [batch, token, channel], positions row by row;
 * - `{ tokens }`: the same for chosen positions only;
 * - `{ channels }`, `{ queries }`, `{ keys }`: chosen ones;
 * - `{ heads }`: chosen ones, or `"mean"` over them;
 * - a program;
 * - a list: one after the other.
 */
export type Reduction = ReductionStep | readonly ReductionStep[];

interface Reduced {
  readonly program: (x: Value, g: GraphBuilder) => Value;
  readonly axes: readonly Axis[];
}

/** The reduction as a program, with the axes it leaves. @throws RangeError if the activation has no such axes */
export function reductionProgram(reduction: Reduction, point: HookPoint): Reduced {
  const start: Reduced = { program: (x) => x, axes: point.axes };
  return stepsOf(reduction).reduce((done: Reduced, step): Reduced => {
    const next = stepProgram(step, point, done.axes);
    return { program: (x, g) => next.program(done.program(x, g), g), axes: next.axes };
  }, start);
}

/** What tells reductions apart, fit for JSON. */
export function reductionKey(reduction: Reduction): unknown {
  return stepsOf(reduction).map((step) => {
    if (typeof step !== "object") return step;
    if ("program" in step) return identityOf(step.program);
    return "region" in step && step.region instanceof Tensor ? { ...step, region: tensorDigest(step.region) } : step;
  });
}

function stepsOf(reduction: Reduction): readonly ReductionStep[] {
  return Array.isArray(reduction) ? reduction : [reduction as ReductionStep];
}

function stepProgram(step: ReductionStep, point: HookPoint, axes: readonly Axis[]): Reduced {
  const { path } = point;
  const shown = `[${axes.join(", ")}]`;
  const axisOf = (axis: Axis): number => {
    const i = axes.indexOf(axis);
    if (i < 0) throw new RangeError(`capture ${path}: no ${axis} axis among ${shown}`);
    return i;
  };
  const chosen = (axis: Axis, indices: readonly number[]): Reduced => {
    const i = axisOf(axis);
    return { program: (x, g) => pick(x, g, indices, i, `capture ${path}: ${axis}`), axes };
  };
  if (typeof step === "object") {
    if ("program" in step) return { program: (x, g) => step.program(x, g, point), axes: step.axes };
    if ("channels" in step) return chosen("channel", step.channels);
    if ("queries" in step) return chosen("query", step.queries);
    if ("keys" in step) return chosen("key", step.keys);
    if ("heads" in step) {
      if (step.heads !== "mean") return chosen("head", step.heads);
      const head = axisOf("head");
      return { program: (x) => x.mean([head]), axes: axes.toSpliced(head, 1) };
    }
  }
  const places = placesOf(axes);
  if (places.length === 0) throw new RangeError(`capture ${path}: nothing to reduce, its axes are ${shown}`);
  const rest = axes.filter((_, i) => !places.includes(i));
  if (typeof step === "string" && step !== "tokens") return { program: (x) => x[step](places), axes: rest };
  if (typeof step === "object" && "region" in step) {
    const { region, by = "mean" } = step;
    return { program: (x, g) => overRegion(x, g, region, by, places, path), axes: rest };
  }
  if (typeof step === "object" && "grid" in step) {
    const { grid, by = "mean" } = step;
    return { program: (x) => overGrid(x, grid, by, places, path), axes };
  }
  if (rest.join() !== "batch,channel") throw new RangeError(`capture ${path}: no vectors at places, its axes are ${shown}`);
  const tokens = typeof step === "object" ? step.tokens : undefined;
  const program = (x: Value, g: GraphBuilder): Value => {
    const rows = axes.at(-1) === "channel" ? x : x.reshape([0, 0, -1]).transpose([0, 2, 1]);
    return tokens === undefined ? rows : pick(rows, g, tokens, 1, `capture ${path}: token`);
  };
  return { program, axes: ["batch", "token", "channel"] };
}

/** Axes of places: y and x, tokens, or queries or keys; of both, as in attention probabilities, the queries, which are the picture's. */
function placesOf(axes: readonly Axis[]): number[] {
  const positions = positionAxes(axes);
  if (positions.length > 0) return positions;
  const attended = axes.includes("query") ? axes.indexOf("query") : axes.indexOf("key");
  return attended < 0 ? [] : [attended];
}

function overRegion(x: Value, g: GraphBuilder, region: Region, by: Pooling, places: readonly number[], path: string): Value {
  const where = `capture ${path}`;
  const lengths = places.map((i) => x.dim(i));
  const [height, width] = lengths.length === 2 ? (lengths as [number, number]) : regionGrid(region, lengths[0]!, where);
  const weights = coverage(region, height, width, where);
  const shape = x.shape.map((_, i) => (places.includes(i) ? x.dim(i) : 1));
  const total = weights.reduce((a, b) => a + b, 0);
  if (total === 0) throw new RangeError(`${where}: the region reaches no place; make it larger`);
  // Chosen rather than multiplied away: what is outside may be infinite.
  const inside = g.constant(
    new Tensor(
      "bool",
      Uint8Array.from(weights, (w) => Number(w > 0)),
      shape,
    ),
  );
  const cut = g.where(inside, x, g.scalar(by === "max" ? Number.NEGATIVE_INFINITY : 0, x.dtype));
  if (by === "max") return cut.max(places);
  const share = g.constant(float32(weights, shape)).cast(x.dtype);
  const sum = cut.mul(share).sum(places);
  return by === "mean" ? sum.div(total) : sum;
}

function overGrid(x: Value, grid: number, by: Pooling, places: readonly number[], path: string): Value {
  const lengths = places.map((i) => x.dim(i));
  const isSequence = lengths.length === 1;
  const side = isSequence ? Math.sqrt(lengths[0]!) : undefined;
  const [height, width] = side === undefined ? (lengths as [number, number]) : [side, side];
  if (!Number.isInteger(grid) || grid < 1 || !Number.isInteger(height / grid) || !Number.isInteger(width / grid)) {
    const size = isSequence ? `${lengths[0]} places in a row` : `${height} × ${width}`;
    throw new RangeError(`capture ${path}: ${size} cannot be divided into ${grid} × ${grid} fields of equal size`);
  }
  const first = places[0]!;
  const before = x.shape.slice(0, first).map(() => 0);
  const after = x.rank - first - places.length;
  // A 0 keeps the axis of the same number only; what stands behind the places is at most one axis.
  const behind = after === 0 ? [] : [-1];
  const fields = x.reshape([...before, grid, height / grid, grid, width / grid, ...behind]);
  const pooled = fields[by]([first + 1, first + 3]);
  return isSequence ? pooled.reshape([...before, grid * grid, ...behind]) : pooled;
}

function pick(x: Value, g: GraphBuilder, indices: readonly number[], axis: number, what: string): Value {
  const length = x.shape[axis];
  const wrong = indices.find((i) => !Number.isInteger(i) || (typeof length === "number" && (i < -length || i >= length)));
  if (wrong !== undefined || indices.length === 0)
    throw new RangeError(
      `${what}: expected whole numbers in 0…${typeof length === "number" ? length - 1 : "?"}, got ${wrong ?? "none"}`,
    );
  return x.gather(g.constant(int64(indices)), axis);
}
