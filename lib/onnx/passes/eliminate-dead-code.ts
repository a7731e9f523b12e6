import type { Graph, Node } from "../graph.js";
import { mapSubgraphs, readsOf } from "./scope.js";

/**
 * Drops nodes, weights and recorded shapes that no graph output depends on, in subgraphs as well.
 * Graph inputs and outputs are an interface and stay.
 */
export function eliminateDeadCode(graph: Graph): Graph {
  const live = new Set(graph.outputs.map((o) => o.name));
  const kept: Node[] = [];
  for (let i = graph.nodes.length - 1; i >= 0; i--) {
    const original = graph.nodes[i] as Node;
    if (!original.outputs.some((name) => live.has(name))) continue;
    const node = mapSubgraphs(original, eliminateDeadCode);
    kept.push(node);
    for (const name of readsOf(node)) live.add(name);
  }
  for (const v of graph.inputs) live.add(v.name);
  for (const node of kept) for (const name of node.outputs) live.add(name);
  return {
    ...graph,
    nodes: kept.reverse(),
    initializers: graph.initializers.filter((w) => live.has(w.name)),
    valueInfo: graph.valueInfo.filter((v) => live.has(v.name)),
  };
}
