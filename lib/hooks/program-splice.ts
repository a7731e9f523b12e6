import type { BuildEdit, Graph, SplicedNodes } from "../onnx/index.js";
import { definedNames, rename } from "../onnx/index.js";
import { GraphBuilder, type Value } from "../program/index.js";
import type { HookPoint } from "./hook-point.js";
import { read, write } from "./layout.js";

/** A tensor program on one activation. Inputs it declares become required inputs of the rewritten graph. */
export type ActivationProgram = (x: Value, g: GraphBuilder) => Value;

/** Writes a program on the value behind a hook point as nodes that read `value`, under names that clash with nothing. */
export function inlineProgram(
  program: ActivationProgram,
  point: HookPoint,
  value: string,
  fresh: (hint: string) => string,
  opset: number,
): SplicedNodes {
  const { path, shape, dtype = "float32", layout, minus } = point;
  if (shape === undefined) {
    throw new RangeError(`${path}: not even the rank of this activation is known; give inputShapes for the model's inputs`);
  }
  const g = new GraphBuilder({ name: path, opset });
  const x = g.input(value, dtype, layout?.shape ?? shape);
  if (minus !== undefined) g.input(minus, dtype, shape);
  const output = g.output(program(x, g));
  const graph = g.graph();
  const given = new Set([value, ...(minus === undefined ? [] : [minus])]);
  const own = graph.inputs.filter((v) => !given.has(v.name));
  const kept = new Set([...given, ...own.map((v) => v.name)]);
  const inner = [...definedNames(graph)].filter((name) => !kept.has(name));
  const named = rename(new Map(inner.map((name) => [name, fresh(`hook/${name}`)])))(graph);
  return {
    nodes: named.nodes.map((node) => ({ ...node, name: fresh(`/hook${node.name}`) })),
    inputs: own,
    initializers: named.initializers,
    output: named.outputs[graph.outputs.findIndex((o) => o.name === output.name)]!.name,
  };
}

/** A program on an activation as an edit for `splice` at the point's value. */
export function programEdit(program: ActivationProgram, point: HookPoint, opset: number): BuildEdit {
  const edit: ActivationProgram = (x, g) => {
    const activation = read(point, x, g);
    return write(point, x, activation, program(activation, g), g);
  };
  return (value, fresh) => inlineProgram(edit, point, value, fresh, opset);
}

/** The graph with a program's result as a further output called `name`; the activation itself stays as it is. */
export function withProgramOutput(
  graph: Graph,
  program: ActivationProgram,
  point: HookPoint,
  name: string,
  { opset, fresh }: { readonly opset: number; readonly fresh: (hint: string) => string },
): Graph {
  const added = inlineProgram((x, g) => program(read(point, x, g), g).identity(), point, point.value, fresh, opset);
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
