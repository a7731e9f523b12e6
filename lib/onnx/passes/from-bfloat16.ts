import { arrayFromBytes, bfloat16ToFloat32, float32 } from "../../tensor/index.js";
import { dataTypeCodes } from "../codec/data-type.js";
import { type Attribute, type Graph, type Initializer, initializerOf, type Node, type ValueInfo } from "../graph.js";
import { freshNames, subgraphsOf } from "./scope.js";
import { castToFloat32 } from "./to-float16.js";

/** Whether a graph, or one inside it, has values in bfloat16. */
export function usesBfloat16(graph: Graph): boolean {
  return (
    [...graph.initializers, ...graph.inputs, ...graph.outputs, ...graph.valueInfo].some((v) => v.dtype === "bfloat16") ||
    graph.nodes.some(
      (node) =>
        Object.entries(node.attributes).some(([name, a]) => isBfloat16(name, a)) ||
        subgraphsOf(node).some((body) => usesBfloat16(body)),
    )
  );
}

/**
 * The same computation in float32 of a graph in bfloat16, for which runtimes on processors have few kernels. Weights stay
 * stored as they are, each followed by a `Cast`, so that they are neither read nor held twice here. Inputs and outputs
 * become float32. Results differ from bfloat16's by its rounding, which no longer happens between operators.
 */
export function fromBfloat16(graph: Graph): Graph {
  return widen(graph, freshNames(graph));
}

function widen(graph: Graph, fresh: (hint: string) => string): Graph {
  const inputs = new Set(graph.inputs.map((i) => i.name));
  const casts: Node[] = [];
  const initializers = graph.initializers.map((weight) => {
    if (weight.dtype !== "bfloat16") return weight;
    // A default of an input has the input's dtype.
    if (inputs.has(weight.name)) return inFloat32(weight);
    const name = fresh(`${weight.name}_bfloat16`);
    casts.push(castToFloat32(name, weight.name, fresh));
    return { ...weight, name };
  });
  const info = (value: ValueInfo): ValueInfo => (value.dtype === "bfloat16" ? { ...value, dtype: "float32" } : value);
  return {
    ...graph,
    nodes: [...casts, ...graph.nodes.map((node) => widenNode(node, fresh))],
    initializers,
    inputs: graph.inputs.map(info),
    outputs: graph.outputs.map(info),
    valueInfo: graph.valueInfo.map(info),
  };
}

function widenNode(node: Node, fresh: (hint: string) => string): Node {
  const entries = Object.entries(node.attributes);
  const changed = entries.map(([name, a]): [string, Attribute] => {
    if (a.type === "graph") return [name, { type: "graph", value: widen(a.value, fresh) }];
    if (a.type === "graphs") return [name, { type: "graphs", value: a.value.map((body) => widen(body, fresh)) }];
    if (!isBfloat16(name, a)) return [name, a];
    return [
      name,
      a.type === "tensor" ? { type: "tensor", value: inFloat32(a.value) } : { type: "int", value: dataTypeCodes.float32 },
    ];
  });
  return changed.some(([, a], i) => a !== entries[i]![1]) ? { ...node, attributes: Object.fromEntries(changed) } : node;
}

/** A constant in bfloat16, or an attribute that asks for such values. */
function isBfloat16(name: string, a: Attribute): boolean {
  if (a.type === "tensor") return a.value.dtype === "bfloat16";
  return a.type === "int" && (name === "to" || name === "dtype") && a.value === dataTypeCodes.bfloat16;
}

/** @throws TypeError if the numbers are in another file */
function inFloat32({ name, shape, data }: Initializer): Initializer {
  if (data.kind !== "bytes")
    throw new TypeError(`fromBfloat16: constant "${name}" is in another file; keep constants in the model`);
  return initializerOf(name, float32(bfloat16ToFloat32(arrayFromBytes("bfloat16", data.bytes)), shape));
}
