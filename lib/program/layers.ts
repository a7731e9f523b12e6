import { float } from "../onnx/graph.js";
import { float32, type Tensor } from "../tensor/index.js";
import type { GraphBuilder, Init } from "./builder.js";
import type { Value } from "./value.js";

/**
 * Layers with PyTorch's parameter names, shapes and default initialisation; each opens a scope of its own name, so
 * that an exported net reads like one that came from PyTorch.
 */

const uniformFan = (fanIn: number, gain = 1): Init => ({ kind: "uniform", bound: gain / Math.sqrt(fanIn) });
const constant = (value: number): Init => ({ kind: "constant", value });

export interface LayerOptions {
  readonly bias?: boolean;
  /** Start of the weight; PyTorch's default otherwise. */
  readonly init?: Init;
}

/** x·Wᵀ + b over the last axis; weight [out, in]. */
export function linear(g: GraphBuilder, name: string, x: Value, out: number, { bias = true, init }: LayerOptions = {}): Value {
  return g.scope(name, () => {
    const fanIn = x.dim(-1);
    const weight = g.parameter("weight", [out, fanIn], init ?? uniformFan(fanIn));
    const offset = bias ? g.parameter("bias", [out], init?.kind === "constant" ? init : uniformFan(fanIn)) : undefined;
    if (x.rank === 2) return g.op("Gemm", [x, weight, offset], { transB: 1 });
    const product = x.matmul(weight.transpose([1, 0]));
    return offset === undefined ? product : g.op("Add", [offset, product]);
  });
}

export interface ConvOptions extends LayerOptions {
  readonly stride?: number;
  /** [top, left, bottom, right]; "same" for a 3×3 kernel at stride 1 by default. */
  readonly pads?: readonly [number, number, number, number];
  readonly group?: number;
}

/** 2-D convolution of [batch, channel, y, x]; weight [out, in/group, kernel, kernel]. */
export function conv2d(
  g: GraphBuilder,
  name: string,
  x: Value,
  out: number,
  kernel: number,
  { stride = 1, pads, group = 1, bias = true, init }: ConvOptions = {},
): Value {
  return g.scope(name, () => {
    const [weight, offset] = kernelParameters(g, [out, x.dim(1) / group, kernel, kernel], { bias, ...(init && { init }) });
    const half = kernel >> 1;
    return g.op("Conv", [x, weight, offset], {
      kernel_shape: [kernel, kernel],
      strides: [stride, stride],
      pads: pads ?? [half, half, half, half],
      dilations: [1, 1],
      group,
    });
  });
}

function kernelParameters(
  g: GraphBuilder,
  shape: readonly [out: number, into: number, height: number, width: number],
  { bias = true, init }: LayerOptions = {},
): [weight: Value, offset: Value | undefined] {
  const start = uniformFan(shape[1] * shape[2] * shape[3]);
  const weight = g.parameter("weight", shape, init ?? start);
  return [weight, bias ? g.parameter("bias", [shape[0]], init?.kind === "constant" ? init : start) : undefined];
}

/** x·sigmoid(x), differentiated as one: s(1 − y) + y. */
export function silu(g: GraphBuilder, name: string, x: Value): Value {
  return g.scope(name, () => {
    const [y] = g.composite([x], () => {
      const s = x.sigmoid();
      const out = x.mul(s);
      return { outputs: [out], vjp: ([d]) => [d!.mul(s.mul(g.scalar(1).sub(out)).add(out))] };
    });
    return y!;
  });
}

/** Layer normalization over the last axis. */
export function layerNorm(g: GraphBuilder, name: string, x: Value, epsilon = 1e-5): Value {
  return g.scope(name, () => {
    const width = x.dim(-1);
    const scale = g.parameter("weight", [width], constant(1));
    const offset = g.parameter("bias", [width], constant(0));
    return g.op("LayerNormalization", [x, scale, offset], { axis: -1, epsilon: float(epsilon) });
  });
}

/**
 * Group normalization of [batch, channel, y, x] (arXiv:1803.08494).
 * With a symbolic batch it is written as the PyTorch exporter writes it (InstanceNormalization over groups); with a
 * fixed one, as in training, over rows with a reverse rule that shares the channel sums between its three gradients.
 */
export function groupNorm(g: GraphBuilder, name: string, x: Value, groups: number, epsilon = 1e-5): Value {
  return g.scope(name, () => {
    const channels = x.dim(1);
    const scale = g.parameter("weight", [channels], constant(1));
    const offset = g.parameter("bias", [channels], constant(0));
    if (typeof x.shape[0] === "number") return groupNormRows(g, x, scale, offset, groups, epsilon);
    const rows = x.reshape([0, groups, -1]);
    const normalized = g.op("InstanceNormalization", [rows, onesOf(g, groups), zerosOf(g, groups)], { epsilon: float(epsilon) });
    const image = normalized.reshape([0, channels, x.dim(2), x.dim(3)]);
    return image.mul(scale.reshape([channels, 1, 1])).add(offset.reshape([channels, 1, 1]));
  });
}

function onesOf(g: GraphBuilder, n: number): Value {
  return g.shared(`ones:${n}`, () => float32(new Float32Array(n).fill(1)));
}
function zerosOf(g: GraphBuilder, n: number): Value {
  return g.shared(`zeros:${n}`, () => float32(new Float32Array(n)));
}

function groupNormRows(g: GraphBuilder, x: Value, scale: Value, offset: Value, groups: number, epsilon: number): Value {
  const [n, channels, height, width] = x.dims as [number, number, number, number];
  const perGroup = channels / groups;
  const area = height * width;
  const length = perGroup * area;
  const [y] = g.composite([x, scale, offset], () => {
    const [rows, , inverse] = g.ops(
      "LayerNormalization",
      [x.reshape([n, groups, length]), onesOf(g, length)],
      { axis: -1, epsilon: float(epsilon) },
      3,
    ) as [Value, Value, Value];
    const normalized = rows.reshape([n, channels, area]);
    const out = normalized.mul(scale.reshape([1, channels, 1])).add(offset.reshape([1, channels, 1]));
    return {
      outputs: [out.reshape([n, channels, height, width])],
      vjp: ([cotangent]) => {
        const d = cotangent!.reshape([n, channels, area]);
        const sum = d.sum([2]);
        const product = d.mul(normalized).sum([2]);
        const ofGroup = (v: Value): Value =>
          v
            .mul(scale)
            .reshape([n, groups, perGroup])
            .sum([2], true)
            .mul(inverse)
            .mul(1 / length);
        const gain = scale.reshape([1, groups, perGroup]).mul(inverse).reshape([n, channels, 1]);
        const common = rows.mul(ofGroup(product)).add(ofGroup(sum)).reshape([n, channels, area]);
        return [d.mul(gain).sub(common).reshape([n, channels, height, width]), product.sum([0]), sum.sum([0])];
      },
    };
  });
  return y!;
}

/** Nearest-neighbour doubling of height and width. */
export function upsample2(g: GraphBuilder, x: Value): Value {
  const scales = g.shared("upsample2", () => float32([1, 1, 2, 2]));
  return g.op("Resize", [x, undefined, scales], {
    mode: "nearest",
    coordinate_transformation_mode: "asymmetric",
    nearest_mode: "floor",
  });
}

/**
 * A 3×3 convolution of the doubled picture: [batch, channel, y, x] → [batch, out, 2y, 2x].
 * With a fixed batch, as in training, it never doubles: even and odd rows and columns are four 2×2 convolutions of the
 * small picture, whose kernels are sums of the big one's taps. The same function for 4/9 of the arithmetic.
 */
export function upsampleConv2d(g: GraphBuilder, name: string, x: Value, out: number): Value {
  if (typeof x.shape[0] !== "number") return conv2d(g, name, upsample2(g, x), out, 3);
  return g.scope(name, () => {
    const into = x.dim(1);
    const [weight, offset] = kernelParameters(g, [out, into, 3, 3]);
    const sums = g.shared("upsample phases", phaseSums);
    const kernels = weight
      .reshape([out * into, 9])
      .matmul(sums)
      .reshape([out, into, 4, 4])
      .split(2, [1, 1, 1, 1]);
    const phases = kernels.map((kernel, phase) => {
      const [oddRow, oddColumn] = [phase >> 1, phase & 1];
      const attributes = { kernel_shape: [2, 2], pads: [1 - oddRow, 1 - oddColumn, oddRow, oddColumn] };
      return g.op("Conv", [x, kernel.reshape([out, into, 2, 2]), offset], attributes);
    });
    return interleave(g, phases);
  });
}

/** [9 taps, 4 phases × 4 taps]: row i of a 3×3 kernel on a doubled picture falls on row (i + 1 − odd) >> 1 of the small one. */
function phaseSums(): Tensor {
  const sums = new Float32Array(9 * 16);
  for (let tap = 0; tap < 9; tap++) {
    for (let phase = 0; phase < 4; phase++) {
      const row = (Math.floor(tap / 3) + 1 - (phase >> 1)) >> 1;
      const column = ((tap % 3) + 1 - (phase & 1)) >> 1;
      sums[tap * 16 + phase * 4 + row * 2 + column] = 1;
    }
  }
  return float32(sums, [9, 16]);
}

/** Four pictures [batch, channel, y, x], of even and odd rows × even and odd columns, as one [batch, channel, 2y, 2x]. */
function interleave(g: GraphBuilder, phases: readonly Value[]): Value {
  const [n, channels, height, width] = phases[0]!.dims as [number, number, number, number];
  const [image] = g.composite(phases, () => {
    const rows = [phases.slice(0, 2), phases.slice(2)].map((row) => {
      const columns = row.map((phase) => phase.unsqueeze(4));
      return g.concat(columns, 4).reshape([n, channels, height, 1, 2 * width]);
    });
    return {
      outputs: [g.concat(rows, 3).reshape([n, channels, 2 * height, 2 * width])],
      vjp: ([d]) => g.op("SpaceToDepth", [d], { blocksize: 2 }).split(1, new Array(4).fill(channels)),
    };
  });
  return image!;
}

export interface AttentionOptions {
  readonly heads: number;
  /** Keys and values come from here; from x when absent. [batch, token, width] */
  readonly context?: Value;
  /** Added to the scores before the softmax, e.g. a causal mask. */
  readonly mask?: Value;
}

/** softmax(Q·Kᵀ/√d)·V for projected q, k, v [batch, token, width], split into heads (arXiv:1706.03762). */
export function scaledDotProduct(q: Value, k: Value, v: Value, heads: number, mask?: Value): Value {
  const width = q.dim(-1);
  const perHead = width / heads;
  const split = (x: Value): Value => x.reshape([0, 0, heads, perHead]).transpose([0, 2, 1, 3]);
  const keys = k.reshape([0, 0, heads, perHead]).transpose([0, 2, 3, 1]);
  let scores = split(q)
    .matmul(keys)
    .mul(1 / Math.sqrt(perHead));
  if (mask !== undefined) scores = scores.add(mask);
  const probabilities = scores.softmax(-1);
  return probabilities.matmul(split(v)).transpose([0, 2, 1, 3]).reshape([0, 0, width]);
}

/** Rows of a table picked by integer ids; weight [count, width]. */
export function embedding(g: GraphBuilder, name: string, ids: Value, count: number, width: number, std = 0.02): Value {
  return g.scope(name, () => g.parameter("weight", [count, width], { kind: "normal", std }).gather(ids));
}
