import type { Graph, Node, Pass } from "../graph.js";
import { definedNames, mapSubgraphs, usedNames } from "./scope.js";

/** The node reading `names.get(x)` wherever it read `x`, also inside its subgraphs; its outputs keep their names. */
export function renameReads(node: Node, names: ReadonlyMap<string, string>): Node {
  const rewired = mapSubgraphs(node, (body) => renameCaptures(body, names));
  return node.inputs.some((name) => names.has(name))
    ? { ...rewired, inputs: node.inputs.map((name) => names.get(name) ?? name) }
    : rewired;
}

function renameCaptures(body: Graph, names: ReadonlyMap<string, string>): Graph {
  const defined = definedNames(body);
  const outer = new Map([...names].filter(([from]) => !defined.has(from)));
  if (outer.size === 0) return body;
  return {
    ...body,
    nodes: body.nodes.map((node) => renameReads(node, outer)),
    outputs: body.outputs.map((o) => ({ ...o, name: outer.get(o.name) ?? o.name })),
  };
}

/**
 * Gives values of the graph new names, where they are defined and wherever they are read.
 * @throws RangeError if a name does not exist or the new one is taken
 */
export function rename(names: Readonly<Record<string, string>> | ReadonlyMap<string, string>): Pass {
  const map: ReadonlyMap<string, string> = names instanceof Map ? names : new Map(Object.entries(names));
  return (graph) => {
    const defined = definedNames(graph);
    const taken = usedNames(graph);
    const targets = new Set<string>();
    for (const [from, to] of map) {
      if (!defined.has(from)) throw new RangeError(`rename: no value "${from}" in graph "${graph.name}"`);
      if (to === "" || targets.has(to) || (taken.has(to) && !map.has(to)))
        throw new RangeError(`rename: cannot call "${from}" "${to}", the name is taken; choose another`);
      targets.add(to);
    }
    const renamed = <T extends { readonly name: string }>(v: T): T => ({ ...v, name: map.get(v.name) ?? v.name });
    return {
      ...graph,
      nodes: graph.nodes.map((node) => ({
        ...renameReads(node, map),
        outputs: node.outputs.map((name) => map.get(name) ?? name),
      })),
      initializers: graph.initializers.map(renamed),
      inputs: graph.inputs.map(renamed),
      outputs: graph.outputs.map(renamed),
      valueInfo: graph.valueInfo.map(renamed),
    };
  };
}
