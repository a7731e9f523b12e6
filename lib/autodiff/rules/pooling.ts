import { floatAttribute, intAttribute, intsAttribute, stringAttribute } from "../../onnx/graph.js";
import type { GraphBuilder, Value } from "../../program/index.js";
import { float32 } from "../../tensor/index.js";
import { type Call, only, UnsupportedOpError, type Vjp } from "../vjp.js";
import type { PoolingOp } from "./operators.js";

/** One window of a pooling operator seen as a strided slice of the padded input. */
interface Windows {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly pads: readonly number[];
  readonly positions: readonly number[];
}

function windowsOf(call: Call, d: Value): Windows {
  const { node } = call;
  const kernel = intsAttribute(node, "kernel_shape")!;
  if (stringAttribute(node, "auto_pad", "NOTSET").startsWith("SAME"))
    throw new UnsupportedOpError(node.opType, node.name, "auto_pad is not differentiated; write explicit pads");
  return {
    kernel,
    strides: intsAttribute(node, "strides") ?? kernel.map(() => 1),
    dilations: intsAttribute(node, "dilations") ?? kernel.map(() => 1),
    pads: intsAttribute(node, "pads") ?? kernel.flatMap(() => [0, 0]),
    positions: d.dims.slice(2),
  };
}

/** Puts one value per window back at offset `tap` of every window, in an image of x's size. */
function scatterTap(g: GraphBuilder, part: Value, tap: readonly number[], w: Windows, x: Value): Value {
  let out = part;
  const pads = new Array<number>(2 * x.rank).fill(0);
  w.positions.forEach((count, i) => {
    const axis = i + 2;
    const stride = w.strides[i]!;
    if (stride > 1) {
      const dims = out.dims;
      const tail = new Array<number>(2 * (out.rank + 1)).fill(0);
      tail[out.rank + 1 + axis + 1] = stride - 1;
      out = out
        .unsqueeze(axis + 1)
        .pad(tail)
        .reshape(dims.map((n, a) => (a === axis ? n * stride : n)))
        .slice(axis, 0, (count - 1) * stride + 1);
    }
    const before = tap[i]! * w.dilations[i]! - w.pads[i]!;
    pads[axis] = before;
    pads[x.rank + axis] = x.dim(axis) - before - ((count - 1) * stride + 1);
  });
  return pads.some((p) => p !== 0) ? g.op("Pad", [out, g.ints(pads)]) : out;
}

function taps(kernel: readonly number[]): number[][] {
  return kernel.reduce<number[][]>((sofar, k) => sofar.flatMap((t) => Array.from({ length: k }, (_, i) => [...t, i])), [[]]);
}

/** How many input elements each window averages, when the padding does not count. */
function windowCounts(g: GraphBuilder, x: Value, w: Windows, includePad: boolean): Value {
  const full = w.kernel.reduce((a, b) => a * b, 1);
  if (
    includePad &&
    w.positions.every(
      (count, i) => (count - 1) * w.strides[i]! + w.kernel[i]! <= x.dim(i + 2) + w.pads[i]! + w.pads[w.kernel.length + i]!,
    )
  )
    return g.scalar(full);
  const ones = g.full([1, 1, ...x.dims.slice(2)], 1);
  const counted = g.op("Conv", [includePad ? ones.pad(edge(w)) : ones, g.full([1, 1, ...w.kernel], 1)], {
    strides: w.strides,
    dilations: w.dilations,
    pads: w.kernel.flatMap(() => [0, 0]).map((_, i) => countPad(i, x, w, includePad)),
  });
  return counted;
}

function edge(w: Windows): number[] {
  const r = w.kernel.length;
  return [0, 0, ...w.pads.slice(0, r), 0, 0, ...w.pads.slice(r)];
}

function countPad(i: number, x: Value, w: Windows, includePad: boolean): number {
  const r = w.kernel.length;
  const axis = i % r;
  const begin = includePad ? 0 : w.pads[axis]!;
  if (i < r) return begin;
  const length = x.dim(axis + 2) + (includePad ? w.pads[axis]! + w.pads[r + axis]! : 0);
  const reach = (w.positions[axis]! - 1) * w.strides[axis]! + (w.kernel[axis]! - 1) * w.dilations[axis]! + 1;
  return Math.max(0, reach - length - begin);
}

const averagePool: Vjp = (call, cotangents, g) => {
  const x = call.inputs[0]!;
  const w = windowsOf(call, only(cotangents));
  const share = only(cotangents).div(windowCounts(g, x, w, intAttribute(call.node, "count_include_pad", 0) === 1));
  return [
    taps(w.kernel)
      .map((tap) => scatterTap(g, share, tap, w, x))
      .reduce((a, b) => a.add(b)),
  ];
};

/** The first maximum of each window gets its cotangent. */
const maxPool: Vjp = (call, cotangents, g) => {
  const x = call.inputs[0]!;
  const y = call.outputs[0]!;
  const d = only(cotangents);
  const w = windowsOf(call, d);
  const reach = w.positions.map((count, i) => (count - 1) * w.strides[i]! + (w.kernel[i]! - 1) * w.dilations[i]! + 1);
  const pads = [
    0,
    0,
    ...w.kernel.map((_, i) => w.pads[i]!),
    0,
    0,
    ...w.kernel.map((_, i) => Math.max(0, reach[i]! - x.dim(i + 2) - w.pads[i]!)),
  ];
  const padded = pads.some((p) => p > 0) ? g.op("Pad", [x, g.ints(pads), g.scalar(-3.4028234663852886e38)]) : x;
  let taken: Value | undefined;
  const parts = taps(w.kernel).map((tap) => {
    const starts = tap.map((t, i) => t * w.dilations[i]!);
    const ends = starts.map((s, i) => s + (w.positions[i]! - 1) * w.strides[i]! + 1);
    const seen = g.op("Slice", [padded, g.ints(starts), g.ints(ends), g.ints(starts.map((_, i) => i + 2)), g.ints(w.strides)]);
    const here = seen.equal(y);
    const mine: Value = taken === undefined ? here : g.op("And", [here, g.op("Not", [taken])]);
    taken = taken === undefined ? here : g.op("Or", [taken, here]);
    return scatterTap(g, g.where(mine, d, g.scalar(0, d.dtype)), tap, w, x);
  });
  return [parts.reduce((a, b) => a.add(b))];
};

const globalAveragePool: Vjp = (call, cotangents, g) => {
  const x = call.inputs[0]!;
  const count = x.dims.slice(2).reduce((a, b) => a * b, 1);
  return [g.op("Expand", [only(cotangents).mul(1 / count), g.ints(x.dims)])];
};

const globalMaxPool: Vjp = (call, cotangents) => {
  const winner = call.inputs[0]!.equal(call.outputs[0]!).cast(call.inputs[0]!.dtype);
  const axes = winner.shape.map((_, i) => i).slice(2);
  return [only(cotangents).mul(winner).div(winner.sum(axes, true))];
};

/**
 * Resize is linear in its input and separable: along each axis it is a fixed matrix, whose transpose is applied
 * to the cotangent. The matrix is found from the operator's own coordinate arithmetic.
 */
const resize: Vjp = (call, cotangents, g) => {
  const x = call.inputs[0]!;
  let d = only(cotangents);
  const { node } = call;
  x.dims.forEach((from, axis) => {
    const to = call.outputs[0]!.dim(axis);
    if (from === to) return;
    const scale =
      call.inputs[2]?.known?.[axis] ?? (node.opType === "Upsample" ? call.inputs[1]?.known?.[axis] : undefined) ?? to / from;
    const weights = interpolationMatrix(call, from, to, scale);
    // whole-number nearest upsampling: sums over blocks
    if (weights.blocks !== undefined) {
      const dims = d.dims;
      d = d.reshape([...dims.slice(0, axis), from, weights.blocks, ...dims.slice(axis + 1)]).sum([axis + 1]);
      return;
    }
    const matrix = g.op("Reshape", [floatsConstant(g, weights.data), g.ints([to, from])]);
    const last = d.rank - 1;
    const perm = d.shape.map((_, i) => (i === axis ? last : i === last ? axis : i));
    d = axis === last ? d.matmul(matrix) : d.transpose(perm).matmul(matrix).transpose(perm);
  });
  return [d];
};

function floatsConstant(g: GraphBuilder, data: Float32Array): Value {
  return g.constant(float32(data));
}

/** Row i holds the weights of the inputs in output i. */
function interpolationMatrix(call: Call, from: number, to: number, scale: number): { data: Float32Array; blocks?: number } {
  const { node } = call;
  const mode = stringAttribute(node, "mode", "nearest");
  const transform =
    node.opType === "Upsample" ? "asymmetric" : stringAttribute(node, "coordinate_transformation_mode", "half_pixel");
  const data = new Float32Array(to * from);
  const nearest = node.opType === "Upsample" ? "floor" : stringAttribute(node, "nearest_mode", "round_prefer_floor");
  if (mode === "nearest" && Number.isInteger(scale) && to === from * scale && transform === "asymmetric" && nearest === "floor")
    return { data, blocks: scale };
  for (let i = 0; i < to; i++) {
    const at = sourceCoordinate(transform, i, scale, to, from, node.name);
    if (mode === "nearest") data[i * from + clampIndex(roundBy(nearest, at), from)]! += 1;
    else if (mode === "linear") for (const [j, w] of linearWeights(at)) data[i * from + clampIndex(j, from)]! += w;
    else if (mode === "cubic")
      for (const [j, w] of cubicWeights(at, floatAttribute(node, "cubic_coeff_a", -0.75)))
        data[i * from + clampIndex(j, from)]! += w;
    else throw new UnsupportedOpError(node.opType, node.name, `mode "${mode}" is not differentiated`);
  }
  return { data };
}

function sourceCoordinate(transform: string, i: number, scale: number, to: number, from: number, node: string): number {
  switch (transform) {
    case "half_pixel":
      return (i + 0.5) / scale - 0.5;
    case "pytorch_half_pixel":
      return to > 1 ? (i + 0.5) / scale - 0.5 : 0;
    case "align_corners":
      return to > 1 ? (i * (from - 1)) / (to - 1) : 0;
    case "asymmetric":
      return i / scale;
    default:
      throw new UnsupportedOpError("Resize", node, `coordinate transformation "${transform}" is not differentiated`);
  }
}

function roundBy(mode: string, at: number): number {
  if (mode === "floor") return Math.floor(at);
  if (mode === "ceil") return Math.ceil(at);
  return mode === "round_prefer_ceil" ? Math.floor(at + 0.5) : Math.ceil(at - 0.5);
}

const clampIndex = (i: number, length: number): number => Math.min(Math.max(i, 0), length - 1);

function linearWeights(at: number): [number, number][] {
  const low = Math.floor(at);
  return [
    [low, 1 - (at - low)],
    [low + 1, at - low],
  ];
}

/** Keys' cubic kernel. */
function cubicWeights(at: number, a: number): [number, number][] {
  const low = Math.floor(at);
  const t = at - low;
  const near = (x: number): number => ((a + 2) * x - (a + 3)) * x * x + 1;
  const far = (x: number): number => ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  return [
    [low - 1, far(t + 1)],
    [low, near(t)],
    [low + 1, near(1 - t)],
    [low + 2, far(2 - t)],
  ];
}

export const poolingRules: Readonly<Record<PoolingOp, Vjp>> = {
  AveragePool: averagePool,
  MaxPool: maxPool,
  GlobalAveragePool: globalAveragePool,
  GlobalMaxPool: globalMaxPool,
  Resize: resize,
  Upsample: resize,
};
