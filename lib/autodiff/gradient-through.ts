import type { Model } from "../onnx/index.js";
import { GraphBuilder, type Value } from "../program/index.js";
import { backward } from "./gradient.js";

/** What is differentiated, and with respect to which values. */
export interface Differentiated {
  readonly of: Value;
  /** Named as the gradients are to be. */
  readonly withRespectTo: Readonly<Record<string, Value>>;
  /** Further values to compute, by the name of their output. */
  readonly outputs?: Readonly<Record<string, Value>>;
}

/**
 * A model that computes a scalar of one or several networks and its gradients in one run: outputs `value`,
 * `gradient:<name>` and those asked for beside. With `embed` the program chains networks (denoiser, x̂₀, decoder,
 * classifier), which is what classifier guidance differentiates.
 * @param program declares its inputs with `g.input`, places networks with `embed` and says what to differentiate
 * @throws UnsupportedOpError before anything runs, where an operator on the way has no rule
 * @example
 * import { float32, gradientThrough, openSession } from "tweedie";
 *
 * const model = gradientThrough((g) => {
 *   const x = g.input("x", "float32", [2]);
 *   return { of: x.square().sum(), withRespectTo: { x } };
 * });
 * await using session = await openSession(model);
 * const outputs = await session.run({ x: float32([3, -1]) });
 * console.log([...outputs["gradient:x"]!.data]); // [6, -2]
 */
export function gradientThrough(program: (g: GraphBuilder) => Differentiated, g: GraphBuilder = new GraphBuilder()): Model {
  const { of, withRespectTo, outputs = {} } = program(g);
  const names = Object.keys(withRespectTo);
  const gradients = backward(g, of, Object.values(withRespectTo));
  const before = g.model();
  const kept = new Set(before.graph.outputs.map((o) => o.name));
  g.output(of, "value");
  names.forEach((name, i) => void g.output(gradients[i]!, `gradient:${name}`));
  for (const [name, value] of Object.entries(outputs)) g.output(value, name);
  const model = g.model();
  // Outputs that a continued graph had are computed only where they are needed.
  return { ...model, graph: { ...model.graph, outputs: model.graph.outputs.filter((o) => !kept.has(o.name)) } };
}
