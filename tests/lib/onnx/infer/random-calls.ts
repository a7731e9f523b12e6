import { type AttributeInput, float, floats, type Graph, initializerOf } from "../../../../lib/onnx/graph.js";
import { allocate, type DType, int64, scalar, sizeOf, Tensor } from "../../../../lib/tensor/index.js";
import type { Rng } from "../../../../lib/tensor/random.js";
import { node } from "./graphs.js";

/** One random call: float operands are graph inputs, whole-number ones initializers, so that inference knows them. */
export interface Draw {
  readonly operands: readonly (Tensor | null)[];
  readonly attributes?: Record<string, AttributeInput>;
  readonly outputs?: number;
  readonly opset?: number;
}

function tensor(rng: Rng, shape: readonly number[], dtype: DType = "float32"): Tensor {
  const data = allocate(dtype, sizeOf(shape));
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) return new Tensor(dtype, data, shape);
  for (let i = 0; i < data.length; i++) data[i] = dtype === "float32" ? rng.uniform() + 0.5 : rng.int(2);
  return new Tensor(dtype, data, shape);
}

const between = (rng: Rng, low: number, high: number): number => low + rng.int(high - low + 1);
const pick = <T>(rng: Rng, choices: readonly T[]): T => choices[rng.int(choices.length)]!;
const shape = (rng: Rng, rank: number, low = 1, high = 5): number[] =>
  Array.from({ length: rank }, () => between(rng, low, high));
const signed = (rng: Rng, axis: number, rank: number): number => (rng.int(2) ? axis : axis - rank);
const axesOf = (rng: Rng, rank: number): number[] =>
  [...Array(rank).keys()].filter(() => rng.int(2) === 1).map((a) => signed(rng, a, rank));

/** Shapes that mostly broadcast. */
function broadcastable(rng: Rng, count: number): number[][] {
  const full = shape(rng, between(rng, 0, 4));
  return Array.from({ length: count }, () =>
    full.slice(rng.int(full.length + 1)).map((d) => (rng.int(3) === 0 ? 1 : rng.int(30) === 0 ? d + 1 : d)),
  );
}

const binary =
  (dtype: DType = "float32") =>
  (rng: Rng): Draw => ({ operands: broadcastable(rng, 2).map((s) => tensor(rng, s, dtype)) });

function windowAttributes(rng: Rng, n: number, pooling = false): Record<string, AttributeInput> {
  const autoPad = pick(rng, ["NOTSET", "NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]);
  const same = autoPad.startsWith("SAME");
  return {
    auto_pad: autoPad,
    strides: shape(rng, n, 1, 3),
    ...(same || (pooling && rng.int(2)) ? {} : { dilations: shape(rng, n, 1, 2) }),
    ...(autoPad === "NOTSET" ? { pads: shape(rng, 2 * n, 0, pooling ? 1 : 2) } : {}),
  };
}

function conv(rng: Rng): Draw {
  const n = between(rng, 1, 2);
  const group = between(rng, 1, 2);
  const [channels, outputs] = [group * between(rng, 1, 2), group * between(rng, 1, 3)];
  const perGroup = channels / group + (rng.int(15) === 0 ? 1 : 0);
  const operands = [
    [between(rng, 1, 2), channels, ...shape(rng, n, 2, 9)],
    [outputs, perGroup, ...shape(rng, n, 1, 3)],
    [outputs],
  ];
  return { operands: operands.map((s) => tensor(rng, s)), attributes: { ...windowAttributes(rng, n), group } };
}

function convTranspose(rng: Rng): Draw {
  const n = between(rng, 1, 2);
  const group = between(rng, 1, 2);
  const channels = group * between(rng, 1, 2);
  const operands = [
    [1, channels, ...shape(rng, n, 2, 6)],
    [channels, between(rng, 1, 2), ...shape(rng, n, 1, 3)],
  ];
  const strides = shape(rng, n, 1, 3);
  const attributes = { ...windowAttributes(rng, n), strides, group, output_padding: strides.map((s) => rng.int(s)) };
  return { operands: operands.map((s) => tensor(rng, s)), attributes };
}

function pool(outputs: number, opset = 21): (rng: Rng) => Draw {
  return (rng) => {
    const n = between(rng, 1, 2);
    // At least as long as the largest window: what ONNX Runtime makes of a longer one is not defined, inference refuses it.
    const input = tensor(rng, [1, 2, ...shape(rng, n, 5, 9)]);
    const { auto_pad, ...rest } = windowAttributes(rng, n, true);
    const ceil = rng.int(2);
    const attributes = { auto_pad: auto_pad!, ...rest, kernel_shape: shape(rng, n, 2, 3), ceil_mode: ceil };
    return { operands: [input], attributes, outputs, opset };
  };
}

function reshape(rng: Rng): Draw {
  const from = shape(rng, between(rng, 1, 4), 1, 4);
  const target = [...from].sort(() => rng.int(3) - 1);
  if (target.length > 1 && rng.int(2)) target.splice(0, 2, target[0]! * target[1]!);
  if (rng.int(2)) target[rng.int(target.length)] = -1;
  if (rng.int(4) === 0) target[rng.int(target.length)] = 0;
  return { operands: [tensor(rng, from), int64(target)] };
}

function slice(rng: Rng): Draw {
  const from = shape(rng, 3, 1, 6);
  const axes = [0, 1, 2].filter(() => rng.int(2));
  if (axes.length === 0) axes.push(1);
  const ends = axes.map(() => (rng.int(4) === 0 ? pick(rng, [2 ** 40, -(2 ** 40)]) : between(rng, -7, 7)));
  const steps = axes.map(() => pick(rng, [1, 1, 2, -1, -2, 3]));
  const starts = axes.map(() => between(rng, -7, 7));
  return { operands: [tensor(rng, from), int64(starts), int64(ends), int64(axes.map((a) => signed(rng, a, 3))), int64(steps)] };
}

function reduce(opset: number): (rng: Rng) => Draw {
  return (rng) => {
    const rank = between(rng, 1, 4);
    const axes = axesOf(rng, rank);
    const keepdims = rng.int(2);
    const input = tensor(rng, shape(rng, rank));
    if (opset < 18) return { operands: [input], attributes: { keepdims, ...(axes.length ? { axes } : {}) }, opset };
    return { operands: [input, int64(axes)], attributes: { keepdims, noop_with_empty_axes: rng.int(2) }, opset };
  };
}

/** An elementwise call on one random tensor. */
const unary =
  (attributes: Record<string, AttributeInput> = {}) =>
  (rng: Rng): Draw => ({
    operands: [tensor(rng, shape(rng, between(rng, 0, 4)))],
    attributes,
  });

function along(name: string, outputs = 1): (rng: Rng) => Draw {
  return (rng) => {
    const rank = between(rng, 1, 4);
    return { operands: [tensor(rng, shape(rng, rank))], attributes: { [name]: between(rng, -rank, rank - 1) }, outputs };
  };
}

/** A random call of each operator, now and then one that is wrong. */
export const draws: Record<string, (rng: Rng) => Draw> = {
  Add: binary(),
  Sub: binary("int32"),
  Mul: binary(),
  Div: binary(),
  Pow: binary(),
  Mod: (rng) => ({ ...binary()(rng), attributes: { fmod: 1 } }),
  Min: (rng) => ({ operands: broadcastable(rng, 3).map((s) => tensor(rng, s)) }),
  Sum: (rng) => ({ operands: broadcastable(rng, 3).map((s) => tensor(rng, s)) }),
  Mean: (rng) => ({ operands: broadcastable(rng, 2).map((s) => tensor(rng, s)) }),
  Equal: binary(),
  Less: binary(),
  And: binary("bool"),
  Where: (rng) => {
    const [a, b, c] = broadcastable(rng, 3);
    return { operands: [tensor(rng, a!, "bool"), tensor(rng, b!), tensor(rng, c!)] };
  },
  Relu: unary(),
  Erf: unary(),
  Gelu: unary({ approximate: "tanh" }),
  LeakyRelu: unary({ alpha: float(0.1) }),
  Cast: (rng) => unary({ to: pick(rng, [1, 6, 7, 9, 11]) })(rng),
  Softmax: along("axis"),
  LogSoftmax: along("axis"),
  PRelu: (rng) => {
    const s = shape(rng, 3);
    return { operands: [tensor(rng, s), tensor(rng, s.slice(rng.int(4)))] };
  },
  MatMul: (rng) => {
    const [m, k, n] = [between(rng, 1, 4), between(rng, 1, 4), between(rng, 1, 4)];
    const [left, right] = broadcastable(rng, 2);
    const a = rng.int(4) === 0 ? [k] : [...left!, m, k];
    const b = rng.int(4) === 0 ? [k] : [...right!, rng.int(10) ? k : k + 1, n];
    return { operands: [tensor(rng, a), tensor(rng, b)] };
  },
  Gemm: (rng) => {
    const [m, k, n] = [between(rng, 1, 4), between(rng, 1, 4), between(rng, 1, 4)];
    const [transA, transB] = [rng.int(2), rng.int(2)];
    const c = pick(rng, [[n], [1], [m, 1], [m, n], [1, n], [m, n + 1]]);
    const operands = [transA ? [k, m] : [m, k], transB ? [n, k] : [k, rng.int(10) ? n : n + 1], c];
    return { operands: operands.map((s) => tensor(rng, s)), attributes: { transA, transB } };
  },
  Einsum: (rng) => {
    const [b, i, j, k] = shape(rng, 4, 2, 4) as [number, number, number, number];
    const [equation, ...shapes] = pick(rng, [
      ["bij,bjk->bik", [b, i, j], [b, j, k]],
      ["...ij,...kj->...ik", [b, 1, i, j], [b, 1, k, j]],
      ["bhid,bhjd->bhij", [b, 2, i, k], [b, 2, j, k]],
      ["ij,jk", [i, j], [j, k]],
      ["ii->i", [i, i]],
      ["ij->ji", [i, j]],
      ["bij->b", [b, i, j]],
      ["b i , i", [b, i], [i]],
      ["ij,jk->ik", [i, j], [j + 1, k]],
    ] as const);
    return { operands: shapes.map((s) => tensor(rng, s)), attributes: { equation } };
  },
  Conv: conv,
  ConvTranspose: convTranspose,
  MaxPool: pool(2),
  AveragePool: pool(1),
  GlobalAveragePool: (rng) => ({ operands: [tensor(rng, shape(rng, between(rng, 3, 5)))] }),
  Reshape: reshape,
  Transpose: (rng) => {
    const rank = between(rng, 1, 4);
    const perm = [...Array(rank).keys()].sort(() => rng.int(3) - 1);
    return { operands: [tensor(rng, shape(rng, rank))], attributes: rng.int(4) ? { perm } : {} };
  },
  Unsqueeze: (rng) => {
    const rank = between(rng, 0, 3);
    const axes = pick(rng, [[0], [-1], [rank], [0, -1], [0, 1]]);
    return { operands: [tensor(rng, shape(rng, rank)), int64(axes)] };
  },
  Squeeze: (rng) => {
    const s = shape(rng, 3, 1, 2);
    return { operands: [tensor(rng, s), rng.int(3) ? int64([between(rng, -3, 2)]) : null] };
  },
  Flatten: along("axis"),
  Expand: (rng) => {
    const [a, b] = broadcastable(rng, 2);
    return { operands: [tensor(rng, a!), int64(b!)] };
  },
  Tile: (rng) => ({ operands: [tensor(rng, shape(rng, 3)), int64(shape(rng, 3, 0, 3))] }),
  Concat: (rng) => {
    const s = shape(rng, 3);
    const axis = rng.int(3);
    const parts = Array.from({ length: between(rng, 1, 3) }, () => s.with(axis, between(rng, 0, 4)));
    if (rng.int(10) === 0) parts[0] = shape(rng, 3);
    return { operands: parts.map((p) => tensor(rng, p)), attributes: { axis: signed(rng, axis, 3) } };
  },
  Split: (rng) => {
    const lengths = shape(rng, between(rng, 1, 3), 0, 3);
    const total = lengths.reduce((a, b) => a + b, 0) + (rng.int(10) === 0 ? 1 : 0);
    const axis = rng.int(3);
    const equal = rng.int(2) === 1;
    return {
      operands: [tensor(rng, shape(rng, 3).with(axis, Math.max(total, 1))), equal ? null : int64(lengths)],
      attributes: { axis: signed(rng, axis, 3), ...(equal ? { num_outputs: lengths.length } : {}) },
      outputs: lengths.length,
    };
  },
  Slice: slice,
  Pad: (rng) => ({
    operands: [tensor(rng, shape(rng, 2, 2, 5)), int64(shape(rng, 4, -1, 3)), scalar(0)],
    attributes: { mode: "constant" },
  }),
  Resize: (rng) => {
    const s = [1, 2, ...shape(rng, 2, 1, 7)];
    const byScale = rng.int(2) === 1;
    const scales = new Tensor("float32", Float32Array.of(1, 1, between(rng, 1, 30) / 10, between(rng, 1, 30) / 10), [4]);
    const sizes = int64([1, 2, between(rng, 1, 9), between(rng, 1, 9)]);
    return { operands: [tensor(rng, s), null, byScale ? scales : null, byScale ? null : sizes], attributes: { mode: "nearest" } };
  },
  DepthToSpace: (rng) => ({
    operands: [tensor(rng, [1, pick(rng, [4, 8, 9]), 2, 3])],
    attributes: { blocksize: between(rng, 1, 3) },
  }),
  SpaceToDepth: (rng) => ({
    operands: [tensor(rng, [1, 2, 4, pick(rng, [4, 6])])],
    attributes: { blocksize: between(rng, 1, 3) },
  }),
  GridSample: (rng) => ({ operands: [tensor(rng, [2, 3, 4, 5]), tensor(rng, [2, ...shape(rng, 2), 2])] }),
  Shape: (rng) => ({
    operands: [tensor(rng, shape(rng, between(rng, 1, 4)))],
    attributes: rng.int(2) ? { start: between(rng, -3, 3), end: between(rng, -3, 3) } : {},
  }),
  Size: unary(),
  ConstantOfShape: (rng) => ({ operands: [int64(shape(rng, between(rng, 0, 3), 0, 4))], attributes: { value: int64([7]) } }),
  Range: (rng) => ({
    operands: [
      scalar(between(rng, -5, 5), "int64"),
      scalar(between(rng, -5, 5), "int64"),
      scalar(pick(rng, [1, 2, -1, -3]), "int64"),
    ],
  }),
  EyeLike: (rng) => ({ operands: [tensor(rng, shape(rng, 2))] }),
  RandomNormalLike: unary({ dtype: 11 }),
  RandomNormal: (rng) => ({ operands: [], attributes: { shape: shape(rng, 2) } }),
  OneHot: (rng) => ({
    operands: [
      int64(new BigInt64Array(6), [2, 3]),
      scalar(between(rng, 1, 4), "int64"),
      new Tensor("float32", Float32Array.of(0, 1), [2]),
    ],
    attributes: { axis: between(rng, -3, 2) },
  }),
  ReduceSum: reduce(21),
  ReduceMean: reduce(21),
  ReduceMax: reduce(13),
  ReduceProd: reduce(17),
  ReduceL2: reduce(18),
  ArgMax: (rng) => ({ operands: [tensor(rng, shape(rng, 3))], attributes: { axis: between(rng, -3, 2), keepdims: rng.int(2) } }),
  TopK: (rng) => ({
    operands: [tensor(rng, shape(rng, 3, 2, 5)), int64([between(rng, 1, 3)])],
    attributes: { axis: between(rng, -3, 2) },
    outputs: 2,
  }),
  CumSum: (rng) => ({ operands: [tensor(rng, shape(rng, 3)), scalar(between(rng, -3, 2), "int64")] }),
  LayerNormalization: (rng) => {
    const s = shape(rng, 3);
    const axis = rng.int(3);
    return {
      operands: [tensor(rng, s), tensor(rng, s.slice(axis)), tensor(rng, s.slice(axis))],
      attributes: { axis: signed(rng, axis, 3) },
      outputs: 3,
    };
  },
  SimplifiedLayerNormalization: (rng) => {
    const s = shape(rng, 3);
    return { operands: [tensor(rng, s), tensor(rng, s.slice(2))], attributes: { axis: -1 }, outputs: 2 };
  },
  InstanceNormalization: (rng) => {
    const c = between(rng, 1, 3);
    return { operands: [tensor(rng, [2, c, 3]), tensor(rng, [c]), tensor(rng, [rng.int(10) ? c : c + 1])] };
  },
  GroupNormalization: (rng) => {
    const groups = between(rng, 1, 3);
    const c = groups * 2 + (rng.int(10) ? 0 : 1);
    return { operands: [tensor(rng, [1, c, 3]), tensor(rng, [c]), tensor(rng, [c])], attributes: { num_groups: groups } };
  },
  BatchNormalization: (rng) => {
    const c = between(rng, 1, 3);
    return { operands: [tensor(rng, [2, c, 3]), ...[0, 1, 2, 3].map(() => tensor(rng, [rng.int(20) ? c : c + 1]))] };
  },
  "com.microsoft.SkipLayerNormalization": (rng) => {
    const s = shape(rng, 3);
    return { operands: [tensor(rng, s), tensor(rng, s), ...[0, 1].map(() => tensor(rng, s.slice(2)))], outputs: 4 };
  },
  Gather: (rng) => {
    const s = shape(rng, 3, 2, 5);
    const axis = rng.int(3);
    const indices = int64(
      Array.from({ length: 6 }, () => between(rng, -2, rng.int(40) ? 1 : 5)),
      pick(rng, [[6], [2, 3], [1, 6]]),
    );
    return { operands: [tensor(rng, s), indices], attributes: { axis: signed(rng, axis, 3) } };
  },
  GatherElements: (rng) => {
    const s = shape(rng, 2, 2, 4);
    const indices = shape(rng, 2, 1, 4);
    return {
      operands: [tensor(rng, s), int64(new BigInt64Array(sizeOf(indices)), indices)],
      attributes: { axis: between(rng, -2, 1) },
    };
  },
  GatherND: (rng) => {
    const batch = rng.int(2);
    const width = between(rng, 1, 3);
    const indices = [2, 3, width];
    return {
      operands: [tensor(rng, [2, 3, 4]), int64(new BigInt64Array(sizeOf(indices)), indices)],
      attributes: { batch_dims: batch },
    };
  },
  ScatterElements: (rng) => {
    const indices = shape(rng, 2, 1, 3);
    const updates = rng.int(10) ? indices : [3, 3];
    return { operands: [tensor(rng, [3, 4]), int64(new BigInt64Array(sizeOf(indices)), indices), tensor(rng, updates)] };
  },
  ScatterND: (rng) => {
    const width = between(rng, 1, 2);
    const updates = [2, ...(width === 1 ? [4] : [])];
    if (rng.int(10) === 0) updates[0] = 3;
    return { operands: [tensor(rng, [3, 4]), int64(new BigInt64Array(2 * width), [2, width]), tensor(rng, updates)] };
  },
  NonZero: (rng) => ({ operands: [int64([0, 1, 2, 0, rng.int(2), rng.int(2)], pick(rng, [[6], [2, 3]]))] }),
  Compress: (rng) => ({
    operands: [tensor(rng, [3, 4]), new Tensor("bool", Uint8Array.of(rng.int(2), 1, 0), [3])],
    attributes: rng.int(2) ? { axis: -2 } : {},
  }),
  Trilu: (rng) => ({ operands: [tensor(rng, shape(rng, between(rng, 2, 3)))] }),
  Dropout: (rng) => ({ operands: [tensor(rng, [2, 3])], outputs: 2 }),
  Clip: (rng) => ({ operands: [tensor(rng, [2, 3]), scalar(0), rng.int(2) ? scalar(1) : null] }),
  QuantizeLinear: (rng) => ({ operands: [tensor(rng, [2, 3]), scalar(0.5), scalar(0, pick(rng, ["int8", "uint8"]))] }),
  DequantizeLinear: (rng) => ({ operands: [tensor(rng, [2, 3], "uint8"), scalar(0.5), scalar(0, "uint8")] }),
  DynamicQuantizeLinear: (rng) => ({ operands: [tensor(rng, [2, 3])], outputs: 3 }),
  MatMulInteger: (rng) => ({ operands: [tensor(rng, [2, 3], "uint8"), tensor(rng, [3, 4], "uint8")] }),
  ConvInteger: (rng) => ({ operands: [tensor(rng, [1, 2, 5, 5], "uint8"), tensor(rng, [3, 2, 3, 3], "uint8")] }),
  "com.microsoft.FusedMatMul": (rng) => {
    const [transA, transB] = [rng.int(2), rng.int(2)];
    return {
      operands: [tensor(rng, transA ? [2, 3, 4] : [2, 4, 3]), tensor(rng, transB ? [5, 3] : [3, 5])],
      attributes: { transA, transB },
    };
  },
  "com.microsoft.BiasGelu": (rng) => ({ operands: [tensor(rng, [2, 3]), tensor(rng, [3])] }),
  "com.microsoft.QuickGelu": unary(),
  "com.microsoft.FastGelu": (rng) => ({ operands: [tensor(rng, [2, 3]), tensor(rng, [3])] }),
  "com.microsoft.Attention": (rng) => ({
    operands: [tensor(rng, [2, 5, 4]), tensor(rng, [4, 24]), tensor(rng, [24])],
    attributes: { num_heads: 2 },
  }),
  "com.microsoft.MultiHeadAttention": (rng) => ({
    operands: [tensor(rng, [2, 5, 8]), tensor(rng, [2, 3, 8]), tensor(rng, [2, 3, 4])],
    attributes: { num_heads: 2 },
  }),
  Attention: (rng) =>
    rng.int(2)
      ? { operands: [tensor(rng, [2, 4, 5, 8]), tensor(rng, [2, 2, 3, 8]), tensor(rng, [2, 2, 3, 6])], opset: 23 }
      : {
          operands: [tensor(rng, [2, 5, 8]), tensor(rng, [2, 3, 8]), tensor(rng, [2, 3, 4])],
          attributes: { q_num_heads: 2, kv_num_heads: 2 },
          opset: 23,
        },
  Loop: (rng) => ({
    operands: [scalar(between(rng, 1, 3), "int64"), null, tensor(rng, [2, 3])],
    attributes: {
      body: {
        name: "body",
        nodes: [
          node("Add", ["x", "x"], {}, ["doubled"]),
          node("Identity", ["go"], {}, ["on"]),
          node("Relu", ["x"], {}, ["seen"]),
        ],
        initializers: [],
        inputs: [
          { name: "i", dtype: "int64", shape: [] },
          { name: "go", dtype: "bool", shape: [] },
          { name: "x", dtype: "float32" },
        ],
        outputs: [
          { name: "on", dtype: "bool", shape: [] },
          { name: "doubled", dtype: "float32" },
          { name: "seen", dtype: "float32" },
        ],
        valueInfo: [],
      } satisfies Graph,
    },
    outputs: 2,
  }),
  Scan: (rng) => ({
    operands: [tensor(rng, [3]), tensor(rng, [between(rng, 1, 4), 3])],
    attributes: {
      num_scan_inputs: 1,
      body: {
        name: "body",
        nodes: [node("Add", ["state", "row"], {}, ["next"]), node("Unsqueeze", ["next", "zero"], {}, ["wide"])],
        initializers: [initializerOf("zero", int64([0]))],
        inputs: [
          { name: "state", dtype: "float32" },
          { name: "row", dtype: "float32" },
        ],
        outputs: [
          { name: "next", dtype: "float32" },
          { name: "wide", dtype: "float32" },
        ],
        valueInfo: [],
      } satisfies Graph,
    },
    outputs: 2,
  }),
  Upsample: (rng) => ({
    operands: [tensor(rng, [1, 2, ...shape(rng, 2)])],
    attributes: { scales: floats([1, 1, 2, 3]) },
    opset: 7,
  }),
};
