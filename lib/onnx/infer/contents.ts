import { arrayFromBytes, type DType, sizeOf } from "../../tensor/index.js";
import type { Dim, Initializer } from "../graph.js";
import { maxKnownElements } from "./context.js";

/** Elements of a small initializer as numbers; undefined when large or stored outside the model. */
export function readInitializer(initializer: Initializer): readonly number[] | undefined {
  if (initializer.data.kind !== "bytes" || sizeOf(initializer.shape) > maxKnownElements) return undefined;
  const data = arrayFromBytes(initializer.dtype, initializer.data.bytes);
  if (initializer.dtype === "float16") return Array.from(data as Uint16Array, float16Value);
  if (initializer.dtype === "bfloat16") return Array.from(data as Uint16Array, bfloat16Value);
  return Array.from(data as ArrayLike<number | bigint>, Number);
}

function float16Value(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}

const word = new Uint32Array(1);
const wordAsFloat = new Float32Array(word.buffer);

function bfloat16Value(bits: number): number {
  word[0] = bits << 16;
  return wordAsFloat[0]!;
}

/** Rounds half to even on a grid of spacing `step`. */
function roundToMultiple(x: number, step: number): number {
  const q = x / step;
  const low = Math.floor(q);
  const rest = q - low;
  return (rest < 0.5 || (rest === 0.5 && low % 2 === 0) ? low : low + 1) * step;
}

function roundToFloat16(x: number): number {
  if (!Number.isFinite(x) || x === 0) return x;
  const exponent = Math.max(Math.floor(Math.log2(Math.abs(x))), -14);
  const rounded = roundToMultiple(x, 2 ** (exponent - 10));
  return Math.abs(rounded) > 65504 ? Math.sign(x) * Number.POSITIVE_INFINITY : rounded;
}

function roundToBfloat16(x: number): number {
  if (!Number.isFinite(x) || x === 0) return x;
  return roundToMultiple(Math.fround(x), 2 ** (Math.floor(Math.log2(Math.abs(x))) - 7));
}

/** Whole numbers a dtype holds; those of 64 bits as far as a number is exact. */
const ranges: Partial<Record<DType, readonly [low: number, high: number]>> = {
  int8: [-128, 127],
  uint8: [0, 255],
  int16: [-32768, 32767],
  uint16: [0, 65535],
  int32: [-(2 ** 31), 2 ** 31 - 1],
  uint32: [0, 2 ** 32 - 1],
  int64: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  uint64: [0, Number.MAX_SAFE_INTEGER],
};

/** The number that `x` becomes when stored as `dtype`; undefined where that is not defined or not exact. */
export function storeAs(dtype: DType | undefined, x: number): number | undefined {
  switch (dtype) {
    case undefined:
    case "float64":
      return x;
    case "float32":
      return Math.fround(x);
    case "float16":
      return roundToFloat16(x);
    case "bfloat16":
      return roundToBfloat16(x);
    case "bool":
      return x !== 0 ? 1 : 0;
  }
  const [low, high] = ranges[dtype]!;
  const whole = Math.trunc(x) + 0; // + 0: integers have no -0
  return whole >= low && whole <= high ? whole : undefined;
}

/** Whether arithmetic on `dtype` is on whole numbers. */
export function isInteger(dtype: DType | undefined): boolean {
  return dtype?.includes("int") ?? false;
}

/** Row-major strides. */
export function stridesOf(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length).fill(1);
  for (let i = shape.length - 2; i >= 0; i--) strides[i] = strides[i + 1]! * shape[i + 1]!;
  return strides;
}

/** Contents of an output of `shape` whose element at each coordinate is `at(coordinate)`; undefined when too large. */
export function tabulate(shape: readonly number[], at: (coordinate: readonly number[]) => Dim): Dim[] | undefined {
  const n = sizeOf(shape);
  if (n > maxKnownElements) return undefined;
  const coordinate = new Array<number>(shape.length).fill(0);
  const out: Dim[] = [];
  for (let k = 0; k < n; k++) {
    out.push(at(coordinate));
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      coordinate[axis]!++;
      if (coordinate[axis]! < shape[axis]!) break;
      coordinate[axis] = 0;
    }
  }
  return out;
}

/** Reads contents of `shape` at a coordinate of an equal or higher rank, axes of length 1 repeating (broadcasting). */
export function reader(contents: readonly Dim[], shape: readonly number[]): (coordinate: readonly number[]) => Dim {
  const strides = stridesOf(shape).map((s, i) => (shape[i] === 1 ? 0 : s));
  return (coordinate) => {
    const offset = coordinate.length - shape.length;
    let at = 0;
    for (let i = 0; i < shape.length; i++) at += coordinate[offset + i]! * strides[i]!;
    return contents[at];
  };
}
