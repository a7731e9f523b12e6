import type { Node, Shape } from "../onnx/graph.js";
import type { GraphBuilder, Value } from "../program/index.js";

/** An operator call seen by its reverse-mode rule. */
export interface Call {
  readonly node: Node;
  /** Operands; undefined where an optional one is omitted. */
  readonly inputs: readonly (Value | undefined)[];
  readonly outputs: readonly Value[];
  /** Whether the cotangent of operand i is wanted; rules may skip the others. */
  readonly needs: readonly boolean[];
}

/**
 * A reverse-mode rule: from the cotangents of an operator's outputs (undefined where nothing flows back) to the
 * cotangents of its inputs, appended to the graph as ordinary operators.
 */
export type Vjp = (call: Call, cotangents: readonly (Value | undefined)[], g: GraphBuilder) => (Value | undefined)[];

/** The loaded graph holds an operator through which no gradient can be taken. */
export class UnsupportedOpError extends Error {
  override readonly name: string = "UnsupportedOpError";
  readonly op: string;
  readonly node: string;
  constructor(op: string, node: string, why = "it has no reverse-mode rule") {
    super(
      `gradient: operator ${op} (node "${node}"): ${why}; take the gradient with respect to a later value, or add a rule in lib/autodiff/rules`,
    );
    this.op = op;
    this.node = node;
  }
}

/** Cotangent of the first output, which every single-output rule needs. */
export function only(cotangents: readonly (Value | undefined)[]): Value {
  return cotangents[0]!;
}

/** Axis numbers counted from the front. */
export function positiveAxis(axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis;
}

function sameDims(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((d, i) => d === b[i]);
}

/**
 * Sums a cotangent over the axes along which an operand of `shape` was broadcast.
 * Trailing axes are summed first: a contiguous row sum is the fastest reduction there is.
 */
export function unbroadcast(cotangent: Value, shape: Shape): Value {
  if (sameDims(cotangent.shape, shape)) return cotangent;
  const lead = cotangent.rank - shape.length;
  const axes = cotangent.shape.flatMap((d, i) => (i < lead || (shape[i - lead] === 1 && d !== 1) ? [i] : []));
  let out = cotangent;
  if (axes.length > 0) {
    const trailing = axes.filter((a) => axes.length - axes.indexOf(a) === cotangent.rank - a);
    const leading = axes.filter((a) => !trailing.includes(a));
    if (trailing.length > 0) out = out.sum(trailing, true);
    if (leading.length > 0) out = out.sum(leading, true);
  }
  return lead > 0 || !sameDims(out.shape, shape) ? reshapeLike(out, shape) : out;
}

/** Reshape to a shape with at most one symbolic axis. */
export function reshapeLike(value: Value, shape: Shape): Value {
  if (sameDims(value.shape, shape)) return value;
  const symbolic = shape.filter((d) => typeof d !== "number").length;
  if (symbolic > 1)
    return value.builder.op("Reshape", [value, value.builder.ints(shape.map((d) => (typeof d === "number" ? d : 0)))]);
  return value.reshape(shape.map((d) => (typeof d === "number" ? d : -1)));
}
