import { type AttributeInput, type Dim, type Node, toAttributes } from "../../../../lib/onnx/graph.js";
import type { Inferred } from "../../../../lib/onnx/infer/index.js";
import { inferNode } from "../../../../lib/onnx/infer/index.js";
import type { DType } from "../../../../lib/tensor/index.js";

/** A node with inputs a, b, c… (null omits one) and `outputs` outputs. */
export function node(
  opType: string,
  inputs: number | readonly (string | null)[],
  attributes: Record<string, AttributeInput> = {},
  outputs: number | readonly string[] = 1,
): Node {
  const [domain, name] = opType.includes(".") ? ["com.microsoft", opType.split(".").at(-1)!] : ["", opType];
  const given = typeof inputs === "number" ? inputs : inputs.findLastIndex((x) => x !== null) + 1;
  const letters = "abcdefghijkl";
  return {
    opType: name,
    domain,
    name: "",
    inputs: typeof inputs === "number" ? [...letters.slice(0, inputs)] : inputs.slice(0, given).map((x) => x ?? ""),
    outputs: typeof outputs === "number" ? Array.from({ length: outputs }, (_, i) => `y${i}`) : outputs,
    attributes: toAttributes(attributes),
  };
}

export function of(shape: readonly Dim[], dtype: DType = "float32"): Inferred {
  return { dtype, shape };
}

/** A one-axis value with known contents. */
export function known(value: readonly number[], dtype: DType = "int64"): Inferred {
  return { dtype, shape: [value.length], value };
}

export function knownScalar(value: number, dtype: DType = "int64"): Inferred {
  return { dtype, shape: [], value: [value] };
}

/** Outputs of one call of an operator; an undefined input is an omitted one. */
export function infer(
  opType: string,
  inputs: readonly (Inferred | undefined)[],
  attributes: Record<string, AttributeInput> = {},
  { outputs = 1, opset = 21 }: { outputs?: number; opset?: number } = {},
): Inferred[] {
  const names = inputs.map((x, i) => (x === undefined ? null : "abcdefghijkl"[i]!));
  return inferNode(node(opType, names, attributes, outputs), inputs, { opset });
}

/** Shape of the first output. */
export function shapeAfter(...call: Parameters<typeof infer>): Inferred["shape"] {
  return infer(...call)[0]!.shape;
}

/** Contents of the first output. */
export function valueAfter(...call: Parameters<typeof infer>): Inferred["value"] {
  return infer(...call)[0]!.value;
}
