import type { Attribute, Graph, Node } from "../graph.js";

/** Every graph held in a node's attributes (bodies of Loop, Scan, If). */
export function subgraphsOf(node: Node): Graph[] {
  return Object.values(node.attributes).flatMap((a) => (a.type === "graph" ? [a.value] : a.type === "graphs" ? a.value : []));
}

/** The node with each subgraph replaced; the same node object where none changes. */
export function mapSubgraphs(node: Node, change: (body: Graph) => Graph): Node {
  let changed = false;
  const attributes: Record<string, Attribute> = {};
  for (const [name, a] of Object.entries(node.attributes)) {
    attributes[name] = a;
    if (a.type === "graph") attributes[name] = { type: "graph", value: change(a.value) };
    else if (a.type === "graphs") attributes[name] = { type: "graphs", value: a.value.map(change) };
    else continue;
    changed = true;
  }
  return changed ? { ...node, attributes } : node;
}

/** Names the graph itself defines: inputs, initializers and node outputs, not those of its subgraphs. */
export function definedNames(graph: Graph): Set<string> {
  const names = new Set<string>();
  for (const v of graph.inputs) names.add(v.name);
  for (const i of graph.initializers) names.add(i.name);
  for (const n of graph.nodes) for (const o of n.outputs) if (o !== "") names.add(o);
  return names;
}

/** Every name a node reads: its inputs and what its subgraphs capture from around them. */
export function readsOf(node: Node): Set<string> {
  const names = new Set(node.inputs.filter((name) => name !== ""));
  for (const body of subgraphsOf(node)) for (const name of capturesOf(body)) names.add(name);
  return names;
}

/** Names a subgraph reads without defining them. */
export function capturesOf(body: Graph): Set<string> {
  const defined = definedNames(body);
  const free = new Set<string>();
  for (const n of body.nodes) for (const name of readsOf(n)) if (!defined.has(name)) free.add(name);
  for (const o of body.outputs) if (!defined.has(o.name)) free.add(o.name);
  return free;
}

/** Every name used anywhere in the graph, subgraphs included. */
export function usedNames(graph: Graph): Set<string> {
  const names = definedNames(graph);
  for (const o of graph.outputs) names.add(o.name);
  for (const n of graph.nodes) {
    for (const i of n.inputs) names.add(i);
    for (const body of subgraphsOf(n)) for (const name of usedNames(body)) names.add(name);
  }
  return names;
}

function nodeNames(graph: Graph): string[] {
  return graph.nodes.flatMap((node) => [node.name, ...subgraphsOf(node).flatMap(nodeNames)]);
}

/** Names of values and of nodes that nothing added to the graph may have, subgraphs included. */
export function takenNames(graph: Graph): Set<string> {
  const taken = usedNames(graph);
  for (const name of nodeNames(graph)) taken.add(name);
  return taken;
}

/**
 * A generator of names, for values and for nodes, that clash with nothing in the graph nor with each other:
 * `hint`, `hint.1`, `hint.2`, … (ONNX Runtime refuses two nodes of one name.)
 */
export function freshNames(graph: Graph): (hint: string) => string {
  const taken = takenNames(graph);
  return (hint) => {
    let name = hint;
    for (let k = 1; taken.has(name); k++) name = `${hint}.${k}`;
    taken.add(name);
    return name;
  };
}
