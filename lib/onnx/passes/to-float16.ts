import { arrayFromBytes, float32ToFloat16, sizeOf, Tensor } from "../../tensor/index.js";
import { dataTypeCodes } from "../codec/data-type.js";
import { type Graph, type Initializer, initializerOf, type Node, toAttributes } from "../graph.js";
import { freshNames, mapSubgraphs } from "./scope.js";

/** Options of `toFloat16`. */
export interface ToFloat16Options {
  /** Weights of fewer elements stay float32; 256 by default (norms and biases gain little and lose precision). */
  readonly minElements?: number;
}

/**
 * Stores float32 weights as float16, each followed by a `Cast` back: half the file and download, computation in float32 as
 * before. Every weight is rounded to 11 significant bits (relative error ≤ 2⁻¹¹; absolute ≤ 2⁻²⁵ below 2⁻¹⁴).
 * Weights with elements beyond ±65504 stay float32, as do those in other files (`saveModel` can bring them in) and
 * defaults of graph inputs.
 */
export function toFloat16(graph: Graph, options: ToFloat16Options = {}): Graph {
  return halve(graph, options.minElements ?? 256, freshNames(graph));
}

function halve(graph: Graph, minElements: number, fresh: (hint: string) => string): Graph {
  const inputs = new Set(graph.inputs.map((i) => i.name));
  const casts: Node[] = [];
  const initializers = graph.initializers.map((weight) => {
    const half = inputs.has(weight.name) || sizeOf(weight.shape) < minElements ? undefined : halfOf(weight);
    if (half === undefined) return weight;
    const name = fresh(`${weight.name}_float16`);
    casts.push(castToFloat32(name, weight.name, fresh));
    return initializerOf(name, half);
  });
  const nodes = graph.nodes.map((node) => mapSubgraphs(node, (body) => halve(body, minElements, fresh)));
  return { ...graph, nodes: [...casts, ...nodes], initializers };
}

/** The weight rounded; undefined where it is no float32 in memory or would overflow. */
function halfOf({ dtype, shape, data }: Initializer): Tensor<"float16"> | undefined {
  if (dtype !== "float32" || data.kind !== "bytes") return undefined;
  const values = arrayFromBytes("float32", data.bytes);
  // 65520 is the first number that rounds to infinity.
  if (values.some((x) => Math.abs(x) >= 65520 && Number.isFinite(x))) return undefined;
  return new Tensor("float16", float32ToFloat16(values), shape);
}

/** The node that gives a stored weight back in float32. */
export function castToFloat32(stored: string, output: string, fresh: (hint: string) => string): Node {
  return {
    opType: "Cast",
    domain: "",
    name: fresh(`${output}_to_float32`),
    inputs: [stored],
    outputs: [output],
    attributes: toAttributes({ to: dataTypeCodes.float32 }),
  };
}
