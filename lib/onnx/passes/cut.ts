import type { Graph, Node } from "../graph.js";
import { infoOf } from "./expose.js";
import { definedNames, readsOf } from "./scope.js";

/** Where a graph is cut: values that become its inputs, and values that become its outputs. */
export interface CutPoints {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

/**
 * The part of a graph that computes `outputs` from `inputs`; weights it uses come along, everything else is left.
 * @throws RangeError if a name does not exist, or an output depends on a graph input that `inputs` does not cut off
 */
export function cut(graph: Graph, { inputs, outputs }: CutPoints): Graph {
  const defined = definedNames(graph);
  for (const name of [...inputs, ...outputs]) {
    if (!defined.has(name)) throw new RangeError(`cut: no value "${name}" at the top level of graph "${graph.name}"`);
  }
  const given = new Set(inputs);
  const needed = new Set(outputs);
  const kept: Node[] = [];
  for (let i = graph.nodes.length - 1; i >= 0; i--) {
    const node = graph.nodes[i] as Node;
    if (!node.outputs.some((name) => needed.has(name) && !given.has(name))) continue;
    kept.push(node);
    for (const name of readsOf(node)) needed.add(name);
  }
  const weights = new Set(graph.initializers.map((w) => w.name));
  for (const v of graph.inputs) {
    if (needed.has(v.name) && !given.has(v.name) && !weights.has(v.name)) {
      throw new RangeError(`cut: [${outputs.join(", ")}] depend on the graph input "${v.name}"; add it to inputs`);
    }
  }
  return {
    name: graph.name,
    nodes: kept.reverse().map((node) => unclash(node, given)),
    initializers: graph.initializers.filter((w) => needed.has(w.name) && !given.has(w.name)),
    inputs: inputs.map((name) => infoOf(graph, name)),
    outputs: outputs.map((name) => infoOf(graph, name)),
    valueInfo: graph.valueInfo.filter((v) => needed.has(v.name) && !given.has(v.name)),
  };
}

/** A kept node may also produce a value that is now an input; that output is dropped so the name is defined once. */
function unclash(node: Node, given: ReadonlySet<string>): Node {
  if (!node.outputs.some((name) => given.has(name))) return node;
  return { ...node, outputs: node.outputs.map((name) => (given.has(name) ? `${name}:cut` : name)) };
}
