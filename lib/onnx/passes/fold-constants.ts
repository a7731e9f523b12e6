import {
  allocate,
  bytesPerElement,
  type DType,
  float32ToBfloat16,
  float32ToFloat16,
  sizeOf,
  Tensor,
} from "../../tensor/index.js";
import { type Graph, type Initializer, initializerOf, type Node } from "../graph.js";
import { type Inferred, inferGraph } from "../infer/index.js";
import { eliminateDeadCode } from "./eliminate-dead-code.js";
import { mapSubgraphs } from "./scope.js";

/** Options of `foldConstants`. */
export interface FoldOptions {
  /** Version of the default operator set, see `opsetOf`. */
  readonly opset: number;
}

/**
 * Turns `Constant` nodes into initializers and replaces what inference can compute without running (shape arithmetic over
 * fixed axes, small index tensors) by its result; what nothing reads any more is dropped. Only declared input shapes are
 * believed, since recorded inner shapes may be those of the example that was traced. Bodies of control flow have their
 * `Constant` nodes lifted. Graph outputs stay computed by nodes.
 * @throws ShapeError where operands cannot go together
 */
export function foldConstants(graph: Graph, options: FoldOptions): Graph {
  const lifted = liftConstants(graph);
  const known = inferGraph(withoutClaims(lifted), { opset: options.opset });
  const outputs = new Set(graph.outputs.map((o) => o.name));
  const nodes: Node[] = [];
  const initializers = [...lifted.initializers];
  for (const node of lifted.nodes) {
    const folded = node.outputs.some((name) => outputs.has(name)) ? undefined : resultsOf(node, known);
    if (folded) initializers.push(...folded);
    else nodes.push(node);
  }
  return eliminateDeadCode({ ...lifted, nodes, initializers });
}

/** The graph without recorded shapes, and without the defaults of inputs that a caller may override. */
function withoutClaims(graph: Graph): Graph {
  const inputs = new Set(graph.inputs.map((i) => i.name));
  return {
    ...graph,
    initializers: graph.initializers.filter((i) => !inputs.has(i.name)),
    outputs: graph.outputs.map(({ name }) => ({ name })),
    valueInfo: [],
  };
}

/** A node's results as initializers, if all are known. */
function resultsOf(node: Node, known: ReadonlyMap<string, Inferred>): Initializer[] | undefined {
  const results: Initializer[] = [];
  for (const name of node.outputs) {
    if (name === "") continue;
    const tensor = tensorOf(known.get(name));
    if (tensor === undefined) return undefined;
    results.push(initializerOf(name, tensor));
  }
  return results;
}

function tensorOf(result: Inferred | undefined): Tensor | undefined {
  const { dtype, shape, value } = result ?? {};
  if (dtype === undefined || value === undefined || !shape?.every((d) => typeof d === "number")) return undefined;
  if (value.length !== sizeOf(shape as number[])) return undefined;
  // Inference rounds whole numbers beyond 2⁵³.
  if (isLongInteger(dtype) && !value.every(Number.isSafeInteger)) return undefined;
  return new Tensor(dtype, elementsOf(dtype, value), shape as number[]);
}

function isLongInteger(dtype: DType): boolean {
  return dtype.includes("int") && bytesPerElement(dtype) === 8;
}

function elementsOf(dtype: DType, values: readonly number[]): Tensor["data"] {
  if (dtype === "float16") return float32ToFloat16(Float32Array.from(values));
  if (dtype === "bfloat16") return float32ToBfloat16(Float32Array.from(values));
  const data = allocate(dtype, values.length);
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) data.set(values.map(BigInt));
  else data.set(values);
  return data;
}

/** The graph and its subgraphs with `Constant` nodes as initializers, but for those that are outputs. */
function liftConstants(graph: Graph): Graph {
  const outputs = new Set(graph.outputs.map((o) => o.name));
  const nodes: Node[] = [];
  const initializers = [...graph.initializers];
  for (const node of graph.nodes) {
    const constant = outputs.has(node.outputs[0] ?? "") ? undefined : constantOf(node);
    if (constant) initializers.push(constant);
    else nodes.push(mapSubgraphs(node, liftConstants));
  }
  return { ...graph, nodes, initializers };
}

/** What a `Constant` node holds; undefined for other nodes, and for strings and sparse tensors. */
function constantOf(node: Node): Initializer | undefined {
  const name = node.outputs[0];
  if (node.opType !== "Constant" || node.domain !== "" || !name) return undefined;
  const { value, value_int, value_float, value_ints, value_floats } = node.attributes;
  if (value?.type === "tensor") return { ...value.value, name };
  const stored = (dtype: DType, values: readonly number[], shape: readonly number[]): Initializer =>
    initializerOf(name, new Tensor(dtype, elementsOf(dtype, values), shape));
  if (value_int?.type === "int") return stored("int64", [value_int.value], []);
  if (value_float?.type === "float") return stored("float32", [value_float.value], []);
  if (value_ints?.type === "ints") return stored("int64", value_ints.value, [value_ints.value.length]);
  if (value_floats?.type === "floats") return stored("float32", value_floats.value, [value_floats.value.length]);
  return undefined;
}
