import { type Graph, intAttribute, type Node } from "../onnx/index.js";
import { sizeOf } from "../tensor/index.js";

/** Inputs that hold quantized weights: their elements count as parameters, scales and zero points do not. */
const quantized: Readonly<Record<string, readonly number[]>> = {
  DequantizeLinear: [0],
  QLinearConv: [3, 8],
  QLinearMatMul: [0, 3],
  ConvInteger: [1],
  MatMulInteger: [0, 1],
  "com.microsoft.DynamicQuantizeMatMul": [1, 4],
  "com.microsoft.MatMulIntegerToFloat": [1, 6],
  "com.microsoft.QGemm": [3, 6],
  "com.microsoft.QAttention": [1, 2],
  "com.microsoft.MatMulNBits": [1, 5],
};

/** Operators that hand a weight on as it is, up to its number format. */
const handing = new Set(["Identity", "Cast", "DequantizeLinear"]);

/**
 * Parameters in every weight, by name: floating-point tensors of at least one axis, and what quantized operators read as
 * weights. What is handed on counts under its new name too: exporters share equal weights through Identity nodes.
 */
export function weightSizes(graph: Graph): ReadonlyMap<string, number> {
  const stored = new Map(graph.initializers.map((w) => [w.name, w]));
  const sizes = new Map<string, number>();
  const scales = new Set<string>();
  for (const { name, dtype, shape } of graph.initializers) {
    // "constant.…" is what GraphBuilder calls constants.
    if (dtype.includes("float") && shape.length > 0 && !name.startsWith("constant.")) sizes.set(name, sizeOf(shape));
  }
  for (const node of graph.nodes) {
    const weights = quantized[node.domain === "" ? node.opType : `${node.domain}.${node.opType}`];
    for (const [i, name] of weights === undefined ? [] : node.inputs.entries()) {
      const weight = stored.get(name);
      if (weight === undefined) continue;
      if (weights!.includes(i)) sizes.set(name, packedSize(node, i) ?? sizeOf(weight.shape));
      else sizes.delete(name);
    }
    if (node.opType === "QuantizeLinear") for (const name of node.inputs.slice(1)) sizes.delete(name);
    // What is quantized as it comes is scaled back by the product of both scales.
    if (node.opType === "DynamicQuantizeLinear") scales.add(node.outputs[1]!);
    if (node.opType === "Mul" && node.inputs.some((name) => scales.has(name))) {
      for (const name of node.inputs) if (!scales.has(name)) sizes.delete(name);
    }
    const copied = handing.has(node.opType) ? sizes.get(node.inputs[0]!) : undefined;
    if (copied !== undefined) sizes.set(node.outputs[0]!, copied);
  }
  return sizes;
}

/** Numbers in a weight that packs several into a byte. */
function packedSize(node: Node, input: number): number | undefined {
  return node.opType === "MatMulNBits" && input === 1 ? intAttribute(node, "K", 0) * intAttribute(node, "N", 0) : undefined;
}
