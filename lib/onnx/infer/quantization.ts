import { dtypeOfCode } from "../codec/data-type.js";
import { type Call, type InferRule, type Inferred, inferred } from "./context.js";
import { convolutionShape } from "./convolution.js";
import { matmulShape } from "./linalg.js";

function quantizeLinear(call: Call): Inferred {
  return inferred(call.dtype(2) ?? dtypeOfCode(call.int("output_dtype", 0)) ?? "uint8", call.shape(0));
}

function dequantizeLinear(call: Call): Inferred {
  return inferred(call.dtype(1) ?? "float32", call.shape(0));
}

function dynamicQuantizeLinear(call: Call): Inferred[] {
  return [inferred("uint8", call.shape(0)), inferred("float32", []), inferred("uint8", [])];
}

function matmulInteger(call: Call): Inferred {
  return inferred("int32", matmulShape(call, call.shape(0), call.shape(1)));
}

function convInteger(call: Call): Inferred {
  return inferred("int32", convolutionShape(call, call.shape(0), call.shape(1)));
}

/** Inputs a, scale, zero, b, scale, zero, scale, zero. */
function qlinearMatmul(call: Call): Inferred {
  return inferred(call.dtype(7), matmulShape(call, call.shape(0), call.shape(3)));
}

function qlinearConv(call: Call): Inferred {
  return inferred(call.dtype(7), convolutionShape(call, call.shape(0), call.shape(3)));
}

/** Float activations times quantized weights. */
function matmulToFloat(call: Call): Inferred {
  return inferred("float32", matmulShape(call, call.shape(0), call.shape(1)));
}

/** Weights packed in blocks: only the attributes K and N tell their shape. */
function matmulNBits(call: Call): Inferred {
  const columns = call.int("N", 0);
  const rows = call.int("K", 0);
  return inferred(call.dtype(0), matmulShape(call, call.shape(0), [rows, columns]));
}

/** Quantized operators. */
export const quantizationRules: Readonly<Record<string, InferRule>> = {
  QuantizeLinear: quantizeLinear,
  DequantizeLinear: dequantizeLinear,
  DynamicQuantizeLinear: dynamicQuantizeLinear,
  MatMulInteger: matmulInteger,
  ConvInteger: convInteger,
  QLinearMatMul: qlinearMatmul,
  QLinearConv: qlinearConv,
  "com.microsoft.QuantizeLinear": quantizeLinear,
  "com.microsoft.DequantizeLinear": dequantizeLinear,
  "com.microsoft.DynamicQuantizeMatMul": matmulToFloat,
  "com.microsoft.MatMulIntegerToFloat": matmulToFloat,
  "com.microsoft.MatMulNBits": matmulNBits,
};
