import type { Model } from "../onnx/graph.js";
import { raiseOpset, readsOf } from "../onnx/passes/index.js";
import { type Composite, GraphBuilder, type Value } from "../program/index.js";
import { vjpRuleOf } from "./rules/index.js";
import { type Call, UnsupportedOpError } from "./vjp.js";

/** Operators that are piecewise constant, or take from a floating operand only its shape: nothing flows back. */
const stopOperators: ReadonlySet<string> = new Set([
  "Floor",
  "Ceil",
  "Round",
  "Sign",
  "EyeLike",
  "RandomNormalLike",
  "RandomUniformLike",
]);

/** Operators whose rules take the cotangents of all their outputs; the others' differentiate the first alone. */
const allOutputs: ReadonlySet<string> = new Set(["Split", "LayerNormalization"]);

const differentiable = new Set(["float32", "float64", "float16", "bfloat16"]);

/**
 * Appends the reverse pass of `of` to the graph under construction.
 * @param of the value to differentiate; summed with weights `cotangent` when it is not a scalar
 * @param withRespectTo any values of the graph: inputs, parameters, inner activations
 * @param cotangent ∂L/∂of, same shape as `of`; ones by default
 * @returns one gradient per value, of its shape; zeros where `of` does not depend on it
 * @throws UnsupportedOpError before anything runs, when an operator on the way has no rule; TypeError for values that
 * are not floating-point numbers
 */
export function backward(g: GraphBuilder, of: Value, withRespectTo: readonly Value[], cotangent?: Value): Value[] {
  for (const v of [of, ...withRespectTo])
    if (!differentiable.has(v.dtype))
      throw new TypeError(`gradient: ${v.name} is ${v.dtype}; only floating-point values have gradients`);
  const nodes = g.program.slice();
  const reached = new Set(withRespectTo.map((v) => v.name));
  const onPath = nodes.map((node) => {
    if (stopOperators.has(node.opType) || ![...readsOf(node)].some((name) => reached.has(name))) return false;
    for (const name of node.outputs) if (name !== "" && differentiable.has(g.value(name).dtype)) reached.add(name);
    return true;
  });

  const cotangents = new Map<string, Value>();
  const accumulate = (name: string, part: Value): void => {
    const sum = cotangents.get(name);
    cotangents.set(name, sum === undefined ? part : sum.add(part));
  };
  accumulate(of.name, cotangent ?? g.fullLike(of, 1));

  const composites = new Map(g.composites.map((c) => [c.end - 1, c]));
  const wanted = new Set(withRespectTo.map((v) => v.name));
  /** A unit is taken apart when one of its inner values is asked for, or used elsewhere. */
  const isWhole = ({ start, end, outputs }: Composite): boolean =>
    nodes
      .slice(start, end)
      .flatMap((node) => node.outputs)
      .every((name) => outputs.some((v) => v.name === name) || !(wanted.has(name) || cotangents.has(name)));
  for (let n = nodes.length - 1; n >= 0; n--) {
    const composite = composites.get(n);
    if (composite !== undefined && isWhole(composite)) {
      n = composite.start;
      const incoming = composite.outputs.map((v) => cotangents.get(v.name));
      if (incoming.every((c) => c === undefined)) continue;
      composite.vjp(incoming).forEach((part, i) => {
        const name = composite.inputs[i]!.name;
        if (part !== undefined && reached.has(name)) accumulate(name, part);
      });
      continue;
    }
    const node = nodes[n]!;
    if (!onPath[n]) continue;
    const incoming = node.outputs.map((name) => cotangents.get(name));
    if (incoming.every((c) => c === undefined)) continue;
    const rule = vjpRuleOf(node.opType, node.domain);
    if (rule === undefined) throw new UnsupportedOpError(node.opType, node.name);
    const ignored = allOutputs.has(node.opType) ? -1 : incoming.findIndex((c, i) => i > 0 && c !== undefined);
    if (ignored > 0) throw new UnsupportedOpError(node.opType, node.name, `its output ${ignored} is not differentiated`);
    const call: Call = {
      node,
      inputs: node.inputs.map((name) => (name === "" ? undefined : g.value(name))),
      outputs: node.outputs.map((name) => g.value(name === "" ? node.outputs[0]! : name)),
      needs: node.inputs.map((name) => reached.has(name)),
    };
    const outgoing = rule(call, incoming, g);
    node.inputs.forEach((name, i) => {
      const part = outgoing[i];
      if (part !== undefined && reached.has(name)) accumulate(name, part);
    });
  }
  return withRespectTo.map((v) => cotangents.get(v.name) ?? g.fullLike(v, 0));
}

export interface GradientOptions {
  /** Name of the value to differentiate. Not a scalar: its sum is, weighted by the cotangent. */
  readonly of: string;
  /** Names of inputs, weights or inner values. */
  readonly withRespectTo: readonly string[];
  /** Concrete lengths of the model's inputs; needed where they are symbolic. */
  readonly inputShapes?: Readonly<Record<string, readonly number[]>>;
  /** When true the model gets an input `cotangent:<of>` of the shape of `of`; otherwise ones are used. */
  readonly cotangent?: boolean;
  /** What the new outputs' names start with; "gradient" by default. Another one for gradients of gradients. */
  readonly prefix?: string;
}

/**
 * Adds to a loaded model the gradients of one of its values, as outputs named `<prefix>:<value>`.
 * The forward outputs stay as they are. Models of operator set 13…17 are raised to 18 first.
 * @throws UnsupportedOpError where an operator on the way has no rule; RangeError where a name is unknown, a needed
 * shape is not fixed or the operator set is older; TypeError for values that are not floating-point numbers
 */
export function gradient(
  loaded: Model,
  { of, withRespectTo, inputShapes = {}, cotangent = false, prefix = "gradient" }: GradientOptions,
): Model {
  const model = raiseOpset(loaded);
  const g = GraphBuilder.from(model, inputShapes);
  const target = g.value(of);
  const seed = cotangent ? g.input(`cotangent:${of}`, target.dtype, target.shape) : undefined;
  const grads = backward(
    g,
    target,
    withRespectTo.map((name) => g.value(name)),
    seed,
  );
  grads.forEach((grad, i) => void g.output(grad, `${prefix}:${withRespectTo[i]!}`));
  return { ...model, ...g.model(), opsets: mergeOpsets(model, g.model()), irVersion: Math.max(model.irVersion, 8) };
}

function mergeOpsets(a: Model, b: Model): Model["opsets"] {
  const known = new Map([...b.opsets, ...a.opsets].map((o) => [o.domain === "ai.onnx" ? "" : o.domain, o.version]));
  return [...known].map(([domain, version]) => ({ domain, version }));
}
