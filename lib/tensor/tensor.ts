import { bfloat16ToFloat32, float16ToFloat32, float32ToBfloat16, float32ToFloat16 } from "./half.js";

/** Element types, spelled as ONNX and safetensors users say them. */
export type DType =
  | "float32"
  | "float64"
  | "float16"
  | "bfloat16"
  | "int8"
  | "uint8"
  | "int16"
  | "uint16"
  | "int32"
  | "uint32"
  | "int64"
  | "uint64"
  | "bool";

/** The typed array that holds each dtype; half floats are kept as their 16-bit patterns, bool as 0/1 bytes. */
export interface DTypeArrays {
  float32: Float32Array;
  float64: Float64Array;
  float16: Uint16Array;
  bfloat16: Uint16Array;
  int8: Int8Array;
  uint8: Uint8Array;
  int16: Int16Array;
  uint16: Uint16Array;
  int32: Int32Array;
  uint32: Uint32Array;
  int64: BigInt64Array;
  uint64: BigUint64Array;
  bool: Uint8Array;
}

export type TypedArray = DTypeArrays[DType];

interface TypedArrayConstructor<A> {
  readonly BYTES_PER_ELEMENT: number;
  new (length: number): A;
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): A;
}

const arrayConstructors: { [D in DType]: TypedArrayConstructor<DTypeArrays[D]> } = {
  float32: Float32Array,
  float64: Float64Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  bool: Uint8Array,
};

/** Every dtype, in a fixed order. */
export const dtypes: readonly DType[] = Object.keys(arrayConstructors) as DType[];

/** Bytes per element. */
export function bytesPerElement(dtype: DType): number {
  return arrayConstructors[dtype].BYTES_PER_ELEMENT;
}

/** Number of elements of a shape; 1 for a scalar `[]`. */
export function sizeOf(shape: readonly number[]): number {
  let n = 1;
  for (const d of shape) n *= d;
  return n;
}

/** A new zeroed typed array for `n` elements of `dtype`. */
export function allocate<D extends DType>(dtype: D, n: number): DTypeArrays[D] {
  return new arrayConstructors[dtype](n);
}

/** Raw little-endian bytes seen as elements of `dtype`: a view where alignment allows, a copy where not. */
export function arrayFromBytes<D extends DType>(dtype: D, bytes: Uint8Array): DTypeArrays[D] {
  const make = arrayConstructors[dtype];
  const width = make.BYTES_PER_ELEMENT;
  if (bytes.byteLength % width !== 0) {
    throw new RangeError(
      `arrayFromBytes: ${dtype} needs a multiple of ${width} bytes, got ${bytes.byteLength}; the data is truncated or the dtype is wrong`,
    );
  }
  const aligned = bytes.byteOffset % width === 0 ? bytes : new Uint8Array(bytes); // not slice(): a Buffer's is a view
  return new make(aligned.buffer, aligned.byteOffset, aligned.byteLength / width);
}

/**
 * A dense n-dimensional array in row-major (C) order: the one numeric value that passes between layers.
 * `data` is shared, not copied, by the constructor and by `reshape`.
 */
export class Tensor<D extends DType = DType> {
  readonly dtype: D;
  readonly shape: readonly number[];
  readonly data: DTypeArrays[D];

  /** @throws RangeError if `data` does not hold exactly the elements of `shape`; TypeError on a wrong array type. */
  constructor(dtype: D, data: DTypeArrays[D], shape: readonly number[]) {
    const make = arrayConstructors[dtype];
    if (make === undefined) throw new TypeError(`Tensor: unknown dtype "${dtype}"; expected one of ${dtypes.join(", ")}`);
    if (!(data instanceof (make as unknown as new () => object))) {
      throw new TypeError(
        `Tensor: dtype ${dtype} is held in a ${(make as unknown as { name: string }).name}, got ${data?.constructor?.name ?? typeof data}`,
      );
    }
    for (const d of shape) {
      if (!Number.isSafeInteger(d) || d < 0)
        throw new RangeError(`Tensor: dimensions are whole numbers ≥ 0, got [${shape.join(", ")}]`);
    }
    if (data.length !== sizeOf(shape)) {
      throw new RangeError(
        `Tensor: shape [${shape.join(", ")}] needs ${sizeOf(shape)} elements, got ${data.length}; check the shape or the data`,
      );
    }
    this.dtype = dtype;
    this.shape = shape;
    this.data = data;
  }

  get size(): number {
    return this.data.length;
  }

  get byteLength(): number {
    return this.data.byteLength;
  }

  /** The tensor's memory as bytes (a view). */
  get bytes(): Uint8Array {
    return new Uint8Array(this.data.buffer, this.data.byteOffset, this.data.byteLength);
  }

  /** Same data, new shape (a view); one dimension may be -1. @throws RangeError if the sizes differ */
  reshape(shape: readonly number[]): Tensor<D> {
    const unknown = shape.indexOf(-1);
    if (unknown < 0) return new Tensor(this.dtype, this.data, shape);
    const rest = sizeOf(shape.filter((_, i) => i !== unknown));
    const full = [...shape];
    full[unknown] = rest === 0 ? 0 : this.size / rest;
    return new Tensor(this.dtype, this.data, full);
  }

  /** Rows `start…end-1` along the first axis (a view). @throws RangeError outside the axis */
  slice(start: number, end: number = this.shape[0] ?? 0): Tensor<D> {
    const [rows, ...rest] = this.shape;
    if (rows === undefined) throw new RangeError("Tensor.slice: a scalar has no first axis");
    if (start < 0 || end > rows || start > end) throw new RangeError(`Tensor.slice: rows ${start}…${end} lie outside 0…${rows}`);
    const stride = sizeOf(rest);
    return new Tensor(this.dtype, this.data.subarray(start * stride, end * stride) as DTypeArrays[D], [end - start, ...rest]);
  }

  /** Row `index` along the first axis, without that axis (a view). */
  row(index: number): Tensor<D> {
    return this.slice(index, index + 1).reshape(this.shape.slice(1));
  }

  /** A copy that shares nothing. */
  clone(): Tensor<D> {
    return new Tensor(this.dtype, this.data.slice() as DTypeArrays[D], this.shape);
  }

  toString(): string {
    return `Tensor(${this.dtype}[${this.shape.join(", ")}])`;
  }
}

/** A float32 tensor from numbers; the shape defaults to one axis. */
export function float32(data: Float32Array | readonly number[], shape: readonly number[] = [data.length]): Tensor<"float32"> {
  return new Tensor("float32", data instanceof Float32Array ? data : Float32Array.from(data), shape);
}

/** An int64 tensor from whole numbers or bigints; the shape defaults to one axis. */
export function int64(
  data: BigInt64Array | readonly (number | bigint)[],
  shape: readonly number[] = [data.length],
): Tensor<"int64"> {
  return new Tensor("int64", data instanceof BigInt64Array ? data : BigInt64Array.from(data, BigInt), shape);
}

/** A rank-0 tensor. Whole-number dtypes take whole numbers; half floats are rounded. */
export function scalar<D extends DType = "float32">(value: number, dtype: D = "float32" as D): Tensor<D> {
  const data = allocate(dtype, 1);
  if (data instanceof BigInt64Array || data instanceof BigUint64Array) data[0] = BigInt(value);
  else if (dtype === "float16") data.set(float32ToFloat16(Float32Array.of(value)));
  else if (dtype === "bfloat16") data.set(float32ToBfloat16(Float32Array.of(value)));
  else data[0] = value;
  return new Tensor(dtype, data, []);
}

/** A tensor of zeros. */
export function zeros<D extends DType = "float32">(shape: readonly number[], dtype: D = "float32" as D): Tensor<D> {
  return new Tensor(dtype, allocate(dtype, sizeOf(shape)), shape);
}

/** True where dtype is D; narrows the type. */
export function isDType<D extends DType>(tensor: Tensor, dtype: D): tensor is Tensor<D> {
  return tensor.dtype === dtype;
}

/** The tensor as float32. @throws TypeError with the dtype that came when it is another */
export function expectFloat32(tensor: Tensor, where: string): Tensor<"float32"> {
  if (!isDType(tensor, "float32")) throw new TypeError(`${where}: expected a float32 tensor, got ${tensor}; convert it first`);
  return tensor;
}

/** The tensor's values in float32; a float32 tensor is returned as it is, int64 and float64 are rounded. */
export function toFloat32(tensor: Tensor): Tensor<"float32"> {
  const { dtype, data, shape } = tensor;
  if (dtype === "float32") return tensor as Tensor<"float32">;
  if (dtype === "float16") return float32(float16ToFloat32(data as Uint16Array), shape);
  if (dtype === "bfloat16") return float32(bfloat16ToFloat32(data as Uint16Array), shape);
  return float32(Float32Array.from(data as ArrayLike<number | bigint>, Number), shape);
}

/** A float32 tensor rounded to float16, ties to even. */
export function toFloat16(tensor: Tensor<"float32">): Tensor<"float16"> {
  return new Tensor("float16", float32ToFloat16(tensor.data), tensor.shape);
}
