import { definedNames, type Model, opsetOf, raiseOpset, renameReads } from "../onnx/index.js";
import type { GraphBuilder } from "./builder.js";
import type { Value } from "./value.js";

/**
 * Places a loaded network in the graph under construction, as a function call: outputs of one network, or anything
 * computed from them, become inputs of the next. Its weights keep their memory; its names get `<name>/` in front.
 * Gradients flow through it as through nodes written here.
 * @param inputs a value for each input of the network, cast to the dtype that it declares
 * @returns its outputs by name
 * @throws RangeError on missing or unknown inputs, or where the two operator sets cannot be brought together
 */
export function embed(
  g: GraphBuilder,
  network: Model,
  inputs: Readonly<Record<string, Value>>,
  name: string = network.graph.name,
): Record<string, Value> {
  const model = g.opset >= 18 ? raiseOpset(network) : network;
  if (opsetOf(model) !== g.opset) {
    throw new RangeError(
      `embed ${name}: its operator set is ${opsetOf(network)}, the graph's ${g.opset}; export both with the same one, or 13…18`,
    );
  }
  const { graph } = model;
  const weights = new Set(graph.initializers.map((w) => w.name));
  const declared = new Map(graph.inputs.filter((v) => !weights.has(v.name)).map((v) => [v.name, v]));
  const missing = [...declared.keys()].filter((input) => inputs[input] === undefined);
  const unknown = Object.keys(inputs).filter((input) => !declared.has(input));
  if (missing.length + unknown.length > 0) {
    throw new RangeError(
      `embed ${name}: expected the inputs ${[...declared.keys()].join(", ")}; ` +
        `missing: ${missing.join(", ") || "none"}, unknown: ${unknown.join(", ") || "none"}`,
    );
  }
  const defined = [...definedNames(graph)];
  let prefix = name;
  for (let k = 1; defined.some((inner) => g.find(`${prefix}/${inner}`) !== undefined); k++) prefix = `${name}_${k}`;
  const names = new Map(defined.map((inner) => [inner, `${prefix}/${inner}`]));
  for (const [input, { dtype }] of declared) {
    const value = inputs[input]!;
    names.set(input, (dtype === undefined ? value : value.cast(dtype)).name);
  }
  for (const weight of graph.initializers) g.store({ ...weight, name: names.get(weight.name)! });
  for (const node of graph.nodes) {
    g.adopt({
      ...renameReads(node, names),
      name: `${prefix}/${node.name}`,
      outputs: node.outputs.map((output) => names.get(output) ?? output),
    });
  }
  return Object.fromEntries(graph.outputs.map((output) => [output.name, g.value(names.get(output.name)!)]));
}
