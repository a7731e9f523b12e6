import type { Dim, Graph, Node, Shape, ValueInfo } from "../graph.js";
import { readInitializer } from "./contents.js";
import { type InferContext, type Inferred, inferred } from "./context.js";
import { applyRule } from "./infer-node.js";

/**
 * What is known of a node's outputs, one entry per output.
 * @param inputs one entry per input; undefined where omitted or unknown
 * @throws ShapeError where operands cannot go together, TypeError where their dtypes differ
 */
export function inferNode(node: Node, inputs: readonly (Inferred | undefined)[], context: InferContext): Inferred[] {
  return applyRule(node, inputs, context, inferBody);
}

/** Options of `inferGraph`. */
export interface InferGraphOptions {
  /** Version of the default operator set, see `opsetOf`. */
  readonly opset: number;
  /** Shapes of graph inputs where they are to be other, or better known, than declared. */
  readonly inputShapes?: Readonly<Record<string, readonly Dim[]>>;
  /** Flattened contents of small graph inputs that decide shapes. */
  readonly inputValues?: Readonly<Record<string, readonly number[]>>;
  /** Also tell what is known inside the bodies of Loop, Scan and If. Default false */
  readonly bodies?: boolean;
}

/**
 * What is known of every value of a graph: inputs, initializers and node outputs, by name.
 * A named axis of a declared input that `inputShapes` gives a length has that length wherever the name is declared.
 * @throws ShapeError where operands cannot go together; RangeError for a shape given to an input that does not exist
 */
export function inferGraph(graph: Graph, options: InferGraphOptions): Map<string, Inferred> {
  const given = options.inputShapes ?? {};
  const names = new Set(graph.inputs.map((i) => i.name));
  for (const name of [...Object.keys(given), ...Object.keys(options.inputValues ?? {})]) {
    if (!names.has(name)) throw new RangeError(`inferGraph: no input "${name}"; the graph has ${[...names].join(", ")}`);
  }
  const { lengths, contradicts } = bindAxes(graph, given);
  const values = new Map<string, Inferred>();
  for (const input of graph.inputs) {
    const shape = given[input.name] ?? bound(input.shape, lengths);
    values.set(input.name, inferred(input.dtype, shape, options.inputValues?.[input.name]));
  }
  // Shapes written down for other input shapes do not hold for these.
  const declared = contradicts ? [] : [...graph.valueInfo, ...graph.outputs];
  const inner = new Map<string, Inferred>();
  inferInto(
    values,
    graph,
    { opset: options.opset, ...(options.bodies && { note: (name: string, value: Inferred) => void inner.set(name, value) }) },
    declared.map((v) => ({ ...v, shape: bound(v.shape, lengths) }) as ValueInfo),
  );
  return new Map([...inner, ...values]);
}

/** Lengths of named axes, from declared inputs and the shapes given for them. */
function bindAxes(graph: Graph, given: Readonly<Record<string, readonly Dim[]>>) {
  const lengths = new Map<string, Dim>();
  let contradicts = false;
  for (const { name, shape } of graph.inputs) {
    const actual = given[name];
    if (actual === undefined || shape === undefined) continue;
    if (actual.length !== shape.length) {
      throw new RangeError(`inferGraph: input "${name}" has ${shape.length} axes, got ${actual.length}: [${actual.join(",")}]`);
    }
    for (const [i, d] of shape.entries()) {
      if (typeof d === "string") lengths.set(d, actual[i]);
      else if (d !== undefined && d !== actual[i]) contradicts = true;
    }
  }
  return { lengths, contradicts };
}

function bound(shape: Shape | undefined, lengths: ReadonlyMap<string, Dim>): Shape | undefined {
  return shape?.map((d) => (typeof d === "string" && lengths.has(d) ? lengths.get(d) : d));
}

/** Fills in what a declaration knows and inference does not. */
function completed(value: Inferred, declared: ValueInfo | undefined): Inferred {
  if (declared === undefined) return value;
  const dtype = value.dtype ?? declared.dtype;
  const shape = value.shape?.map((d, i) => d ?? declared.shape?.[i]) ?? declared.shape;
  return inferred(dtype, shape, value.value ?? value.partial);
}

function inferInto(values: Map<string, Inferred>, graph: Graph, context: InferContext, declared: readonly ValueInfo[]): void {
  const declarations = new Map(declared.map((v) => [v.name, v]));
  for (const initializer of graph.initializers) {
    values.set(initializer.name, inferred(initializer.dtype, initializer.shape, readInitializer(initializer)));
  }
  const lookup = (name: string): Inferred | undefined => values.get(name) ?? context.outer?.(name);
  const inner: InferContext = { ...context, outer: lookup };
  for (const node of graph.nodes) {
    const outputs = inferNode(
      node,
      node.inputs.map((name) => (name ? lookup(name) : undefined)),
      inner,
    );
    for (const [i, name] of node.outputs.entries()) {
      if (name) values.set(name, completed(outputs[i] ?? {}, declarations.get(name)));
    }
  }
}

/** Outputs of a subgraph: what it declares of its inputs is filled in by what comes from outside. */
function inferBody(body: Graph, inputs: readonly Inferred[], context: InferContext): Inferred[] {
  const values = new Map<string, Inferred>();
  for (const [i, input] of body.inputs.entries())
    values.set(input.name, { ...(input.dtype && { dtype: input.dtype }), ...inputs[i] });
  inferInto(values, body, context, body.valueInfo);
  if (context.note !== undefined) for (const [name, value] of values) context.note(name, value);
  return body.outputs.map(({ name }) => values.get(name) ?? context.outer?.(name) ?? {});
}
