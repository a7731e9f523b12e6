import type { Graph, Node } from "../../../../lib/onnx/graph.js";
import { initializerOf } from "../../../../lib/onnx/graph.js";
import { float32 } from "../../../../lib/tensor/index.js";

export function node(opType: string, inputs: string[], outputs: string[], attributes: Node["attributes"] = {}): Node {
  return { opType, domain: "", name: `${opType}_${outputs[0]}`, inputs, outputs, attributes };
}

const vector = (name: string) => ({ name, dtype: "float32", shape: [3] }) as const;

/** h = x + w; y = relu(h); z = If(c, h·w, h); unused = -h */
export function branchingGraph(): Graph {
  const branch = (name: string, nodes: Node[], output: string): Graph => ({
    name,
    nodes,
    initializers: [],
    inputs: [],
    outputs: [vector(output)],
    valueInfo: [],
  });
  return {
    name: "branching",
    nodes: [
      node("Add", ["x", "w"], ["h"]),
      node("Relu", ["h"], ["y"]),
      node("If", ["c"], ["z"], {
        then_branch: { type: "graph", value: branch("then", [node("Mul", ["h", "w"], ["t"])], "t") },
        else_branch: { type: "graph", value: branch("else", [node("Identity", ["h"], ["e"])], "e") },
      }),
      node("Neg", ["h"], ["unused"]),
    ],
    initializers: [initializerOf("w", float32([1, 2, 3])), initializerOf("v", float32([0, 0, 0]))],
    inputs: [vector("x"), { name: "c", dtype: "bool", shape: [] }],
    outputs: [vector("y"), vector("z")],
    valueInfo: [vector("h"), vector("unused")],
  };
}

/** Freezes a graph through and through, so that a pass that writes to its argument throws. */
export function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !ArrayBuffer.isView(value) && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
}
