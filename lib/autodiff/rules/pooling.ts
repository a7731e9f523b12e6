import { floatAttribute, intAttribute, intsAttribute, stringAttribute } from "../../onnx/graph.js";
import type { GraphBuilder, Value } from "../../program/index.js";
import { float32, sizeOf } from "../../tensor/index.js";
import { type Call, only, positiveAxis, UnsupportedOpError, type Vjp } from "../vjp.js";
import { scatterAdd } from "./indexing.js";
import type { PoolingOp } from "./operators.js";

/** Where the windows of an AveragePool lie, with every default filled in. */
interface Windows {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly padsBegin: readonly number[];
  readonly padsEnd: readonly number[];
  /** Elements from the first window's first to the last window's last; with ceil_mode possibly beyond the padding. */
  readonly reach: readonly number[];
}

function windowsOf({ node }: Call, lengths: readonly number[], positions: readonly number[]): Windows {
  const kernel = intsAttribute(node, "kernel_shape")!;
  const strides = intsAttribute(node, "strides") ?? kernel.map(() => 1);
  const dilations = intsAttribute(node, "dilations") ?? kernel.map(() => 1);
  const reach = kernel.map((k, i) => (positions[i]! - 1) * strides[i]! + (k - 1) * dilations[i]! + 1);
  const autoPad = stringAttribute(node, "auto_pad", "NOTSET");
  if (autoPad.startsWith("SAME")) {
    const total = reach.map((r, i) => Math.max(0, r - lengths[i]!));
    const half = total.map((t) => t >> 1);
    const rest = total.map((t, i) => t - half[i]!);
    const [padsBegin, padsEnd] = autoPad === "SAME_LOWER" ? [rest, half] : [half, rest];
    return { kernel, strides, dilations, padsBegin, padsEnd, reach };
  }
  const pads = intsAttribute(node, "pads") ?? kernel.flatMap(() => [0, 0]);
  return { kernel, strides, dilations, padsBegin: pads.slice(0, kernel.length), padsEnd: pads.slice(kernel.length), reach };
}

/** How many elements each window averages: those in the image, or in the image and its padding. */
function windowCounts(g: GraphBuilder, lengths: readonly number[], w: Windows, includePad: boolean): Value {
  const counted = lengths.map((n, i) => n + (includePad ? w.padsBegin[i]! + w.padsEnd[i]! : 0));
  const begin = w.padsBegin.map((p) => (includePad ? 0 : p));
  const end = counted.map((n, i) => Math.max(0, w.reach[i]! - n - begin[i]!));
  const ones = (dims: readonly number[]): Value => g.full([1, 1, ...dims], 1);
  if ([...begin, ...end].every((p) => p === 0)) return g.scalar(sizeOf(w.kernel));
  const { strides, dilations } = w;
  return g.op("Conv", [ones(counted), ones(w.kernel)], { strides, dilations, pads: [...begin, ...end] });
}

/** Every element of a window gets an equal share: a transposed convolution of each channel with ones. */
const averagePool: Vjp = (call, cotangents, g) => {
  const x = call.inputs[0]!;
  const d = only(cotangents);
  const lengths = x.dims.slice(2);
  const positions = d.dims.slice(2);
  const w = windowsOf(call, lengths, positions);
  const counts = windowCounts(g, lengths, w, intAttribute(call.node, "count_include_pad", 0) === 1);
  const share = d.div(counts.cast(d.dtype)).reshape([-1, 1, ...positions]);
  const missing = w.reach.map((r, i) => lengths[i]! + w.padsBegin[i]! - r);
  const spread = g.op("ConvTranspose", [share, g.full([1, 1, ...w.kernel], 1, d.dtype)], {
    strides: w.strides,
    dilations: w.dilations,
    pads: [...w.padsBegin, ...missing.map((m) => Math.max(0, -m))],
    output_padding: missing.map((m) => Math.max(0, m)),
  });
  return [spread.reshape(x.dims)];
};

/** The element that won each window gets its cotangent; the operator itself tells which. */
const maxPool: Vjp = (call, cotangents, g) => {
  const x = call.inputs[0]!;
  const { storage_order: _, ...attributes } = call.node.attributes;
  const winners = g.ops("MaxPool", [x], attributes, 2)[1]!;
  return [scatterAdd(g, [x.size], winners.reshape([-1]), only(cotangents).reshape([-1]), 0).reshape(x.dims)];
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
  const refuse = (what: string): never => {
    throw new UnsupportedOpError("Resize", node.name, `${what} is not differentiated`);
  };
  if (intAttribute(node, "antialias", 0) === 1) refuse("antialias");
  if (intAttribute(node, "exclude_outside", 0) === 1) refuse("exclude_outside");
  if (stringAttribute(node, "keep_aspect_ratio_policy", "stretch") !== "stretch") refuse("keep_aspect_ratio_policy");
  const resized = intsAttribute(node, "axes")?.map((a) => positiveAxis(a, x.rank)) ?? x.shape.map((_, i) => i);
  const scales = call.inputs[2]?.known ?? [];
  if (call.inputs[2] !== undefined && call.inputs[2].known === undefined) refuse("a scale that is not known before the run");
  resized.forEach((axis, i) => {
    const from = x.dim(axis);
    const to = call.outputs[0]!.dim(axis);
    const scale = scales[i] ?? Math.fround(to / from);
    if (scale === 1) return;
    const weights = interpolationMatrix(call, from, to, scale);
    // whole-number nearest upsampling: sums over blocks
    if (weights.blocks !== undefined) {
      const dims = d.dims;
      d = d.reshape([...dims.slice(0, axis), from, weights.blocks, ...dims.slice(axis + 1)]).sum([axis + 1]);
      return;
    }
    const matrix = g.constant(float32(weights.data, [to, from])).cast(d.dtype);
    const last = d.rank - 1;
    const perm = d.shape.map((_, i) => (i === axis ? last : i === last ? axis : i));
    d = axis === last ? d.matmul(matrix) : d.transpose(perm).matmul(matrix).transpose(perm);
  });
  return [d];
};

/** Row i holds the weights of the inputs in output i. */
function interpolationMatrix(call: Call, from: number, to: number, scale: number): { data: Float32Array; blocks?: number } {
  const { node } = call;
  const mode = stringAttribute(node, "mode", "nearest");
  const transform = stringAttribute(node, "coordinate_transformation_mode", "half_pixel");
  const data = new Float32Array(to * from);
  const nearest = stringAttribute(node, "nearest_mode", "round_prefer_floor");
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

/** Rounded to float32 as ONNX Runtime does: which side of a tie a coordinate falls on depends on it. */
function sourceCoordinate(transform: string, i: number, scale: number, to: number, from: number, node: string): number {
  const centred = Math.fround(Math.fround((i + 0.5) / scale) - 0.5);
  switch (transform) {
    case "half_pixel":
      return centred;
    case "pytorch_half_pixel":
      return to > 1 ? centred : 0;
    case "align_corners":
      return to > 1 ? Math.fround((i * (from - 1)) / (to - 1)) : 0;
    case "asymmetric":
      return Math.fround(i / scale);
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
};
