import { intAttribute, intsAttribute, stringAttribute } from "../../onnx/graph.js";
import type { GraphBuilder, Value } from "../../program/index.js";
import { type Call, only, positiveAxis, reshapeLike, UnsupportedOpError, unbroadcast, type Vjp } from "../vjp.js";
import type { MovementOp } from "./operators.js";

/** Operators that only rename positions: the cotangent is given the operand's shape again. */
const reshaping: Vjp = (call, cotangents) => [reshapeLike(only(cotangents), call.inputs[0]!.shape)];

/** An operand that the rule needs as fixed numbers. */
export function knownInts(call: Call, index: number, what: string): readonly number[] | undefined {
  const operand = call.inputs[index];
  if (operand === undefined) return undefined;
  if (operand.known === undefined)
    throw new UnsupportedOpError(call.node.opType, call.node.name, `its ${what} are not known before the run`);
  return operand.known;
}

const transpose: Vjp = (call, cotangents) => {
  const x = call.inputs[0]!;
  const perm = intsAttribute(call.node, "perm") ?? x.shape.map((_, i) => x.rank - 1 - i);
  const inverse = perm.map((_, i) => perm.indexOf(i));
  return [only(cotangents).transpose(inverse)];
};

const concat: Vjp = (call, cotangents) => {
  const axis = positiveAxis(intAttribute(call.node, "axis", 0), call.outputs[0]!.rank);
  return only(cotangents).split(
    axis,
    call.inputs.map((x) => x!.dim(axis)),
  );
};

const split: Vjp = (call, cotangents, g) => {
  const axis = positiveAxis(intAttribute(call.node, "axis", 0), call.inputs[0]!.rank);
  return [
    g.concat(
      call.outputs.map((y, i) => cotangents[i] ?? g.fullLike(y, 0)),
      axis,
    ),
  ];
};

/** Zeros put back around and between the elements that Slice took. */
const slice: Vjp = (call, cotangents, g) => {
  const x = call.inputs[0]!;
  const starts = knownInts(call, 1, "starts")!;
  const ends = knownInts(call, 2, "ends")!;
  const axes = knownInts(call, 3, "axes") ?? starts.map((_, i) => i);
  const steps = knownInts(call, 4, "steps") ?? starts.map(() => 1);
  let d = only(cotangents);
  axes.forEach((a, i) => {
    const axis = positiveAxis(a, x.rank);
    const { first, step, count } = sliceBounds(x.dim(axis), starts[i]!, ends[i]!, steps[i]!);
    d = unslice(g, d, axis, x.dim(axis), first, step, count);
  });
  return [d];
};

function sliceBounds(length: number, start: number, end: number, step: number): { first: number; step: number; count: number } {
  const clamp = (v: number, low: number, high: number): number => Math.min(Math.max(v, low), high);
  const from = start < 0 ? start + length : start;
  const to = end < 0 ? end + length : end;
  const first = step > 0 ? clamp(from, 0, length) : clamp(from, 0, length - 1);
  const last = step > 0 ? clamp(to, 0, length) : end < -length ? -1 : clamp(to, -1, length - 1);
  return { first, step, count: Math.max(0, Math.ceil((last - first) / step)) };
}

function unslice(g: GraphBuilder, d: Value, axis: number, length: number, first: number, step: number, count: number): Value {
  if (count === 0) return d.pad(edgePads(d.rank, axis, 0, length));
  let ascending = d;
  let low = first;
  if (step < 0) {
    // reversed: the last element taken is the lowest
    ascending = g.op("Slice", [d, g.ints([count - 1]), g.ints([-count - 1]), g.ints([axis]), g.ints([-1])]);
    low = first + (count - 1) * step;
  }
  const stride = Math.abs(step);
  let spread = ascending;
  if (stride > 1) {
    const dims = ascending.dims;
    const wide = ascending.unsqueeze(axis + 1).pad(edgePads(d.rank + 1, axis + 1, 0, stride - 1));
    spread = wide.reshape(dims.map((n, i) => (i === axis ? n * stride : n))).slice(axis, 0, (count - 1) * stride + 1);
  }
  const taken = (count - 1) * stride + 1;
  return low === 0 && taken === length ? spread : spread.pad(edgePads(d.rank, axis, low, length - low - taken));
}

function edgePads(rank: number, axis: number, before: number, after: number): number[] {
  const pads = new Array<number>(2 * rank).fill(0);
  pads[axis] = before;
  pads[rank + axis] = after;
  return pads;
}

/** Crops what Pad added (constant mode), and folds back what edge and reflect modes copied. */
const pad: Vjp = (call, cotangents, g) => {
  const x = call.inputs[0]!;
  const mode = stringAttribute(call.node, "mode", "constant");
  const pads = knownInts(call, 1, "pads")!;
  const axes = knownInts(call, 3, "axes") ?? x.shape.map((_, i) => i);
  let d = only(cotangents);
  axes.forEach((a, i) => {
    const axis = positiveAxis(a, x.rank);
    const before = pads[i]!;
    const after = pads[axes.length + i]!;
    if (before !== 0 || after !== 0) d = unpad(g, d, axis, x.dim(axis), before, after, mode, call);
  });
  const fill = (): Value => reshapeLike(only(cotangents).sum().sub(d.sum()), call.inputs[2]!.shape);
  return [d, undefined, mode === "constant" && call.needs[2] ? fill() : undefined];
};

function unpad(
  g: GraphBuilder,
  d: Value,
  axis: number,
  length: number,
  before: number,
  after: number,
  mode: string,
  call: Call,
): Value {
  if (before < 0 || after < 0) {
    if (mode !== "constant")
      throw new UnsupportedOpError("Pad", call.node.name, `negative pads in mode "${mode}" are not differentiated`);
    const kept = d.slice(axis, Math.max(before, 0), d.dim(axis) - Math.max(after, 0));
    return kept.pad(edgePads(d.rank, axis, Math.max(-before, 0), Math.max(-after, 0)));
  }
  let core = d.slice(axis, before, before + length);
  if (mode === "constant") return core;
  const put = (part: Value, at: number): void => {
    core = core.add(part.pad(edgePads(d.rank, axis, at, length - at - part.dim(axis))));
  };
  const reversed = (part: Value): Value =>
    g.op("Slice", [part, g.ints([-1]), g.ints([-(2 ** 31)]), g.ints([axis]), g.ints([-1])]);
  if (mode === "edge") {
    if (before > 0) put(d.slice(axis, 0, before).sum([axis], true), 0);
    if (after > 0) put(d.slice(axis, before + length, before + length + after).sum([axis], true), length - 1);
  } else if (mode === "reflect") {
    if (before > 0) put(reversed(d.slice(axis, 0, before)), 1);
    if (after > 0) put(reversed(d.slice(axis, before + length, before + length + after)), length - 1 - after);
  } else if (mode === "wrap" && before <= length && after <= length) {
    if (before > 0) put(d.slice(axis, 0, before), length - before);
    if (after > 0) put(d.slice(axis, before + length, before + length + after), 0);
  } else {
    throw new UnsupportedOpError("Pad", call.node.name, `mode "${mode}" with pads ${before} and ${after} is not differentiated`);
  }
  return core;
}

/** Sums the copies that Tile made. */
const tile: Vjp = (call, cotangents) => {
  const x = call.inputs[0]!;
  const repeats = knownInts(call, 1, "repeats")!;
  const d = only(cotangents).reshape(x.dims.flatMap((n, i) => [repeats[i]!, n]));
  return [d.sum(x.dims.map((_, i) => 2 * i))];
};

/** [b, c·r², h, w] ↔ [b, c, h·r, w·r]: each is the other's reverse, as both only move elements. */
const depthToSpace: Vjp = (call, cotangents) => {
  const r = intAttribute(call.node, "blocksize", 2);
  const [b, c, h, w] = call.inputs[0]!.dims as [number, number, number, number];
  const depth = c / (r * r);
  const crd = stringAttribute(call.node, "mode", "DCR") === "CRD";
  const apart = only(cotangents).reshape([b, depth, h, r, w, r]);
  return [apart.transpose(crd ? [0, 1, 3, 5, 2, 4] : [0, 3, 5, 1, 2, 4]).reshape([b, c, h, w])];
};

const spaceToDepth: Vjp = (call, cotangents) => {
  const r = intAttribute(call.node, "blocksize", 2);
  const [b, c, h, w] = call.inputs[0]!.dims as [number, number, number, number];
  return [
    only(cotangents)
      .reshape([b, r, r, c, h / r, w / r])
      .transpose([0, 3, 4, 1, 5, 2])
      .reshape([b, c, h, w]),
  ];
};

export const movementRules: Readonly<Record<MovementOp, Vjp>> = {
  Reshape: reshaping,
  Flatten: reshaping,
  Squeeze: reshaping,
  Unsqueeze: reshaping,
  Transpose: transpose,
  Concat: concat,
  Split: split,
  Slice: slice,
  Pad: pad,
  Tile: tile,
  Expand: ((call, cotangents) => [unbroadcast(only(cotangents), call.inputs[0]!.shape)]) as Vjp,
  DepthToSpace: depthToSpace,
  SpaceToDepth: spaceToDepth,
};
