import { type Graph, type Model, type Node, opsetOf, type Shape } from "../graph.js";
import { type Inferred, inferGraph } from "../infer/index.js";
import { mapSubgraphs } from "./scope.js";

/**
 * Writes products of matrices whose inner length depends on data as `Gemm`. `MatMul` with an inner length of 0 ends the process
 * on WebGPU (ONNX Runtime 1.30); Gemm gives the zeros it should.
 */
export function productsOfEmptyAsGemm(model: Model): Model {
  const known = inferGraph(model.graph, { opset: opsetOf(model), bodies: true });
  const graph = rewrite(model.graph, known);
  return graph === model.graph ? model : { ...model, graph };
}

function rewrite(graph: Graph, known: ReadonlyMap<string, Inferred>): Graph {
  let changed = false;
  const nodes = graph.nodes.map((node): Node => {
    const next = mayBeEmpty(node, known) ? { ...node, opType: "Gemm" } : mapSubgraphs(node, (body) => rewrite(body, known));
    changed ||= next !== node;
    return next;
  });
  return changed ? { ...graph, nodes } : graph;
}

function mayBeEmpty({ opType, domain, inputs }: Node, known: ReadonlyMap<string, Inferred>): boolean {
  if (opType !== "MatMul" || domain !== "") return false;
  const [a, b] = inputs.map((name) => known.get(name)?.shape) as [Shape | undefined, Shape | undefined];
  return a?.length === 2 && b?.length === 2 && typeof (a[1] ?? b[0]) !== "number";
}
