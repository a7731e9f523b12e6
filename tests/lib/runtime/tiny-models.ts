import {
  type AttributeInput,
  type Attributes,
  type Model,
  type Node,
  toAttributes,
  type ValueInfo,
} from "../../../lib/onnx/index.js";

/** One operator call. */
export function node(
  opType: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: Readonly<Record<string, AttributeInput>> = {},
): Node {
  return {
    opType,
    domain: "",
    name: `${opType}_${outputs[0]}`,
    inputs,
    outputs,
    attributes: toAttributes(attributes) as Attributes,
  };
}

/** A model of the nodes alone. */
export function modelOf(
  name: string,
  nodes: readonly Node[],
  inputs: readonly ValueInfo[],
  outputs: readonly ValueInfo[],
): Model {
  return {
    irVersion: 10,
    opsets: [{ domain: "", version: 21 }],
    graph: { name, nodes, initializers: [], inputs, outputs, valueInfo: [] },
  };
}

/** y = a + b, float32[n]. */
export const adder: Model = modelOf(
  "adder",
  [node("Add", ["a", "b"], ["y"])],
  [
    { name: "a", dtype: "float32", shape: ["n"] },
    { name: "b", dtype: "float32", shape: ["n"] },
  ],
  [{ name: "y", dtype: "float32", shape: ["n"] }],
);
