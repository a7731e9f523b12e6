import type { ValueInfo } from "../../onnx/index.js";
import { int64, sizeOf, Tensor, toFloat16 } from "../../tensor/index.js";

/** Tensors of equal rows below each other. */
export function concatRows(tensors: readonly Tensor<"float32">[]): Tensor<"float32"> {
  const rest = tensors[0]!.shape.slice(1);
  const rows = tensors.reduce((sum, t) => sum + t.shape[0]!, 0);
  const data = joined(tensors.map((t) => t.data));
  return new Tensor("float32", data, [rows, ...rest]);
}

/** Arrays one after another. */
export function joined(parts: readonly Float32Array[]): Float32Array {
  const data = new Float32Array(parts.reduce((n, part) => n + part.length, 0));
  let at = 0;
  for (const part of parts) {
    data.set(part, at);
    at += part.length;
  }
  return data;
}

/** Tensors of one shape along a new first axis. */
export function stacked(tensors: readonly Tensor<"float32">[]): Tensor<"float32"> {
  return new Tensor("float32", joined(tensors.map((t) => t.data)), [tensors.length, ...tensors[0]!.shape]);
}

/** Row ranges of at most `size`. @throws RangeError unless that is a whole number ≥ 1 */
export function rowRanges(rows: number, size: number): [number, number][] {
  if (!Number.isSafeInteger(size) || size < 1) throw new RangeError(`batchSize must be a whole number ≥ 1, got ${size}`);
  return Array.from({ length: Math.ceil(rows / size) }, (_, i) => [i * size, Math.min(rows, (i + 1) * size)]);
}

/** float32 values in the dtype that a network's input declares. */
export function asInput(tensor: Tensor<"float32">, input: ValueInfo): Tensor {
  return input.dtype === "float16" ? toFloat16(tensor) : tensor;
}

/** A timestep as a network's input declares it: whole or fractional, one for all rows or one per row. */
export function timestepInput(timestep: number, input: ValueInfo, rows: number): Tensor {
  const shape = input.shape?.length === 0 ? [] : [input.shape?.[0] === 1 ? 1 : rows];
  const n = sizeOf(shape);
  if (input.dtype === "int64") return int64(new BigInt64Array(n).fill(BigInt(Math.round(timestep))), shape);
  return asInput(new Tensor("float32", new Float32Array(n).fill(timestep), shape), input);
}

/** Token ids in the dtype that a text encoder's input declares. */
export function idsInput(ids: Tensor<"int64">, input: ValueInfo): Tensor {
  return input.dtype === "int32" ? new Tensor("int32", Int32Array.from(ids.data, Number), ids.shape) : ids;
}
