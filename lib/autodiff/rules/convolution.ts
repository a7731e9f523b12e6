import { intAttribute, intsAttribute, stringAttribute } from "../../onnx/graph.js";
import type { GraphBuilder, Value } from "../../program/index.js";
import { type Call, only, UnsupportedOpError, type Vjp } from "../vjp.js";
import type { ConvolutionOp } from "./operators.js";

/** A convolution's geometry with every default filled in. */
interface Geometry {
  readonly group: number;
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly padsBegin: readonly number[];
  readonly padsEnd: readonly number[];
}

/** `wide` is the larger image (Conv's input, ConvTranspose's output), `narrow` the other. */
function geometryOf(call: Call, weight: Value, wide: readonly number[], narrow: readonly number[]): Geometry {
  const { node } = call;
  const kernel = weight.dims.slice(2);
  const ones = kernel.map(() => 1);
  const strides = intsAttribute(node, "strides") ?? ones;
  const dilations = intsAttribute(node, "dilations") ?? ones;
  const autoPad = stringAttribute(node, "auto_pad", "NOTSET");
  const explicit = intsAttribute(node, "pads") ?? kernel.flatMap(() => [0, 0]);
  const total = kernel.map((k, i) => Math.max(0, (narrow[i]! - 1) * strides[i]! + (k - 1) * dilations[i]! + 1 - wide[i]!));
  const lower = autoPad === "SAME_LOWER";
  const same = autoPad === "SAME_UPPER" || lower;
  const padsBegin = same ? total.map((t) => (lower ? Math.ceil(t / 2) : Math.floor(t / 2))) : explicit.slice(0, kernel.length);
  const padsEnd = same ? total.map((t, i) => t - padsBegin[i]!) : explicit.slice(kernel.length);
  return { group: intAttribute(node, "group", 1), kernel, strides, dilations, padsBegin, padsEnd };
}

function attributesOf(geo: Geometry): {
  kernel_shape: readonly number[];
  strides: readonly number[];
  dilations: readonly number[];
  pads: readonly number[];
  group: number;
} {
  return {
    kernel_shape: geo.kernel,
    strides: geo.strides,
    dilations: geo.dilations,
    pads: [...geo.padsBegin, ...geo.padsEnd],
    group: geo.group,
  };
}

const all = (xs: readonly number[], value: number): boolean => xs.every((x) => x === value);

/** dX of Conv: a convolution with the flipped kernel where the stride is 1 (the fastest there is), else ConvTranspose. */
function inputGradient(g: GraphBuilder, d: Value, weight: Value, x: Value, geo: Geometry): Value {
  const [outChannels, inPerGroup] = weight.dims as [number, number];
  const plain = geo.group === 1 && all(geo.strides, 1) && all(geo.dilations, 1);
  const mirrored = geo.kernel.map((k, i) => k - 1 - geo.padsBegin[i]!);
  const mirroredEnd = geo.kernel.map((k, i) => k - 1 - geo.padsEnd[i]!);
  if (plain && [...mirrored, ...mirroredEnd].every((p) => p >= 0)) {
    const taps = geo.kernel.reduce((a, b) => a * b, 1);
    const swapped =
      taps === 1
        ? weight.transpose([1, 0, ...geo.kernel.map((_, i) => i + 2)])
        : g
            .op("Slice", [
              weight.reshape([outChannels, inPerGroup, taps]),
              g.ints([-1]),
              g.ints([-(2 ** 31)]),
              g.ints([2]),
              g.ints([-1]),
            ])
            .transpose([1, 0, 2])
            .reshape([inPerGroup, outChannels, ...geo.kernel]);
    return g.op("Conv", [d, swapped], { kernel_shape: geo.kernel, pads: [...mirrored, ...mirroredEnd] });
  }
  const outputPadding = geo.kernel.map((k, i) => {
    const covered = (d.dim(i + 2) - 1) * geo.strides[i]! - geo.padsBegin[i]! - geo.padsEnd[i]! + geo.dilations[i]! * (k - 1) + 1;
    return x.dim(i + 2) - covered;
  });
  return g.op("ConvTranspose", [d, weight], { ...attributesOf(geo), output_padding: outputPadding });
}

/**
 * dW[o, i, tap] = Σ narrow[o, p] · wide[i, p·stride + tap·dilation − pad].
 * Which formulation is fastest on a CPU depends on the shape; all compute the same sum.
 */
function weightGradient(g: GraphBuilder, wide: Value, narrow: Value, weight: Value, geo: Geometry): Value {
  const [out, perGroup] = weight.dims as [number, number];
  if (geo.group > 1) return tapWeightGradient(g, wide, narrow, weight, geo);
  const dense = all(geo.strides, 1);
  if (dense && all(geo.kernel, 1) && all([...geo.padsBegin, ...geo.padsEnd], 0))
    return pointwiseWeightGradient(wide, narrow, weight);
  if (perGroup <= 4) return windowedWideGradient(g, wide, narrow, weight, geo);
  if (out <= 4 && dense && reversedPads(geo).every((p) => p >= 0)) return windowedNarrowGradient(g, wide, narrow, weight, geo);
  if (dense && geo.kernel.length === 2) return rowWeightGradient(g, wide, narrow, weight, geo);
  return tapWeightGradient(g, wide, narrow, weight, geo);
}

/** 1×1 kernels: a batched product summed over the batch. */
function pointwiseWeightGradient(wide: Value, narrow: Value, weight: Value): Value {
  const [n, out] = narrow.dims as [number, number];
  const d = narrow.reshape([n, out, -1]);
  const x = wide.reshape([n, wide.dim(1), -1]);
  return d
    .matmul(x.transpose([0, 2, 1]))
    .sum([0])
    .reshape(weight.dims);
}

/** Few channels of the wide image: one product with its windows, one window per tap. */
function windowedWideGradient(g: GraphBuilder, wide: Value, narrow: Value, weight: Value, geo: Geometry): Value {
  const [n, out] = narrow.dims as [number, number];
  const windows = g.concat(windowsOf(g, wide, narrow.dims.slice(2), geo), 1).reshape([n, weight.size / out, -1]);
  const product = narrow
    .reshape([n, out, -1])
    .matmul(windows.transpose([0, 2, 1]))
    .sum([0]);
  return product
    .reshape([out, -1, wide.dim(1)])
    .transpose([0, 2, 1])
    .reshape(weight.dims);
}

/** Few channels of the narrow image: the same sum with it as the image that is shifted, the other way. */
function windowedNarrowGradient(g: GraphBuilder, wide: Value, narrow: Value, weight: Value, geo: Geometry): Value {
  const [n, into] = wide.dims as [number, number];
  const rank = geo.kernel.length;
  const pads = reversedPads(geo);
  const mirrored = { ...geo, padsBegin: pads.slice(0, rank), padsEnd: pads.slice(rank) };
  const windows = windowsOf(g, narrow, wide.dims.slice(2), mirrored).reverse();
  const stacked = g.concat(windows, 1).reshape([n, weight.size / into, -1]);
  const product = stacked.matmul(wide.reshape([n, into, -1]).transpose([0, 2, 1])).sum([0]);
  return product
    .reshape([-1, narrow.dim(1), into])
    .transpose([1, 2, 0])
    .reshape(weight.dims);
}

/** Pads under which the narrow image's windows lie over the wide one. */
function reversedPads({ kernel, dilations, padsBegin, padsEnd }: Geometry): readonly number[] {
  return [padsBegin, padsEnd].flatMap((pads) => pads.map((p, i) => (kernel[i]! - 1) * dilations[i]! - p));
}

/**
 * Stride 1: one product over batch and positions per column of the kernel. The wide image is shifted by columns; the
 * narrow one, shifted by rows, is stacked: long products of many rows are the fastest there are.
 */
function rowWeightGradient(g: GraphBuilder, wide: Value, narrow: Value, weight: Value, geo: Geometry): Value {
  const [out, into, kernelRows, kernelColumns] = weight.dims as [number, number, number, number];
  const [d, x] = [narrow, wide].map((image) => image.transpose([1, 0, 2, 3])) as [Value, Value];
  const rows = Array.from({ length: kernelRows }, (_, a) => moved(d, 2, a * geo.dilations[0]! - geo.padsBegin[0]!, x.dim(2)));
  const stacked = g.concat(rows, 0).reshape([kernelRows * out, -1]);
  const columns = Array.from({ length: kernelColumns }, (_, b) => {
    const seen = moved(x, 3, geo.padsBegin[1]! - b * geo.dilations[1]!, d.dim(3));
    return g.gemm(stacked, seen.reshape([into, -1]), { transB: true }).unsqueeze(2);
  });
  return g.concat(columns, 2).reshape([kernelRows, out, into, kernelColumns]).transpose([1, 2, 0, 3]).reshape(weight.dims);
}

/** The image `by` steps further along an axis, in a frame of `length`, zeros where there was nothing. */
function moved(image: Value, axis: number, by: number, length: number): Value {
  const end = length - image.dim(axis) - by;
  if (by === 0 && end === 0) return image;
  const pads = new Array<number>(2 * image.rank).fill(0);
  pads[axis] = by;
  pads[image.rank + axis] = end;
  return image.pad(pads);
}

/** The general form: one product over batch and positions per tap, for any rank, stride, dilation and group. */
function tapWeightGradient(g: GraphBuilder, wide: Value, narrow: Value, weight: Value, geo: Geometry): Value {
  const [n, out] = narrow.dims as [number, number];
  const into = wide.dim(1);
  const positions = narrow.dims.slice(2);
  const swap = [1, 0, ...positions.map((_, i) => i + 2)];
  const length = n * positions.reduce((a, b) => a * b, 1);
  const d = narrow.transpose(swap).reshape(geo.group === 1 ? [out, length] : [geo.group, out / geo.group, length]);
  const taps = windowsOf(g, wide.transpose(swap), positions, geo).map((taken) => {
    if (geo.group === 1) return g.gemm(d, taken.reshape([into, length]), { transB: true }).unsqueeze(2);
    return d.matmul(taken.reshape([geo.group, into / geo.group, length]).transpose([0, 2, 1])).unsqueeze(3);
  });
  return g.concat(taps, taps[0]!.rank - 1).reshape(weight.dims);
}

/** What each tap of the kernel sees of an image [.., .., space…], at every position. */
function windowsOf(g: GraphBuilder, image: Value, positions: readonly number[], geo: Geometry): Value[] {
  // the last tap may reach beyond the end padding: pad by what it needs
  const reach = geo.kernel.map((k, i) => (positions[i]! - 1) * geo.strides[i]! + (k - 1) * geo.dilations[i]! + 1);
  const padEnd = reach.map((r, i) => Math.max(0, r - image.dim(i + 2) - geo.padsBegin[i]!));
  const needsPad = [...geo.padsBegin, ...padEnd].some((p) => p !== 0);
  const padded = needsPad ? image.pad([0, 0, ...geo.padsBegin, 0, 0, ...padEnd]) : image;
  const axes = positions.map((_, i) => i + 2);
  return tapOffsets(geo.kernel).map((tap) => {
    const starts = tap.map((t, i) => t * geo.dilations[i]!);
    const ends = starts.map((s, i) => s + (positions[i]! - 1) * geo.strides[i]! + 1);
    return g.op("Slice", [padded, g.ints(starts), g.ints(ends), g.ints(axes), g.ints(geo.strides)]);
  });
}

function tapOffsets(kernel: readonly number[]): number[][] {
  return kernel.reduce<number[][]>((sofar, k) => sofar.flatMap((t) => Array.from({ length: k }, (_, i) => [...t, i])), [[]]);
}

function biasGradient(d: Value): Value {
  const spatial = d.shape.map((_, i) => i).slice(2);
  return d.sum(spatial).sum([0]);
}

const conv: Vjp = (call, cotangents, g) => {
  const [x, weight] = call.inputs as [Value, Value];
  const d = only(cotangents);
  const geo = geometryOf(call, weight, x.dims.slice(2), d.dims.slice(2));
  return [
    call.needs[0] ? inputGradient(g, d, weight, x, geo) : undefined,
    call.needs[1] ? weightGradient(g, x, d, weight, geo) : undefined,
    call.needs[2] ? biasGradient(d) : undefined,
  ];
};

const convTranspose: Vjp = (call, cotangents, g) => {
  const [x, weight] = call.inputs as [Value, Value];
  const d = only(cotangents);
  if (call.node.attributes.output_shape !== undefined)
    throw new UnsupportedOpError("ConvTranspose", call.node.name, "output_shape is not differentiated, only pads");
  const geo = geometryOf(call, weight, d.dims.slice(2), x.dims.slice(2));
  return [
    call.needs[0] ? g.op("Conv", [d, weight], attributesOf(fitted(geo, d, x))) : undefined,
    call.needs[1] ? weightGradient(g, d, x, weight, geo) : undefined,
    call.needs[2] ? biasGradient(d) : undefined,
  ];
};

/** End pads under which the convolution of the wide image gives exactly the narrow one (output_padding taken off). */
function fitted(geo: Geometry, wide: Value, narrow: Value): Geometry {
  const padsEnd = geo.kernel.map(
    (k, i) => (narrow.dim(i + 2) - 1) * geo.strides[i]! + (k - 1) * geo.dilations[i]! + 1 - wide.dim(i + 2) - geo.padsBegin[i]!,
  );
  return { ...geo, padsEnd: padsEnd.map((p) => Math.max(0, p)) };
}

export const convolutionRules: Readonly<Record<ConvolutionOp, Vjp>> = {
  Conv: conv,
  ConvTranspose: convTranspose,
};
