import type { Graph, Pass, ValueInfo } from "../graph.js";
import { definedNames } from "./scope.js";

/** What the graph records about a value; only its name when it records nothing. */
export function infoOf(graph: Graph, name: string): ValueInfo {
  const named = (v: ValueInfo): boolean => v.name === name;
  const declared = graph.valueInfo.find(named) ?? graph.inputs.find(named) ?? graph.outputs.find(named);
  if (declared !== undefined) return declared;
  const weight = graph.initializers.find((i) => i.name === name);
  return weight === undefined ? { name } : { name, dtype: weight.dtype, shape: weight.shape };
}

/**
 * Adds inner values as graph outputs, behind the ones that are there; those already exposed stay as they are.
 * @throws RangeError if the graph defines no such value at its top level
 */
export function expose(names: Iterable<string>): Pass {
  const wanted = new Set(names);
  return (graph) => {
    const defined = definedNames(graph);
    const present = new Set(graph.outputs.map((o) => o.name));
    const added: ValueInfo[] = [];
    for (const name of wanted) {
      if (present.has(name)) continue;
      if (!defined.has(name)) {
        throw new RangeError(
          `expose: no value "${name}" at the top level of graph "${graph.name}"; values inside Loop, Scan or If bodies cannot be exposed`,
        );
      }
      added.push(infoOf(graph, name));
    }
    return added.length === 0 ? graph : { ...graph, outputs: [...graph.outputs, ...added] };
  };
}
