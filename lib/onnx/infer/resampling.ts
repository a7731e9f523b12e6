import type { Dim, Shape } from "../graph.js";
import { type Call, type InferRule, type Inferred, inferred } from "./context.js";
import { shapeText } from "./dims.js";
import { unknownDims } from "./reshaping.js";

/** One axis scaled; ONNX Runtime multiplies in float32. */
function scaled(length: Dim, scale: number | undefined): Dim {
  if (scale === 1) return length;
  return typeof length === "number" && scale !== undefined ? Math.floor(Math.fround(length * scale)) : undefined;
}

function resizeBy(call: Call, shape: Shape, scales: readonly number[], axes: readonly number[]): Shape {
  if (scales.length !== axes.length)
    throw call.error(`scales [${scales}] has ${scales.length} entries for ${axes.length} axes of ${shapeText(shape)}`);
  const out = [...shape];
  for (const [i, axis] of axes.entries()) out[axis] = scaled(shape[axis], scales[i]);
  return out;
}

function resizeTo(call: Call, shape: Shape, sizes: readonly Dim[], axes: readonly number[]): Shape {
  if (sizes.length !== axes.length)
    throw call.error(`sizes ${shapeText(sizes)} has ${sizes.length} entries for ${axes.length} axes of ${shapeText(shape)}`);
  const out = [...shape];
  const policy = call.string("keep_aspect_ratio_policy", "stretch");
  if (policy === "stretch") {
    for (const [i, axis] of axes.entries()) out[axis] = sizes[i];
    return out;
  }
  const ratios = axes.map((axis, i) => Number(sizes[i]) / Number(shape[axis]));
  const ratio = policy === "not_larger" ? Math.min(...ratios) : Math.max(...ratios);
  for (const axis of axes) {
    const length = shape[axis];
    out[axis] = typeof length === "number" && Number.isFinite(ratio) ? Math.round(length * ratio) : undefined;
  }
  return out;
}

/** Resize: inputs X, roi, scales, sizes (X, scales at opset 10). */
function resize(call: Call): Inferred {
  const dtype = call.dtype(0);
  const shape = call.shape(0);
  if (shape === undefined) return inferred(dtype, undefined);
  const axes = call.ints("axes")?.map((a) => call.axis(a, shape.length)) ?? shape.map((_, i) => i);
  const atScales = call.opset === 10 ? 1 : 2;
  const sizes = call.has(3) ? call.contents(3) : undefined;
  if (sizes !== undefined && sizes.length > 0) return inferred(dtype, resizeTo(call, shape, sizes, axes));
  const scales = call.value(atScales);
  if (scales !== undefined && scales.length > 0) return inferred(dtype, resizeBy(call, shape, scales, axes));
  return inferred(dtype, unknownDims(shape.length));
}

function upsample(call: Call): Inferred {
  const dtype = call.dtype(0);
  const shape = call.shape(0);
  if (shape === undefined) return inferred(dtype, undefined);
  const attribute = call.node.attributes.scales;
  const scales = attribute?.type === "floats" ? attribute.value : call.value(1);
  if (scales === undefined) return inferred(dtype, unknownDims(shape.length));
  return inferred(dtype, resizeBy(call, shape, scales, [...shape.keys()]));
}

function fourAxes(call: Call): Shape | undefined {
  const shape = call.shape(0);
  if (shape !== undefined && shape.length !== 4)
    throw call.error(`input ${shapeText(shape)} must be [batch, channels, height, width]`);
  return shape;
}

function times(length: Dim, factor: number): Dim {
  return typeof length === "number" ? length * factor : factor === 1 ? length : undefined;
}

function over(call: Call, length: Dim, divisor: number, what: string): Dim {
  if (typeof length !== "number") return divisor === 1 ? length : undefined;
  if (length % divisor !== 0) throw call.error(`${what} ${length} of ${call.text(0)} cannot be divided by ${divisor}`);
  return length / divisor;
}

function depthToSpace(call: Call): Inferred {
  const shape = fourAxes(call);
  const block = call.int("blocksize", 1);
  if (shape === undefined) return inferred(call.dtype(0), unknownDims(4));
  return inferred(call.dtype(0), [
    shape[0],
    over(call, shape[1], block * block, "channels"),
    times(shape[2], block),
    times(shape[3], block),
  ]);
}

function spaceToDepth(call: Call): Inferred {
  const shape = fourAxes(call);
  const block = call.int("blocksize", 1);
  if (shape === undefined) return inferred(call.dtype(0), unknownDims(4));
  return inferred(call.dtype(0), [
    shape[0],
    times(shape[1], block * block),
    over(call, shape[2], block, "height"),
    over(call, shape[3], block, "width"),
  ]);
}

function gridSample(call: Call): Inferred {
  const input = call.shape(0);
  const grid = call.shape(1);
  const rank = input?.length ?? grid?.length;
  if (rank === undefined) return inferred(call.dtype(0), undefined);
  const spatial = grid?.slice(1, -1) ?? new Array<Dim>(rank - 2).fill(undefined);
  return inferred(call.dtype(0), [input?.[0] ?? grid?.[0], input?.[1], ...spatial]);
}

/** Operators that change the spatial resolution. */
export const resamplingRules: Readonly<Record<string, InferRule>> = {
  Resize: resize,
  Upsample: upsample,
  DepthToSpace: depthToSpace,
  SpaceToDepth: spaceToDepth,
  GridSample: gridSample,
};
