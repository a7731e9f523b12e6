import type { Dim, Shape } from "../graph.js";
import { type Call, type InferRule, type Inferred, inferred } from "./context.js";
import { mergeDim, shapeText } from "./dims.js";

function over(length: Dim, divisor: Dim): Dim {
  return typeof length === "number" && typeof divisor === "number" ? length / divisor : undefined;
}

function times(length: Dim, factor: Dim): Dim {
  return typeof length === "number" && typeof factor === "number" ? length * factor : undefined;
}

/** Length of keys after those kept from before. */
function sum(a: Dim, b: Dim): Dim {
  if (a === 0) return b;
  return typeof a === "number" && typeof b === "number" ? a + b : undefined;
}

function checkDividable(call: Call, width: Dim, heads: number): void {
  if (heads < 1 || (typeof width === "number" && width % heads !== 0))
    throw call.error(`width ${width} cannot be divided into ${heads} heads`);
}

/**
 * Attention (opset 23): query, key and value [batch, heads, length, width], or [batch, length, heads·width] with
 * the head counts as attributes; inputs mask, past key, past value follow.
 */
function attention(call: Call): Inferred[] {
  const [q, k, v] = [call.shape(0), call.shape(1), call.shape(2)];
  const dtype = call.dtype(0);
  if (q === undefined || k === undefined || v === undefined) return [inferred(dtype, undefined)];
  if (![3, 4].includes(q.length) || k.length !== q.length || v.length !== q.length) {
    throw call.error(`query ${shapeText(q)}, key ${shapeText(k)} and value ${shapeText(v)} must all have 3 or all 4 axes`);
  }
  const heads = q.length === 4 ? q[1] : call.int("q_num_heads", 0);
  const keyHeads = k.length === 4 ? k[1] : call.int("kv_num_heads", 0);
  const split = (shape: Shape, n: Dim): Shape => (shape.length === 4 ? shape : [shape[0], n, shape[1], over(shape[2], n)]);
  const [query, key, value] = [split(q, heads), split(k, keyHeads), split(v, keyHeads)];
  if (mergeDim(query[3], key[3]) === null) throw call.error(`query heads are ${query[3]} wide, key heads ${key[3]}`);
  if (mergeDim(key[2], value[2]) === null) throw call.error(`there are ${key[2]} keys and ${value[2]} values`);
  const keys = sum(call.has(4) ? call.shape(4)?.[2] : 0, key[2]);
  const y = q.length === 4 ? [q[0], heads, q[2], value[3]] : [q[0], q[1], times(heads, value[3])];
  return [
    inferred(dtype, y),
    inferred(call.dtype(1), [key[0], keyHeads, keys, key[3]]),
    inferred(call.dtype(2), [value[0], keyHeads, keys, value[3]]),
    inferred(dtype, [q[0], heads, query[2], keys]),
  ];
}

/** com.microsoft.Attention: input [batch, length, channels], weights [channels, q+k+v widths]. */
function packedAttention(call: Call): Inferred[] {
  const [input, weight] = [call.shape(0), call.shape(1)];
  const dtype = call.dtype(0);
  const heads = call.int("num_heads", 0);
  const widths = call.ints("qkv_hidden_sizes");
  if (input !== undefined && weight !== undefined && mergeDim(input.at(-1), weight[0]) === null) {
    throw call.error(
      `input ${shapeText(input)} has ${input.at(-1)} channels, the weight ${shapeText(weight)} needs ${weight[0]}`,
    );
  }
  const width = widths?.[2] ?? over(weight?.[1], 3);
  checkDividable(call, width, heads);
  const past = call.has(4) ? call.shape(4)?.[3] : 0;
  return [
    inferred(dtype, [input?.[0], input?.[1], width]),
    inferred(dtype, [2, input?.[0], heads, sum(past, input?.[1]), over(width, heads)]),
  ];
}

/** com.microsoft.MultiHeadAttention: query [batch, length, width], or packed with key or with key and value. */
function multiHeadAttention(call: Call): Inferred[] {
  const [q, k, v] = [call.shape(0), call.shape(1), call.shape(2)];
  const dtype = call.dtype(0);
  const heads = call.int("num_heads", 0);
  if (q === undefined) return [inferred(dtype, [undefined, undefined, undefined])];
  const packedAll = q.length === 5;
  const packedKeys = k?.length === 5;
  const queryWidth = packedAll ? times(q[2], q[4]) : q[2];
  checkDividable(call, queryWidth, heads);
  const valueWidth = packedAll || packedKeys ? queryWidth : v?.length === 4 ? times(v[1], v[3]) : v?.[2];
  const keyLength = packedAll ? q[1] : k?.length === 4 ? k[2] : k?.[1];
  const keys = sum(call.has(6) ? call.shape(6)?.[2] : 0, keyLength);
  return [
    inferred(dtype, [q[0], q[1], valueWidth]),
    inferred(dtype, [q[0], heads, keys, over(queryWidth, heads)]),
    inferred(dtype, [q[0], heads, keys, over(valueWidth, heads)]),
  ];
}

/** com.microsoft.GroupQueryAttention: query [batch, length, heads·width], packed with key and value when those are omitted. */
function groupQueryAttention(call: Call): Inferred[] {
  const q = call.shape(0);
  const [heads, keyHeads] = [call.int("num_heads", 0), call.int("kv_num_heads", 0)];
  const width = call.has(1) ? q?.[2] : times(over(q?.[2], heads + 2 * keyHeads), heads);
  return [inferred(call.dtype(0), [q?.[0], q?.[1], width])];
}

function biasSplitGelu(call: Call): Inferred {
  const shape = call.shape(0);
  return inferred(call.dtype(0), shape?.with(-1, over(shape.at(-1), 2)));
}

/** Attention, in ONNX and as ONNX Runtime fuses it. */
export const attentionRules: Readonly<Record<string, InferRule>> = {
  Attention: attention,
  RotaryEmbedding: (call) => call.like(0),
  "com.microsoft.Attention": packedAttention,
  "com.microsoft.MultiHeadAttention": multiHeadAttention,
  "com.microsoft.GroupQueryAttention": groupQueryAttention,
  "com.microsoft.RotaryEmbedding": (call) => call.like(0),
  "com.microsoft.BiasAdd": (call) => call.like(0),
  "com.microsoft.BiasSplitGelu": biasSplitGelu,
};
