import { type AttributeInput, type Model, type Node, toAttributes, type ValueInfo } from "../../../lib/onnx/index.js";
import type { DType } from "../../../lib/tensor/index.js";

/** One operator call, named after its operator and output. */
export function node(
  opType: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: Readonly<Record<string, AttributeInput>> = {},
): Node {
  return { opType, domain: "", name: `${opType}_${outputs[0]}`, inputs, outputs, attributes: toAttributes(attributes) };
}

/** A float32 value unless said otherwise. */
export function value(name: string, shape: readonly (number | string)[], dtype: DType = "float32"): ValueInfo {
  return { name, dtype, shape };
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

/** y = a + b */
export const adder: Model = modelOf(
  "adder",
  [node("Add", ["a", "b"], ["y"])],
  [value("a", ["n"]), value("b", ["n"])],
  [value("y", ["n"])],
);

/** y = x, for one dtype. */
export function identity(dtype: DType): Model {
  return modelOf(`identity_${dtype}`, [node("Identity", ["x"], ["y"])], [value("x", ["n"], dtype)], [value("y", ["n"], dtype)]);
}

/** Momentum descent on ½w²: m' = m + w, w' = w − m'·rate, loss = Σ w². */
export const momentumStep: Model = modelOf(
  "momentum_step",
  [
    node("Add", ["m", "w"], ["m_next"]),
    node("Mul", ["m_next", "rate"], ["update"]),
    node("Sub", ["w", "update"], ["w_next"]),
    node("ReduceSumSquare", ["w"], ["loss"], { keepdims: 0 }),
  ],
  [value("w", ["n"]), value("m", ["n"]), value("rate", [])],
  [value("w_next", ["n"]), value("m_next", ["n"]), value("loss", [])],
);

/** `steps` products of n×n matrices, to keep a processor busy. */
export function matrixPower(steps: number): Model {
  const nodes = Array.from({ length: steps }, (_, i) =>
    node("MatMul", [i === 0 ? "x" : `x${i}`, "x"], [i === steps - 1 ? "y" : `x${i + 1}`]),
  );
  return modelOf("matrix_power", nodes, [value("x", ["n", "n"])], [value("y", ["n", "n"])]);
}
