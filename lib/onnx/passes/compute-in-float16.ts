import { arrayFromBytes, scalar } from "../../tensor/index.js";
import { dataTypeCodes } from "../codec/data-type.js";
import { type Graph, type Initializer, initializerOf, type Model, type Node, opsetOf, toAttributes } from "../graph.js";
import { inferGraph } from "../infer/index.js";
import { freshNames, readsOf, subgraphsOf } from "./scope.js";

/** Where nearly all time goes, and what GPUs have units for. */
const products: ReadonlySet<string> = new Set(["MatMul", "Gemm", "Conv", "ConvTranspose"]);

/** Operators that stay in half precision where all they read is in it already. */
const followers: ReadonlySet<string> = new Set([
  ...["Add", "Sub", "Mul", "Div", "Neg", "Abs", "Min", "Max", "Clip", "Where", "Sum"],
  ...["Relu", "LeakyRelu", "Sigmoid", "Tanh", "Erf", "Gelu", "HardSigmoid", "HardSwish"],
  ...["Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Expand", "Slice", "Split", "Concat", "Gather", "Tile", "Pad"],
  ...["Identity", "DepthToSpace", "SpaceToDepth", "MaxPool", "AveragePool", "GlobalAveragePool", "Resize"],
]);

const largestHalf = 65504;

/**
 * Computes matrix products and convolutions in float16, and what lies between them. Inputs and outputs keep their dtype.
 * In float32 stay softmax, norms, sums and means, powers, exponentials, sines (what adds up many numbers or spreads them over
 * many magnitudes), what is computed from inputs alone before the first product (timestep embeddings), bodies of
 * Loop, Scan and If, and every operator not known here. Weights are cast where they are read, which ONNX Runtime does once, when it opens the model.
 * A value beyond ±65504 becomes infinite, as in every float16 export; constants are kept below that.
 * @see Micikevicius et al. 2017, arXiv:1710.03740
 */
export function computeInFloat16(model: Model): Model {
  const { graph } = model;
  const dtypes = inferGraph(graph, { opset: opsetOf(model) });
  const isFloat = (name: string): boolean => dtypes.get(name)?.dtype === "float32";
  const fresh = freshNames(graph);
  const constants = constantsOf(graph);
  const weights = new Map(graph.initializers.map((initializer) => [initializer.name, initializer]));
  const nodes: Node[] = [];
  const added: Initializer[] = [];
  /** Names of values in half precision, by the name that the graph has for them. */
  const halves = new Map<string, string>();
  /** Values that exist in half precision alone so far. */
  const onlyHalf = new Set<string>();

  const cast = (from: string, to: string, dtype: "float16" | "float32"): void => {
    const attributes = toAttributes({ to: dataTypeCodes[dtype] });
    nodes.push({ opType: "Cast", domain: "", name: fresh(`${to}/cast`), inputs: [from], outputs: [to], attributes });
  };
  const half = (name: string): string => {
    if (name === "" || !isFloat(name)) return name;
    const known = halves.get(name);
    if (known !== undefined) return known;
    const made = fresh(`${name}/float16`);
    halves.set(name, made);
    cast(limited(name), made, "float16");
    return made;
  };
  const full = (name: string): void => {
    if (onlyHalf.delete(name)) cast(halves.get(name)!, name, "float32");
  };
  /** A constant whose values all are float16 numbers: masks are often the lowest float32 there is. */
  const limited = (name: string): string => {
    const data = weights.get(name)?.data;
    if (data?.kind !== "bytes" || !arrayFromBytes("float32", data.bytes).some((x) => Math.abs(x) > largestHalf)) return name;
    const bounds = [-largestHalf, largestHalf].map((bound) => initializerOf(fresh(`${name}/bound`), scalar(bound)));
    added.push(...bounds);
    const clipped = fresh(`${name}/clipped`);
    const inputs = [name, ...bounds.map((bound) => bound.name)];
    nodes.push({ opType: "Clip", domain: "", name: fresh(`${clipped}/clip`), inputs, outputs: [clipped], attributes: {} });
    return clipped;
  };
  const inHalf = ({ opType, domain, inputs, outputs, ...node }: Node): boolean => {
    if (domain !== "" || subgraphsOf({ opType, domain, inputs, outputs, ...node }).length > 0) return false;
    const read = inputs.filter((name) => name !== "" && isFloat(name) && !constants.has(name));
    if (!outputs.some(isFloat)) return false;
    if (products.has(opType)) return outputs.every(isFloat);
    return followers.has(opType) && read.length > 0 && read.every((name) => halves.has(name));
  };

  for (const node of graph.nodes) {
    if (!inHalf(node)) {
      for (const name of readsOf(node)) full(name);
      nodes.push(node);
      continue;
    }
    // Resize's scales and regions are float32 whatever it resizes.
    const inputs = node.inputs.map((name, i) => (node.opType === "Resize" && i > 0 ? name : half(name)));
    const outputs = node.outputs.map((name) => {
      if (name === "" || !isFloat(name)) return name;
      const made = fresh(`${name}/float16`);
      halves.set(name, made);
      onlyHalf.add(name);
      return made;
    });
    nodes.push({ ...node, inputs, outputs });
  }
  for (const { name } of graph.outputs) full(name);
  return { ...model, graph: { ...graph, nodes, initializers: [...graph.initializers, ...added] } };
}

/** Values that are the same in every run. */
function constantsOf(graph: Graph): ReadonlySet<string> {
  const constants = new Set(graph.initializers.map((i) => i.name));
  for (const { name } of graph.inputs) constants.delete(name);
  for (const node of graph.nodes) {
    const fixed = node.inputs.every((name) => name === "" || constants.has(name)) && subgraphsOf(node).length === 0;
    if (fixed && !/^(Random|Multinomial|Bernoulli)/.test(node.opType)) for (const name of node.outputs) constants.add(name);
  }
  return constants;
}
