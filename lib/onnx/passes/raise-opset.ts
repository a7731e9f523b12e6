import { int64 } from "../../tensor/index.js";
import { type Attributes, type Graph, type Initializer, initializerOf, type Model, type Node, opsetOf } from "../graph.js";
import { freshNames, mapSubgraphs } from "./scope.js";

/** Reductions whose `axes` became an input in operator set 18; ReduceSum's did in 13. */
const reductions: ReadonlySet<string> = new Set([
  "ReduceL1",
  "ReduceL2",
  "ReduceLogSum",
  "ReduceLogSumExp",
  "ReduceMax",
  "ReduceMean",
  "ReduceMin",
  "ReduceProd",
  "ReduceSumSquare",
]);

/**
 * Rewrites a model of operator set 13…17 in that of set 18, with the same meaning; newer models are returned as they are.
 * Between these sets only three things change for a graph as written: RoiAlign's sampling points are shifted by half a
 * pixel unless it says otherwise (16), axes of reductions become inputs (18), Split into equal parts says into how
 * many (18). Everything else is added, not changed.
 * @throws RangeError for a model older than operator set 13
 * @see https://github.com/onnx/onnx/blob/main/docs/Changelog.md
 */
export function raiseOpset(model: Model): Model {
  const from = opsetOf(model);
  if (from >= 18) return model;
  if (from < 13)
    throw new RangeError(`raiseOpset: expected operator set 13 or newer, got ${from}; export the model again with opset 14–17`);
  const axes = new Map<string, Initializer>();
  const fresh = freshNames(model.graph);
  /** One initializer per list of axes, in the outermost graph: subgraphs see it too. */
  const axesInput = (values: readonly number[]): string => {
    const key = values.join();
    if (!axes.has(key)) axes.set(key, initializerOf(fresh(`axes_${key.replaceAll(",", "_")}`), int64(values)));
    return axes.get(key)!.name;
  };
  const graph = raise(model.graph, (node) => raiseNode(node, from, axesInput));
  return {
    ...model,
    // Version 8 of the format is the one that knows operator set 18.
    irVersion: Math.max(model.irVersion, 8),
    opsets: model.opsets.map((o) => (isDefault(o.domain) ? { ...o, version: 18 } : o)),
    graph: { ...graph, initializers: [...graph.initializers, ...axes.values()] },
  };
}

const isDefault = (domain: string): boolean => domain === "" || domain === "ai.onnx";

function raise(graph: Graph, change: (node: Node) => Node): Graph {
  return { ...graph, nodes: graph.nodes.map((node) => change(mapSubgraphs(node, (body) => raise(body, change)))) };
}

function raiseNode(node: Node, from: number, axesInput: (axes: readonly number[]) => string): Node {
  if (!isDefault(node.domain)) return node;
  const { axes, ...others } = node.attributes;
  const withAttributes = (added: Attributes): Node => ({ ...node, attributes: { ...node.attributes, ...added } });
  if (reductions.has(node.opType) && axes?.type === "ints")
    return { ...node, inputs: [node.inputs[0]!, axesInput(axes.value)], attributes: others };
  if (node.opType === "Split" && (node.inputs[1] ?? "") === "")
    return withAttributes({ num_outputs: { type: "int", value: node.outputs.length } });
  if (node.opType === "RoiAlign" && from < 16)
    return withAttributes({ coordinate_transformation_mode: { type: "string", value: "output_half_pixel" } });
  return node;
}
