import type { ValueInfo } from "../onnx/index.js";
import { type DType, int64, sizeOf, Tensor, toFloat16, toFloat32, zeros } from "../tensor/index.js";

/** Tensors of equal rows and dtype below each other; one alone is returned as it is. */
export function concatRows<D extends DType>(tensors: readonly Tensor<D>[]): Tensor<D> {
  const [first] = tensors as readonly [Tensor<D>];
  if (tensors.length === 1) return first;
  const rows = tensors.reduce((sum, t) => sum + t.shape[0]!, 0);
  const all = zeros([rows, ...first.shape.slice(1)], first.dtype);
  let at = 0;
  for (const tensor of tensors) {
    all.bytes.set(tensor.bytes, at);
    at += tensor.byteLength;
  }
  return all;
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

/** Every value through a function. */
export function mapped({ data, shape }: Tensor<"float32">, f: (value: number, index: number) => number): Tensor<"float32"> {
  return new Tensor("float32", data.map(f), shape);
}

/** Every value times a factor. */
export function scaled(tensor: Tensor<"float32">, factor: number): Tensor<"float32"> {
  return mapped(tensor, (value) => factor * value);
}

/** Row ranges of at most `size`. @throws RangeError unless that is a whole number ≥ 1 */
export function rowRanges(rows: number, size: number): [number, number][] {
  if (!Number.isSafeInteger(size) || size < 1) throw new RangeError(`batchSize must be a whole number ≥ 1, got ${size}`);
  return Array.from({ length: Math.ceil(rows / size) }, (_, i) => [i * size, Math.min(rows, (i + 1) * size)]);
}

/** Values in the dtype that a network's input declares. @throws TypeError if they cannot be told in it */
export function asInput(tensor: Tensor, { name, dtype = tensor.dtype }: ValueInfo): Tensor {
  const { data, shape } = tensor;
  if (tensor.dtype === dtype) return tensor;
  switch (dtype) {
    case "float32":
      return toFloat32(tensor);
    case "float16":
      return toFloat16(toFloat32(tensor));
    case "int64":
      return int64(Array.from(data as ArrayLike<number | bigint>), shape);
    case "int32":
      return new Tensor(dtype, Int32Array.from(data as ArrayLike<number>, Number), shape);
    case "bool":
      return new Tensor(dtype, Uint8Array.from(data as ArrayLike<number>, Number), shape);
    default:
      throw new TypeError(`network input ${name}: it takes ${dtype}, which cannot be made of ${tensor}; export it in float32`);
  }
}

/**
 * A timestep as a network's input declares it, one for all rows or one per row. A fractional one (Karras levels, second
 * stages of DPM2) is cut down to a whole number for integer inputs, as Optimum casts it.
 */
export function timestepInput(timestep: number, input: ValueInfo, rows: number): Tensor {
  const shape = input.shape?.length === 0 ? [] : [input.shape?.[0] === 1 ? 1 : rows];
  const n = sizeOf(shape);
  if (input.dtype === "int64") return int64(new BigInt64Array(n).fill(BigInt(Math.trunc(timestep))), shape);
  return asInput(new Tensor("float32", new Float32Array(n).fill(timestep), shape), input);
}
