import type { Dim, Shape } from "../graph.js";
import { type Call, type InferRule, type Inferred, inferred } from "./context.js";
import { mergeDim, shapeText } from "./dims.js";

/** How a window moves over the spatial axes. */
export interface Window {
  readonly kernel: readonly Dim[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  /** All begins, then all ends. */
  readonly pads: readonly number[];
  readonly autoPad: string;
}

/** Reads a node's window. @throws ShapeError where an attribute has the wrong number of entries */
export function windowOf(call: Call, kernel: readonly Dim[]): Window {
  const n = kernel.length;
  const read = (name: string, count: number, otherwise: number): readonly number[] => {
    const given = call.ints(name);
    if (given === undefined) return new Array<number>(count).fill(otherwise);
    if (given.length !== count)
      throw call.error(`${name} [${given}] has ${given.length} entries, ${n} spatial axes need ${count}`);
    return given;
  };
  const strides = read("strides", n, 1);
  const dilations = read("dilations", n, 1);
  if ([...strides, ...dilations].some((x) => x < 1))
    throw call.error(`strides [${strides}] and dilations [${dilations}] must be at least 1`);
  return { kernel, strides, dilations, pads: read("pads", 2 * n, 0), autoPad: call.string("auto_pad", "NOTSET") };
}

/** Length of one axis after a sliding window; the name of a named axis stays where the length does. */
function slide(call: Call, window: Window, axis: number, length: Dim, ceil: boolean): Dim {
  const k = window.kernel[axis];
  const stride = window.strides[axis]!;
  if (window.autoPad === "SAME_UPPER" || window.autoPad === "SAME_LOWER") {
    if (typeof length === "number") return Math.ceil(length / stride);
    return stride === 1 ? length : undefined;
  }
  if (typeof k !== "number") return undefined;
  const extent = (k - 1) * window.dilations[axis]! + 1;
  const [begin, end] = window.autoPad === "VALID" ? [0, 0] : [window.pads[axis]!, window.pads[axis + window.kernel.length]!];
  if (typeof length !== "number") return stride === 1 && begin + end === extent - 1 ? length : undefined;
  const room = length + begin + end - extent;
  const count = (ceil ? Math.ceil(room / stride) : Math.floor(room / stride)) + 1;
  if (count < 1) {
    throw call.error(
      `spatial axis ${axis} has length ${length} (${length + begin + end} with padding), less than the window's ${extent}; pad more or use a smaller kernel`,
    );
  }
  // With ceil_mode, a last window that would start in the padding at the end is left out.
  return ceil && (count - 1) * stride >= length + begin ? count - 1 : count;
}

/** Where an input has the channels, and the checks that the weight fits. */
function checkChannels(call: Call, input: Shape, weight: Shape, perGroup: Dim, group: number): void {
  const channels = input[1];
  if (typeof channels === "number" && typeof perGroup === "number" && channels !== perGroup * group) {
    const groups = group === 1 ? "" : ` (${group} groups of ${perGroup})`;
    throw call.error(`input has ${channels} channels, the weight ${shapeText(weight)} needs ${perGroup * group}${groups}`);
  }
}

function checkRanks(call: Call, input: Shape | undefined, weight: Shape | undefined): void {
  for (const [what, shape] of [
    ["input", input],
    ["weight", weight],
  ] as const) {
    if (shape !== undefined && shape.length < 3) {
      throw call.error(`${what} ${shapeText(shape)} has rank ${shape.length}, at least 3 is needed: [batch, channels, …spatial]`);
    }
  }
  if (input !== undefined && weight !== undefined && input.length !== weight.length) {
    throw call.error(
      `input ${shapeText(input)} has ${input.length - 2} spatial axes, the weight ${shapeText(weight)} ${weight.length - 2}`,
    );
  }
}

function checkBias(call: Call, i: number, outputs: Dim): void {
  const bias = call.shape(i);
  if (bias === undefined) return;
  if (bias.length !== 1 || mergeDim(bias[0], outputs) === null)
    throw call.error(`bias is ${shapeText(bias)}, [${outputs}] is needed`);
}

/** Kernel lengths, from the weight or, where unknown, from `kernel_shape`. */
function kernelOf(call: Call, weight: Shape | undefined, rank: number): readonly Dim[] {
  const declared = call.ints("kernel_shape");
  const kernel = weight?.slice(2);
  if (declared !== undefined && kernel !== undefined && declared.some((k, i) => mergeDim(k, kernel[i]) === null)) {
    throw call.error(`kernel_shape is [${declared}], the weight ${shapeText(weight)} has [${kernel}]`);
  }
  return kernel ?? declared ?? new Array<Dim>(rank - 2).fill(undefined);
}

/** Output shape of a convolution of `input` with `weight` [outputs, channels/group, …kernel]. */
export function convolutionShape(call: Call, input: Shape | undefined, weight: Shape | undefined): Shape | undefined {
  checkRanks(call, input, weight);
  const rank = input?.length ?? weight?.length;
  if (rank === undefined) return undefined;
  const group = call.int("group", 1);
  const outputs = weight?.[0];
  if (input && weight) checkChannels(call, input, weight, weight[1], group);
  if (typeof outputs === "number" && outputs % group !== 0) {
    throw call.error(`${outputs} output channels cannot be divided into ${group} groups`);
  }
  const window = windowOf(call, kernelOf(call, weight, rank));
  return [input?.[0], outputs, ...window.kernel.map((_, axis) => slide(call, window, axis, input?.[axis + 2], false))];
}

function conv(call: Call): Inferred {
  const dtype = call.sameDType(0, 1, 2);
  const shape = convolutionShape(call, call.shape(0), call.shape(1));
  checkBias(call, 2, call.shape(1)?.[0]);
  return inferred(dtype, shape);
}

function convTranspose(call: Call): Inferred {
  const dtype = call.sameDType(0, 1, 2);
  const input = call.shape(0);
  const weight = call.shape(1);
  checkRanks(call, input, weight);
  const rank = input?.length ?? weight?.length;
  if (rank === undefined) return inferred(dtype, undefined);
  const group = call.int("group", 1);
  const channels = weight?.[0];
  if (input && weight) checkChannels(call, input, weight, channels, 1);
  if (typeof channels === "number" && channels % group !== 0)
    throw call.error(`${channels} channels cannot be divided into ${group} groups`);
  const perGroup = weight?.[1];
  const outputs = typeof perGroup === "number" ? perGroup * group : undefined;
  checkBias(call, 2, outputs);
  const window = windowOf(call, kernelOf(call, weight, rank));
  const n = window.kernel.length;
  const wanted = call.ints("output_shape");
  const extra = call.ints("output_padding");
  const spatial = window.kernel.map((k, axis): Dim => {
    if (wanted !== undefined) return wanted[wanted.length - n + axis];
    const length = input?.[axis + 2];
    const stride = window.strides[axis]!;
    if (typeof k !== "number") return undefined;
    const uncut = (k - 1) * window.dilations[axis]! + 1 + (extra?.[axis] ?? 0) - stride;
    // SAME cuts down to stride · length; where the window is shorter than the stride there is nothing to cut.
    if (window.autoPad.startsWith("SAME") && typeof length === "number") return stride * length + Math.min(uncut, 0);
    const pads = window.autoPad === "NOTSET" ? window.pads[axis]! + window.pads[axis + n]! : 0;
    const added = uncut - pads;
    if (typeof length !== "number") return stride === 1 && added === 0 ? length : undefined;
    const out = stride * length + added;
    if (out < 1)
      throw call.error(`spatial axis ${axis} of length ${length} would become ${out}; pads [${window.pads}] are too large`);
    return out;
  });
  return inferred(dtype, [input?.[0], outputs, ...spatial]);
}

function pool(call: Call): Inferred {
  const dtype = call.dtype(0);
  const input = call.shapeOfRank(0, 3, "input");
  if (input === undefined) return inferred(dtype, undefined);
  const kernel = call.ints("kernel_shape") ?? [];
  if (kernel.length !== input.length - 2) {
    throw call.error(
      `kernel_shape [${kernel}] has ${kernel.length} entries, the input ${shapeText(input)} has ${input.length - 2} spatial axes`,
    );
  }
  const window = windowOf(call, kernel);
  const ceil = call.int("ceil_mode", 0) === 1;
  return inferred(dtype, [input[0], input[1], ...kernel.map((_, axis) => slide(call, window, axis, input[axis + 2], ceil))]);
}

function maxPool(call: Call): Inferred[] {
  const values = pool(call);
  return [values, inferred("int64", values.shape)];
}

function globalPool(call: Call): Inferred {
  const input = call.shapeOfRank(0, 3, "input");
  return inferred(call.dtype(0), input && [input[0], input[1], ...input.slice(2).map(() => 1)]);
}

/** Convolutions and pooling. */
export const convolutionRules: Readonly<Record<string, InferRule>> = {
  Conv: conv,
  ConvTranspose: convTranspose,
  MaxPool: maxPool,
  AveragePool: pool,
  LpPool: pool,
  GlobalAveragePool: globalPool,
  GlobalMaxPool: globalPool,
  GlobalLpPool: globalPool,
  "com.microsoft.FusedConv": conv,
};
