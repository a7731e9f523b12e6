import type { Dim, Shape } from "../onnx/index.js";
import type { GraphBuilder, Value } from "../program/index.js";
import type { HookPoint, Layout } from "./hook-point.js";

/** Shape of the activation that a layout reads. */
export function shapeIn({ shape, heads, swapped }: Layout): Shape {
  const [first, second, third] = shape as [Dim, Dim, Dim];
  const per = (length: Dim, count: number): Dim => (typeof length === "number" ? length / count : undefined);
  const split =
    heads === undefined
      ? shape
      : heads.within === "batch"
        ? [per(first, heads.count), heads.count, second, third]
        : [first, heads.count, second, per(third, heads.count)];
  return swapped ? [...split.slice(0, -2), split.at(-1), split.at(-2)] : split;
}

/** The activation of a hook point, in its own axes, from the value that holds it. */
export function read(point: HookPoint, value: Value, g: GraphBuilder): Value {
  if (point.minus !== undefined) return value.sub(g.value(point.minus));
  const { heads, swapped } = point.layout ?? {};
  const split = heads === undefined ? value : splitHeads(value, g, heads);
  return swapped ? swapLast(split) : split;
}

/**
 * The value that holds an edited activation. An unchanged activation leaves every bit of the value: an update is taken back
 * by what was changed of it, out − (update − edited), since x − (+0) is x, −0 included.
 */
export function write(point: HookPoint, value: Value, activation: Value, edited: Value, g: GraphBuilder): Value {
  if (point.minus !== undefined) return value.sub(activation.sub(edited));
  const { heads, swapped } = point.layout ?? {};
  const split = swapped ? swapLast(edited) : edited;
  return heads === undefined ? split : joinHeads(split, g, heads.within);
}

function swapLast(x: Value): Value {
  return x.transpose(x.rank === 4 ? [0, 1, 3, 2] : [0, 2, 1]);
}

function splitHeads(x: Value, g: GraphBuilder, { count, within }: NonNullable<Layout["heads"]>): Value {
  if (within === "channel") return x.reshape([0, 0, count, -1]).transpose([0, 2, 1, 3]);
  const rest = g.op("Shape", [x]).slice(0, 1, 3);
  return g.op("Reshape", [x, g.concat([g.ints([-1, count]), rest], 0)]);
}

function joinHeads(x: Value, g: GraphBuilder, within: "batch" | "channel"): Value {
  if (within === "channel") return x.transpose([0, 2, 1, 3]).reshape([0, 0, -1]);
  const rest = g.op("Shape", [x]).slice(0, 2, 4);
  return g.op("Reshape", [x, g.concat([g.ints([-1]), rest], 0)]);
}
