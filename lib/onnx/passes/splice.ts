import type { Graph, Initializer, Node, Pass, ValueInfo } from "../graph.js";
import { infoOf } from "./expose.js";
import { renameReads } from "./rename.js";
import { definedNames, freshNames } from "./scope.js";

/** Nodes that compute `output` from the spliced value, with the graph inputs and constants they need. */
export interface SplicedNodes {
  readonly nodes: readonly Node[];
  /** The edited value: same dtype and shape as the value it replaces. */
  readonly output: string;
  /** New graph inputs; required ones, so that a forgotten feed is an error and never a silent default. */
  readonly inputs?: readonly ValueInfo[];
  readonly initializers?: readonly Initializer[];
}

/**
 * Writes the edit of one value.
 * @param value name under which the unedited value is read
 * @param fresh makes names that clash with nothing in the graph
 * @param info what the graph records about the value's dtype and shape
 */
export type BuildEdit = (value: string, fresh: (hint: string) => string, info: ValueInfo) => SplicedNodes;

/**
 * Puts an edit behind a value's producer: every consumer, captures in subgraphs included, and the graph output
 * of that name see the edited value. Splicing twice applies the second edit to the result of the first.
 *
 * The producer is renamed rather than the consumers, so outputs keep their names; a graph input keeps its own
 * name too (it is what callers feed), there the consumers are rewired.
 * @throws RangeError if the graph defines no such value, or if it is an input that is also an output
 */
export function splice(valueName: string, build: BuildEdit): Pass {
  return (graph) => {
    if (!definedNames(graph).has(valueName)) {
      throw new RangeError(
        `splice: no value "${valueName}" at the top level of graph "${graph.name}"; values inside Loop, Scan or If bodies cannot be edited`,
      );
    }
    return graph.inputs.some((v) => v.name === valueName)
      ? spliceBehindInput(graph, valueName, build)
      : spliceBehindProducer(graph, valueName, build);
  };
}

function spliceBehindInput(graph: Graph, name: string, build: BuildEdit): Graph {
  if (graph.outputs.some((o) => o.name === name)) {
    throw new RangeError(`splice: "${name}" is an input and an output of "${graph.name}"; put an Identity between them first`);
  }
  const fresh = freshNames(graph);
  const edited = fresh(`${name}:edited`);
  const edit = named(build(name, fresh, infoOf(graph, name)), edited, fresh);
  const reads = new Map([[name, edited]]);
  return extended(graph, edit, [...edit.nodes, ...graph.nodes.map((node) => renameReads(node, reads))]);
}

function spliceBehindProducer(graph: Graph, name: string, build: BuildEdit): Graph {
  const fresh = freshNames(graph);
  const original = fresh(`${name}:unedited`);
  const info = infoOf(graph, name);
  const edit = named(build(original, fresh, info), name, fresh);
  const producer = graph.nodes.findIndex((node) => node.outputs.includes(name));
  const nodes = graph.nodes.map((node, i) =>
    i === producer ? { ...node, outputs: node.outputs.map((o) => (o === name ? original : o)) } : node,
  );
  nodes.splice(producer + 1, 0, ...edit.nodes);
  const next = extended(graph, edit, nodes);
  return {
    ...next,
    initializers: next.initializers.map((i) => (i.name === name ? { ...i, name: original } : i)),
    valueInfo: [...next.valueInfo, { ...info, name: original }],
  };
}

function extended(graph: Graph, edit: SplicedNodes, nodes: readonly Node[]): Graph {
  return {
    ...graph,
    nodes,
    inputs: [...graph.inputs, ...(edit.inputs ?? [])],
    initializers: [...graph.initializers, ...(edit.initializers ?? [])],
  };
}

/** The edit with its result called `name`: renamed where a node computes it, copied where it is an input or constant. */
function named(edit: SplicedNodes, name: string, fresh: (hint: string) => string): SplicedNodes {
  if (!edit.nodes.some((node) => node.outputs.includes(edit.output))) {
    const copy: Node = {
      opType: "Identity",
      domain: "",
      name: fresh(`${name}/Identity`),
      inputs: [edit.output],
      outputs: [name],
      attributes: {},
    };
    return { ...edit, nodes: [...edit.nodes, copy], output: name };
  }
  const names = new Map([[edit.output, name]]);
  const nodes = edit.nodes.map((node) => ({
    ...renameReads(node, names),
    outputs: node.outputs.map((o) => names.get(o) ?? o),
  }));
  return { ...edit, nodes, output: name };
}
