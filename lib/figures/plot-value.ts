import { Tensor } from "../tensor/tensor.js";

/** Numeric arrays that Plotly takes compactly, as base64 of their bytes. */
export type PlotArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Uint8ClampedArray
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array;

/** What a figure is made of: JSON, plus typed arrays and tensors, which stay as they are until the figure is shown. */
export type PlotValue =
  | null
  | undefined
  | boolean
  | number
  | string
  | PlotArray
  | Tensor
  | readonly PlotValue[]
  | { readonly [key: string]: PlotValue };

export type PlotObject = { readonly [key: string]: PlotValue };

/** One Plotly trace. */
export type Trace = { readonly type: string; readonly [key: string]: PlotValue };

/** JSON as Plotly reads it. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

const base64Dtypes: Readonly<Record<string, string>> = {
  Float32Array: "f4",
  Float64Array: "f8",
  Int8Array: "i1",
  Uint8Array: "u1",
  Uint8ClampedArray: "u1c",
  Int16Array: "i2",
  Uint16Array: "u2",
  Int32Array: "i4",
  Uint32Array: "u4",
};

const plottableDtypes: readonly string[] = ["float32", "float64", "int8", "uint8", "int16", "uint16", "int32", "uint32", "bool"];

/** A typed array as Plotly's `{dtype, bdata, shape}` (little-endian bytes in base64; readers: plotly.js ≥ 2.28). */
function encodeArray(array: PlotArray, shape?: readonly number[]): Json {
  const dtype = base64Dtypes[array.constructor.name];
  if (dtype === undefined) throw new TypeError(`plotJson: cannot plot a ${array.constructor.name}; convert it to Float32Array`);
  const bdata = Buffer.from(array.buffer, array.byteOffset, array.byteLength).toString("base64");
  return shape !== undefined && shape.length > 1 ? { dtype, bdata, shape: shape.join(", ") } : { dtype, bdata };
}

/**
 * The JSON that Plotly draws: typed arrays and tensors become base64, undefined fields go, non-finite numbers become null.
 * @throws TypeError for a tensor of half floats or 64-bit integers
 */
export function plotJson(value: PlotValue): Json {
  if (value === undefined || value === null) return null;
  if (typeof value === "number") return Number.isFinite(value) ? value : null;
  if (typeof value === "string" || typeof value === "boolean") return value;
  if (value instanceof Tensor) {
    if (!plottableDtypes.includes(value.dtype)) throw new TypeError(`plotJson: cannot plot ${value}; convert it to float32`);
    return encodeArray(value.data as PlotArray, value.shape);
  }
  if (ArrayBuffer.isView(value)) return encodeArray(value as PlotArray);
  if (Array.isArray(value)) return (value as readonly PlotValue[]).map(plotJson);
  const json: { [key: string]: Json } = {};
  for (const [key, field] of Object.entries(value as PlotObject)) if (field !== undefined) json[key] = plotJson(field);
  return json;
}
