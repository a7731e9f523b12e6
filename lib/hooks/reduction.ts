import { toAttributes } from "../onnx/index.js";
import type { GraphBuilder, Value } from "../program/index.js";
import { int64 } from "../tensor/index.js";
import { positionAxes } from "./axes.js";
import type { Axis, HookPoint } from "./hook-point.js";
import type { ActivationProgram } from "./program-splice.js";

/** A reduction of one's own, computed in the graph. */
export interface CustomReduction {
  readonly name: string;
  /** Axes of the result. */
  readonly axes: readonly Axis[];
  readonly program: ActivationProgram;
}

/**
 * What leaves the runtime of a captured activation:
 * - `"mean"`, `"max"`: over positions (y and x, or tokens) → [batch, channel];
 * - `"tokens"`: every position as a vector → [batch, token, channel], positions row by row;
 * - `{ tokens }`: the same for chosen positions only;
 * - `{ channels }`: chosen channels;
 * - a program.
 */
export type Reduction =
  | "mean"
  | "max"
  | "tokens"
  | { readonly tokens: readonly number[] }
  | { readonly channels: readonly number[] }
  | CustomReduction;

/** The reduction as a program, with the axes it leaves. @throws RangeError if the activation has no such axes */
export function reductionProgram(
  reduction: Reduction,
  point: HookPoint,
): { readonly program: ActivationProgram; readonly axes: readonly Axis[] } {
  if (typeof reduction === "object" && "program" in reduction) return reduction;
  const { axes, path } = point;
  const positions = positionAxes(axes);
  const channel = axes.indexOf("channel");
  if (typeof reduction === "object" && "channels" in reduction) {
    if (channel < 0) throw new RangeError(`capture ${path}: no channel axis among [${axes.join(", ")}]`);
    return { program: (x, g) => pick(x, g, reduction.channels, channel), axes };
  }
  if (positions.length === 0) throw new RangeError(`capture ${path}: nothing to reduce, its axes are [${axes.join(", ")}]`);
  if (reduction === "mean" || reduction === "max") {
    const program: ActivationProgram = (x, g) => reduceOver(x, g, reduction === "mean" ? "ReduceMean" : "ReduceMax", positions);
    return { program, axes: axes.filter((_, i) => !positions.includes(i)) };
  }
  const chosen = typeof reduction === "object" ? reduction.tokens : undefined;
  const program: ActivationProgram = (x, g) => {
    const rows = axes.join() === "batch,token,channel" ? x : x.reshape([0, 0, -1]).transpose([0, 2, 1]);
    return chosen === undefined ? rows : pick(rows, g, chosen, 1);
  };
  return { program, axes: ["batch", "token", "channel"] };
}

/** Reduces over axes; before opset 18 the axes were an attribute, since then they are an input. */
export function reduceOver(
  x: Value,
  g: GraphBuilder,
  opType: "ReduceMean" | "ReduceMax",
  axes: readonly number[],
  keepdims = false,
): Value {
  const options = toAttributes({ keepdims: keepdims ? 1 : 0 });
  return g.opset >= 18 ? g.op(opType, [x, g.ints(axes)], options) : g.op(opType, [x], { ...options, axes });
}

function pick(x: Value, g: GraphBuilder, indices: readonly number[], axis: number): Value {
  return x.gather(g.constant(int64(indices)), axis);
}
