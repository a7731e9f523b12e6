import { type Graph, readsOf } from "../onnx/index.js";

/** Operators that ask for a value's shape and so do not use the value. */
const shapeOnly = new Set(["Shape", "Size"]);

/** Who computes and who reads each value of a graph. */
export interface Dataflow {
  /** Number of the node that computes a value; graph inputs and stored tensors have none. */
  readonly producer: ReadonlyMap<string, number>;
  /** Values each node uses; of nodes that ask for a shape, none. */
  readonly reads: readonly (readonly string[])[];
  /** Numbers of the nodes that use a value, in order. */
  readonly readers: ReadonlyMap<string, readonly number[]>;
  /** Values that depend on what is fed; constants and shape arithmetic do not. */
  readonly carriesData: ReadonlySet<string>;
}

/** Traces a graph. Inputs that have a stored default are weights. */
export function dataflowOf(graph: Graph): Dataflow {
  const stored = new Set(graph.initializers.map((w) => w.name));
  const carriesData = new Set(graph.inputs.map((v) => v.name).filter((name) => !stored.has(name)));
  const producer = new Map<string, number>();
  const readers = new Map<string, number[]>();
  const reads = graph.nodes.map((node, i) => {
    const used = shapeOnly.has(node.opType) ? [] : [...readsOf(node)];
    for (const name of used) {
      const known = readers.get(name);
      if (known === undefined) readers.set(name, [i]);
      else known.push(i);
    }
    const isData = used.some((name) => carriesData.has(name));
    for (const name of node.outputs) {
      if (name === "") continue;
      producer.set(name, i);
      if (isData) carriesData.add(name);
    }
    return used;
  });
  return { producer, reads, readers, carriesData };
}
