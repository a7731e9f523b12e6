import type { BuildEdit, Graph, SplicedNodes } from "../onnx/index.js";
import { definedNames, rename } from "../onnx/index.js";
import { GraphBuilder, type Value } from "../program/index.js";
import type { HookPoint } from "./hook-point.js";

/** A tensor program on one activation. Inputs it declares become required inputs of the rewritten graph. */
export type ActivationProgram = (x: Value, g: GraphBuilder) => Value;

/** Writes a program as nodes that read `value`, under names that clash with nothing. */
export function inlineProgram(
  program: ActivationProgram,
  point: HookPoint,
  value: string,
  fresh: (hint: string) => string,
  opset: number,
): SplicedNodes {
  if (point.shape === undefined) {
    throw new RangeError(`${point.path}: not even the rank of this activation is known; give inputShapes for the model's inputs`);
  }
  const g = new GraphBuilder({ name: point.path, opset });
  const x = g.input(value, point.dtype ?? "float32", point.shape);
  const output = g.output(program(x, g));
  const graph = g.graph();
  const own = graph.inputs.slice(1).map((v) => v.name);
  const inner = [...definedNames(graph)].filter((name) => name !== value && !own.includes(name));
  const named = rename(new Map(inner.map((name) => [name, fresh(`hook/${name}`)])))(graph);
  return {
    nodes: named.nodes.map((node) => ({ ...node, name: fresh(`/hook${node.name}`) })),
    inputs: named.inputs.slice(1),
    initializers: named.initializers,
    output: named.outputs[graph.outputs.findIndex((o) => o.name === output.name)]!.name,
  };
}

/** The same as an edit for `splice`. */
export function programEdit(program: ActivationProgram, point: HookPoint, opset: number): BuildEdit {
  return (value, fresh) => inlineProgram(program, point, value, fresh, opset);
}

/** The graph with a program's result as a further output called `name`; the activation itself stays as it is. */
export function withProgramOutput(
  graph: Graph,
  program: ActivationProgram,
  point: HookPoint,
  name: string,
  { opset, fresh }: { readonly opset: number; readonly fresh: (hint: string) => string },
): Graph {
  const added = inlineProgram((x, g) => program(x, g).identity(), point, point.value, fresh, opset);
  return {
    ...graph,
    nodes: [
      ...graph.nodes,
      ...added.nodes.map((node) => ({ ...node, outputs: node.outputs.map((o) => (o === added.output ? name : o)) })),
    ],
    initializers: [...graph.initializers, ...(added.initializers ?? [])],
    inputs: [...graph.inputs, ...(added.inputs ?? [])],
    outputs: [...graph.outputs, { name }],
  };
}
