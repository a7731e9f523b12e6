import {
  type Dim,
  type Graph,
  type Inferred,
  intAttribute,
  intsAttribute,
  isFusedAttention,
  type Node,
  type Shape,
  stringAttribute,
} from "../onnx/index.js";
import type { Dataflow } from "./dataflow.js";
import type { Axis, Layout } from "./hook-point.js";
import { shapeIn } from "./layout.js";

/** The values of an attention: softmax(q·kᵀ·scale + mask)·v, head by head. */
export type AttentionPart = "q" | "k" | "v" | "scores" | "probs" | "z";

/** Where one of them is found. */
export interface AttentionPlace {
  readonly value: string;
  readonly axes: readonly Axis[];
  readonly shape?: Shape;
  readonly layout?: Layout;
  /** Output of the fused operator that must be taken apart first. */
  readonly unfuse?: string;
}

/** An attention found in a graph. */
export interface AttentionSite {
  /** Number of the node that is its softmax, or all of it. */
  readonly node: number;
  readonly heads?: number;
  /** Operator that computes it in one go. */
  readonly fusedAs?: string;
  readonly places: Readonly<Partial<Record<AttentionPart, AttentionPlace>>>;
}

const axesOfPart: Readonly<Record<AttentionPart, readonly Axis[]>> = {
  q: ["batch", "head", "query", "channel"],
  k: ["batch", "head", "key", "channel"],
  v: ["batch", "head", "key", "channel"],
  scores: ["batch", "head", "query", "key"],
  probs: ["batch", "head", "query", "key"],
  z: ["batch", "head", "query", "channel"],
};

/** Every attention of a graph, fused or written out, in the order of computation. */
export function attentionsOf(graph: Graph, flow: Dataflow, inferred: ReadonlyMap<string, Inferred>): AttentionSite[] {
  const shapeOf = (value: string): Shape | undefined => inferred.get(value)?.shape;
  return graph.nodes.flatMap((node, i) => {
    if (node.opType === "Softmax" && flow.carriesData.has(node.outputs[0]!)) return writtenOut(graph, flow, shapeOf, i) ?? [];
    return isFusedAttention(node) ? fused(node, i, shapeOf) : [];
  });
}

/** Places of a fused attention: what is an input or output of the operator is read there, the rest where it is taken apart. */
function fused(node: Node, index: number, shapeOf: (value: string) => Shape | undefined): AttentionSite {
  const out = node.outputs[0]!;
  const packed = node.opType === "Attention" && node.domain === "com.microsoft";
  const heads = intAttribute(node, node.domain === "" ? "q_num_heads" : "num_heads", 0) || numeric(shapeOf(node.inputs[0]!)?.[1]);
  const keyHeads = intAttribute(node, "kv_num_heads", 0) || heads;
  const hasBias = node.opType === "MultiHeadAttention" && (node.inputs[3] ?? "") !== "";
  const [q, k] = [shapeOf(node.inputs[0]!), shapeOf(node.inputs[packed ? 0 : 1] ?? "")];
  const inside = (part: AttentionPart, shape?: Shape): AttentionPlace => ({
    value: `${out}:${part}`,
    axes: axesOfPart[part],
    unfuse: out,
    ...(shape && { shape }),
  });
  /** The value itself, where its axes are known to be [batch, token, head·channel] or [batch, head, token, channel]. */
  const outside = (part: AttentionPart, value: string, count: number | undefined): AttentionPlace => {
    const shape = shapeOf(value);
    if (shape?.length === 4) return { value, axes: axesOfPart[part], shape };
    if (shape?.length !== 3 || count === undefined) return inside(part, [undefined, count, undefined, undefined]);
    const layout: Layout = { shape, heads: { count, within: "channel" } };
    return { value, axes: axesOfPart[part], shape: shapeIn(layout), layout };
  };
  const [query, keys] = [q?.length === 4 ? q[2] : q?.[1], k?.length === 4 ? k[2] : k?.[1]];
  const square: Shape = [q?.[0], heads, query, keys];
  const width = (values: boolean): Dim => headWidth(node, shapeOf, heads, values);
  const isPlain = !packed && !hasBias && (node.inputs[1] ?? "") !== "" && (node.inputs[2] ?? "") !== "";
  const projected = (part: "q" | "k" | "v", i: number, count: number | undefined, length: Dim): AttentionPlace =>
    isPlain && shapeOf(node.inputs[i]!)?.length !== 5
      ? outside(part, node.inputs[i]!, count)
      : inside(part, [q?.[0], count, length, width(part === "v")]);
  return {
    node: index,
    ...(heads !== undefined && { heads }),
    fusedAs: node.opType,
    places: {
      q: projected("q", 0, heads, query),
      k: projected("k", 1, keyHeads, keys),
      v: projected("v", 2, keyHeads, keys),
      scores: inside("scores", square),
      probs: inside("probs", square),
      z: outside("z", out, heads),
    },
  };
}

function headWidth(node: Node, shapeOf: (value: string) => Shape | undefined, heads: number | undefined, values: boolean): Dim {
  const widths = intsAttribute(node, "qkv_hidden_sizes");
  const total = widths?.[values ? 2 : 0] ?? numeric(shapeOf(node.outputs[0]!)?.[2]);
  return total === undefined || heads === undefined ? undefined : total / heads;
}

/** Operators that pass on what they are given, up to a scale, a dtype or dropout that does nothing at inference. */
const passing = new Set(["Identity", "Cast", "Dropout", "QuantizeLinear", "DequantizeLinear"]);

function writtenOut(
  graph: Graph,
  flow: Dataflow,
  shapeOf: (value: string) => Shape | undefined,
  index: number,
): AttentionSite | undefined {
  const { nodes } = graph;
  const carries = (name: string): boolean => flow.carriesData.has(name);
  const producerOf = (value: string): Node | undefined => nodes[flow.producer.get(value) ?? -1];
  /** What a node passes on; undefined where it does more than that. */
  const passed = (node: Node | undefined): string | undefined => {
    if (node === undefined) return undefined;
    if (passing.has(node.opType)) return node.inputs[0];
    if (node.opType !== "Mul" && node.opType !== "Div") return undefined;
    const [data, scale] = [node.inputs.filter(carries), node.inputs.filter((name) => !carries(name))];
    return data.length === 1 && shapeOf(scale[0]!)?.every((d) => d === 1) ? data[0] : undefined;
  };

  const probs = nodes[index]!.outputs[0]!;
  const scores = nodes[index]!.inputs[0]!;
  const last = intAttribute(nodes[index]!, "axis", -1);
  const mixing = last === -1 || last === (shapeOf(probs)?.length ?? 0) - 1 ? productOf(probs) : undefined;
  if (mixing === undefined || !carries(mixing.inputs[1]!)) return undefined;
  const comparing = scoringProduct(scores);
  const isAttention = comparing !== undefined && carries(comparing.inputs[1]!);
  const q = isAttention ? operand(comparing, 0) : undefined;
  const k = isAttention ? operand(comparing, 1) : undefined;
  const v = operand(mixing, 1);
  const heads = [q, k, v].map((o) => o?.heads).find((h) => h !== undefined);
  const place = (part: AttentionPart, value: string, swapped = false): AttentionPlace => {
    const shape = shapeOf(value);
    const inBatch = shape?.length === 3 && heads !== undefined;
    const three: readonly Axis[] = ["batch*head", ...axesOfPart[part].slice(2)];
    const axes = shape?.length === 3 && !inBatch ? three : axesOfPart[part];
    if (shape === undefined) return { value, axes: [] };
    if (!inBatch && !swapped) return { value, axes, shape };
    const layout: Layout = { shape, ...(inBatch && { heads: { count: heads, within: "batch" } }), ...(swapped && { swapped }) };
    return { value, axes, shape: shapeIn(layout), layout };
  };
  return {
    node: index,
    ...(heads !== undefined && { heads }),
    places: {
      ...(q && { q: place("q", q.value, q.swapped) }),
      ...(k && { k: place("k", k.value, k.swapped) }),
      v: place("v", v.value, v.swapped),
      scores: place("scores", scores),
      probs: place("probs", probs),
      z: place("z", mixing.outputs[0]!),
    },
  };

  /** The product of probabilities with values, behind casts and guards against rows without keys. */
  function productOf(value: string): Node | undefined {
    for (const i of flow.readers.get(value) ?? []) {
      const node = nodes[i]!;
      if (isProduct(node) && node.inputs[0] === value) return node;
      const goesOn = passed(node) === value || (node.opType === "Where" && node.inputs[2] === value) || node.opType === "Reshape";
      const found = goesOn ? productOf(node.outputs[0]!) : undefined;
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** The product q·kᵀ before scales, masks and caps. */
  function scoringProduct(value: string): Node | undefined {
    const node = producerOf(value);
    if (node === undefined || isProduct(node)) return node;
    const through = passed(node) ?? (node.opType === "Reshape" || node.opType === "Tanh" ? node.inputs[0] : undefined);
    if (through !== undefined) return scoringProduct(through);
    if (!["Add", "Where", "Sub"].includes(node.opType)) return undefined;
    return node.inputs.map((name) => (carries(name) ? scoringProduct(name) : undefined)).find((n) => n !== undefined);
  }

  /** An operand as PyTorch's module has it: before scales, the transposition of keys and the folding of heads into the batch. */
  function operand(product: Node, input: 0 | 1): { value: string; swapped: boolean; heads: number | undefined } {
    let value = product.inputs[input]!;
    let swapped = isSwapped(product, input, product === mixing);
    let heads: number | undefined;
    for (;;) {
      const node = producerOf(value);
      const shape = shapeOf(value);
      const isTurn = node?.opType === "Transpose" && isLastTwo(intsAttribute(node, "perm"));
      const before = passed(node) ?? (isTurn ? node!.inputs[0] : undefined);
      const folded = node?.opType === "Reshape" && shape?.length === 3 ? shapeOf(node.inputs[0]!) : undefined;
      if (before !== undefined) value = before;
      else if (folded?.length === 4 && folded[2] === shape![1] && folded[3] === shape![2]) value = node!.inputs[0]!;
      else break;
      if (isTurn) swapped = !swapped;
    }
    const shape = shapeOf(value);
    if (shape?.length === 4) heads = numeric(shape[1]);
    return { value, swapped, heads };
  }
}

function isProduct({ opType, inputs }: Node): boolean {
  return opType === "MatMul" || opType === "FusedMatMul" || (opType === "Einsum" && inputs.length === 2);
}

/** Whether an operand has its channels (of values: its keys) in front of its tokens (its channels). */
function isSwapped(product: Node, input: 0 | 1, ofValues: boolean): boolean {
  if (product.opType === "Einsum") {
    const [left = "", right = ""] = stringAttribute(product, "equation", "")
      .replace(/\s|->.*/g, "")
      .split(",");
    const contracted = [...left].find((axis, i) => right.includes(axis) && i >= left.length - 2)!;
    const last = (input === 0 ? left : right).at(-1) === contracted;
    return ofValues ? last : !last;
  }
  const turned = intAttribute(product, input === 0 ? "transA" : "transB", 0) === 1;
  return input === 1 && !ofValues ? !turned : turned;
}

function isLastTwo(perm: readonly number[] | undefined): boolean {
  return perm?.join() === "0,2,1" || perm?.join() === "0,1,3,2";
}

function numeric(d: Dim): number | undefined {
  return typeof d === "number" ? d : undefined;
}
