import { type DType, int64, scalar, type Tensor } from "../../tensor/index.js";
import { dataTypeCodes } from "../codec/data-type.js";
import {
  type AttributeInput,
  type Dim,
  floatAttribute,
  type Graph,
  type Initializer,
  initializerOf,
  intAttribute,
  intsAttribute,
  type Node,
  type Shape,
  toAttributes,
} from "../graph.js";
import { type Inferred, inferGraph } from "../infer/index.js";
import { freshNames, readsOf, takenNames } from "./scope.js";

/** A fused attention that cannot be written out: which one, and what stands in the way. */
export class UnsupportedAttentionError extends Error {
  override readonly name: string = "UnsupportedAttentionError";
  /** Operator and name of the node. */
  readonly op: string;
  readonly node: string;

  constructor({ opType, name }: Node, why: string, fix: string) {
    super(`unfuseAttention: ${opType} (node "${name}"): ${why}; ${fix}`);
    this.op = opType;
    this.node = name;
  }
}

export interface UnfuseAttentionOptions {
  /** Version of the default operator set, see `opsetOf`. */
  readonly opset: number;
  /** Names of the first outputs of the attentions to take apart; default all. */
  readonly outputs?: Iterable<string>;
  readonly inputShapes?: Readonly<Record<string, Shape>>;
}

/** Whether a node computes a whole attention that `unfuseAttention` knows. */
export function isFusedAttention({ opType, domain }: Node): boolean {
  return opType === "Attention" || (domain === "com.microsoft" && /^(MultiHead|GroupQuery)Attention$/.test(opType));
}

/**
 * Writes fused attentions out as softmax(q·kᵀ·scale + mask)·v, so that what is inside them can be read and edited. The
 * fused operators are com.microsoft's MultiHeadAttention and Attention, and ONNX's own Attention. Of one whose first
 * output is `y`, the values `y:q` [batch, head, query, channel], `y:k` and `y:v` [batch, head, key, channel], `y:scores`
 * and `y:probs` [batch, head, query, key] come to be; `y` and the rest of the graph stay, up to rounding.
 * @throws UnsupportedAttentionError where keys and values are kept from earlier calls, for masks packed with offsets, soft
 * caps, rotary embedding inside the operator and GroupQueryAttention
 */
export function unfuseAttention(graph: Graph, options: UnfuseAttentionOptions): Graph {
  const wanted = options.outputs === undefined ? undefined : new Set(options.outputs);
  const isWanted = (node: Node): boolean => isFusedAttention(node) && (wanted === undefined || wanted.has(node.outputs[0]!));
  if (!graph.nodes.some(isWanted)) return graph;
  const { opset, inputShapes } = options;
  const known = inferGraph(graph, { opset, ...(inputShapes && { inputShapes }) });
  const read = new Set([...graph.outputs.map((o) => o.name), ...graph.nodes.flatMap((node) => [...readsOf(node)])]);
  const fresh = freshNames(graph);
  const taken = takenNames(graph);
  const initializers: Initializer[] = [];
  const nodes = graph.nodes.flatMap((node) => {
    if (!isWanted(node)) return node;
    const further = node.outputs.slice(1).find((name) => name !== "" && read.has(name));
    if (further !== undefined) {
      throw new UnsupportedAttentionError(
        node,
        `its output "${further}" is read too`,
        "export the model without a key–value cache",
      );
    }
    const out = new Written(node, opset, known, fresh, initializers);
    for (const part of ["q", "k", "v", "scores", "probs"]) {
      if (taken.has(out.named(part)))
        throw new RangeError(`unfuseAttention: the name "${out.named(part)}" is taken; rename that value`);
    }
    writeOut(out);
    return out.nodes;
  });
  return { ...graph, nodes, initializers: [...graph.initializers, ...initializers] };
}

/** An attention while it is being written out. */
class Written {
  readonly node: Node;
  readonly nodes: Node[] = [];
  readonly dtype: DType;
  readonly #opset: number;
  readonly #known: ReadonlyMap<string, Inferred>;
  readonly #fresh: (hint: string) => string;
  readonly #initializers: Initializer[];

  constructor(
    node: Node,
    opset: number,
    known: ReadonlyMap<string, Inferred>,
    fresh: (hint: string) => string,
    initializers: Initializer[],
  ) {
    this.node = node;
    this.#opset = opset;
    this.#known = known;
    this.#fresh = fresh;
    this.#initializers = initializers;
    this.dtype = known.get(node.inputs[0]!)?.dtype ?? "float32";
  }

  get isOnnx(): boolean {
    return this.node.domain !== "com.microsoft";
  }

  named(part: string): string {
    return `${this.node.outputs[0]}:${part}`;
  }

  /** An optional input; undefined where it is left out. */
  input(index: number): string | undefined {
    return this.node.inputs[index] || undefined;
  }

  shape(index: number): Shape {
    const name = this.input(index);
    const shape = name === undefined ? undefined : this.#known.get(name)?.shape;
    if (shape === undefined) throw this.unsupported(`the rank of its input ${index} is not known`, "give inputShapes");
    return shape;
  }

  isBool(name: string): boolean {
    return this.#known.get(name)?.dtype === "bool";
  }

  unsupported(why: string, fix: string): UnsupportedAttentionError {
    return new UnsupportedAttentionError(this.node, why, fix);
  }

  op(opType: string, inputs: readonly string[], attributes: Record<string, AttributeInput> = {}, output?: string): string {
    const hint = `${this.node.name || this.node.opType}/${opType}`;
    const outputs = [output ?? this.#fresh(`${this.named(opType)}`)];
    const { metadata } = this.node;
    this.nodes.push({
      opType,
      domain: "",
      name: this.#fresh(hint),
      inputs,
      outputs,
      attributes: toAttributes(attributes),
      ...(metadata && { metadata }),
    });
    return outputs[0]!;
  }

  constant(tensor: Tensor): string {
    const name = this.#fresh(this.named("constant"));
    this.#initializers.push(initializerOf(name, tensor));
    return name;
  }

  ints(values: readonly number[]): string {
    return this.constant(int64(values));
  }

  scalar(value: number): string {
    return this.constant(scalar(value, this.dtype));
  }

  reshape(x: string, shape: readonly number[]): string {
    return this.op("Reshape", [x, this.ints(shape)]);
  }

  unsqueeze(x: string, axes: readonly number[]): string {
    return this.#opset >= 13 ? this.op("Unsqueeze", [x, this.ints(axes)]) : this.op("Unsqueeze", [x], { axes });
  }

  /** Elements start…end−1 along an axis. */
  slice(x: string, axis: number, start: number, end: number): string {
    return this.op("Slice", [x, this.ints([start]), this.ints([end]), this.ints([axis])]);
  }

  /** Length of an axis, as a list of one number. */
  length(x: string, axis: number): string {
    return this.slice(this.op("Shape", [x]), 0, axis, axis + 1);
  }

  /** [batch, token, head·channel] → [batch, head, token, channel] */
  split(x: string, heads: number, output: string): string {
    return this.op("Transpose", [this.reshape(x, [0, 0, heads, -1])], { perm: [0, 2, 1, 3] }, output);
  }
}

interface Projected {
  readonly q: string;
  readonly k: string;
  readonly v: string;
  /** Numbers per head of q and k. */
  readonly width: Dim;
  /** Whether the result keeps heads apart. */
  readonly isSplit: boolean;
}

function writeOut(out: Written): void {
  const { node, isOnnx } = out;
  refuse(out);
  const { q, k, v, width, isSplit } =
    node.opType === "MultiHeadAttention" ? multiHead(out) : isOnnx ? standard(out) : packed(out);
  const scale = floatAttribute(node, "scale", 0) || (typeof width === "number" ? 1 / Math.sqrt(width) : undefined);
  if (scale === undefined) throw out.unsupported("the width of its heads is not known", "give inputShapes");
  const products = out.op("MatMul", [q, out.op("Transpose", [k], { perm: [0, 1, 3, 2] })]);
  const addends = [...biases(out), ...masks(out, q, k)];
  const last = addends.pop();
  let scores = out.op("Mul", [products, out.scalar(scale)], {}, last === undefined ? out.named("scores") : undefined);
  for (const addend of addends) scores = out.op("Add", [scores, addend]);
  if (last !== undefined) scores = out.op("Add", [scores, last], {}, out.named("scores"));
  const probs = out.op("Softmax", [scores], { axis: 3 }, out.named("probs"));
  const [result] = node.outputs as [string];
  if (isSplit) {
    out.op("MatMul", [probs, v], {}, result);
    return;
  }
  const joined = out.op("Transpose", [out.op("MatMul", [probs, v])], { perm: [0, 2, 1, 3] });
  out.op("Reshape", [joined, out.ints([0, 0, -1])], {}, result);
}

/** @throws UnsupportedAttentionError for what would change the numbers and is not written out here */
function refuse(out: Written): void {
  const { node, isOnnx } = out;
  if (node.opType === "GroupQueryAttention")
    throw out.unsupported("it lives on a key–value cache", "export the model without one, with MultiHeadAttention");
  const pastInputs = node.opType === "MultiHeadAttention" ? [6, 7, 8, 9] : isOnnx ? [4, 5, 6] : [4, 6];
  if (pastInputs.some((i) => out.input(i) !== undefined))
    throw out.unsupported("it takes keys and values of earlier calls", "export the model without a key–value cache");
  if (intAttribute(node, "do_rotary", 0) !== 0)
    throw out.unsupported("it turns queries and keys by position (do_rotary)", "export the model with RotaryEmbedding nodes");
  if (floatAttribute(node, "softcap", 0) !== 0)
    throw out.unsupported("it caps scores (softcap)", "export the model without fusion");
}

/** com.microsoft.MultiHeadAttention: projected q, k, v, apart or packed, with an optional bias for all three. */
function multiHead(out: Written): Projected {
  const heads = intAttribute(out.node, "num_heads", 0);
  const shape = out.shape(0);
  const names = [out.named("q"), out.named("k"), out.named("v")] as const;
  const unpack = (x: string, first: number, count: number): string[] =>
    // [batch, token, head, part, channel] → [batch, head, token, channel] of each part
    Array.from({ length: count }, (_, i) => {
      const part = out.op("Gather", [x, out.constant(int64([i]).reshape([]))], { axis: 3 });
      return out.op("Transpose", [part], { perm: [0, 2, 1, 3] }, names[first + i]!);
    });
  const perHead = (width: Dim): Dim => (typeof width === "number" ? width / heads : undefined);
  if (shape.length === 5) {
    const [q, k, v] = unpack(out.input(0)!, 0, 3) as [string, string, string];
    return { q, k, v, width: shape[4], isSplit: false };
  }
  const width = perHead(shape[2]);
  const bias = out.input(3);
  const biased = (x: string, start: number, end: number): string =>
    bias === undefined ? x : out.op("Add", [x, out.slice(bias, 0, start, end)]);
  const hidden = typeof shape[2] === "number" ? shape[2] : undefined;
  if (bias !== undefined && hidden === undefined)
    throw out.unsupported("the width of its queries is not known", "give inputShapes");
  const q = out.split(biased(out.input(0)!, 0, hidden ?? 0), heads, names[0]);
  if (out.shape(1).length === 5) {
    const [k, v] = unpack(out.input(1)!, 1, 2) as [string, string];
    return { q, k, v, width, isSplit: false };
  }
  if (out.shape(1).length === 4) {
    // Keys and values of cross-attention may come split already.
    const k = out.op("Identity", [out.input(1)!], {}, names[1]);
    return { q, k, v: out.op("Identity", [out.input(2)!], {}, names[2]), width, isSplit: false };
  }
  const k = out.split(biased(out.input(1)!, hidden ?? 0, 2 * (hidden ?? 0)), heads, names[1]);
  const v = out.split(biased(out.input(2)!, 2 * (hidden ?? 0), Number.MAX_SAFE_INTEGER), heads, names[2]);
  return { q, k, v, width, isSplit: false };
}

/** com.microsoft.Attention: one input, projected by one matrix to q, k and v side by side. */
function packed(out: Written): Projected {
  const heads = intAttribute(out.node, "num_heads", 0);
  const total = out.shape(1)[1];
  const widths =
    intsAttribute(out.node, "qkv_hidden_sizes") ?? (typeof total === "number" ? new Array(3).fill(total / 3) : undefined);
  if (widths === undefined) throw out.unsupported("the width of its weights is not known", "give them a shape");
  const product = out.op("MatMul", [out.input(0)!, out.input(1)!]);
  const bias = out.input(2);
  const all = bias === undefined ? product : out.op("Add", [product, bias]);
  const [toK, toV, end] = [widths[0]!, widths[0]! + widths[1]!, widths[0]! + widths[1]! + widths[2]!];
  return {
    q: out.split(out.slice(all, 2, 0, toK), heads, out.named("q")),
    k: out.split(out.slice(all, 2, toK, toV), heads, out.named("k")),
    v: out.split(out.slice(all, 2, toV, end), heads, out.named("v")),
    width: widths[0]! / heads,
    isSplit: false,
  };
}

/** ONNX's Attention: [batch, head, token, channel] or [batch, token, head·channel]; heads of k and v may serve several of q. */
function standard(out: Written): Projected {
  const shape = out.shape(0);
  const isSplit = shape.length === 4;
  const heads = isSplit ? shape[1] : intAttribute(out.node, "q_num_heads", 0);
  const keyHeads = isSplit ? out.shape(1)[1] : intAttribute(out.node, "kv_num_heads", 0);
  if (typeof heads !== "number" || typeof keyHeads !== "number")
    throw out.unsupported("its number of heads is not known", "give inputShapes");
  const [q, k, v] = (["q", "k", "v"] as const).map((part, i) => {
    const x = out.input(i)!;
    if (isSplit) return out.op("Identity", [x], {}, out.named(part));
    return out.split(x, part === "q" ? heads : keyHeads, out.named(part));
  }) as [string, string, string];
  const serving = (x: string): string => {
    if (heads === keyHeads) return x;
    const served = Array.from({ length: heads }, (_, h) => Math.floor((h * keyHeads) / heads));
    return out.op("Gather", [x, out.ints(served)], { axis: 1 });
  };
  const total = shape.at(-1);
  const width = isSplit ? total : typeof total === "number" ? total / heads : undefined;
  return { q, k: serving(k), v: serving(v), width, isSplit };
}

/** What is added to the scores as it is. */
function biases(out: Written): string[] {
  const bias = out.input(out.isOnnx ? 3 : 5);
  return bias === undefined || out.isBool(bias) ? [] : [bias];
}

/** Masks as numbers to add: 0 where a key may be seen. */
function masks(out: Written, q: string, k: string): string[] {
  const { node, isOnnx, dtype } = out;
  const lowest = dtype === "float16" ? -65504 : -3.4028234663852886e38;
  const filter = isOnnx ? Number.NEGATIVE_INFINITY : floatAttribute(node, "mask_filter_value", -10000);
  const added = (seen: string, hidden: number): string => out.op("Where", [seen, out.scalar(0), out.scalar(hidden)]);
  const places = (x: string): string => {
    const zero = out.constant(int64([0]).reshape([]));
    return out.op("Range", [zero, out.reshape(out.length(x, 2), []), out.constant(int64([1]).reshape([]))]);
  };
  const found: string[] = [];
  const mask = isOnnx ? out.input(3) : out.input(node.opType === "MultiHeadAttention" ? 4 : 3);
  if (isOnnx) {
    if (mask !== undefined && out.isBool(mask)) found.push(added(mask, filter));
  } else if (mask !== undefined) {
    found.push(added(keysSeen(out, mask, places(k)), filter));
  }
  if (intAttribute(node, isOnnx ? "is_causal" : "unidirectional", 0) === 1) {
    const later = out.op("Greater", [places(k), out.unsqueeze(places(q), [1])]);
    found.push(added(out.op("Not", [later]), isOnnx ? filter : lowest));
  }
  return found;
}

/** A padding mask as a Boolean that broadcasts to [batch, head, query, key]. */
function keysSeen(out: Written, mask: string, places: string): string {
  const shape = out.shape(out.node.inputs.indexOf(mask));
  const rows = out.shape(0)[0];
  if (shape.length === 1) {
    // Of n rows: n lengths, or 2n or 3n + 2 numbers with where keys start. Only lengths can be told by their count.
    if (shape[0] !== rows || rows === undefined)
      throw out.unsupported(
        `its mask [${shape.join()}] is not one length for each of ${rows ?? "?"} rows`,
        "give inputShapes, or a mask [batch, key]",
      );
    const lengths = out.op("Cast", [out.reshape(mask, [-1, 1, 1, 1])], { to: dataTypeCodes.int64 });
    return out.op("Less", [places, lengths]);
  }
  const axes = shape.length === 2 ? [1, 2] : shape.length === 3 ? [1] : undefined;
  if (axes === undefined)
    throw out.unsupported(`its mask has ${shape.length} axes`, "use one of [batch, key] or [batch, query, key]");
  return out.op("Cast", [out.unsqueeze(mask, axes)], { to: dataTypeCodes.bool });
}
