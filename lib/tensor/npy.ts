import { FormatError } from "./format-error.js";
import { allocate, arrayFromBytes, bytesPerElement, type DType, sizeOf, Tensor, type TypedArray } from "./tensor.js";

const dtypeOf: ReadonlyMap<string, DType> = new Map([
  ["f4", "float32"],
  ["f8", "float64"],
  ["f2", "float16"],
  ["i1", "int8"],
  ["u1", "uint8"],
  ["i2", "int16"],
  ["u2", "uint16"],
  ["i4", "int32"],
  ["u4", "uint32"],
  ["i8", "int64"],
  ["u8", "uint64"],
  ["b1", "bool"],
]);
const codeOf: ReadonlyMap<DType, string> = new Map(Array.from(dtypeOf, ([code, dtype]) => [dtype, code]));

/**
 * Reads numpy's `.npy` bytes (versions 1–3, either byte order); Fortran-ordered arrays are rewritten in C order.
 * @throws FormatError if the bytes are not an array of a supported dtype
 * @see https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
 */
export function readNpy(bytes: Uint8Array): Tensor {
  if (bytes.byteLength < 10 || String.fromCharCode(...bytes.subarray(0, 6)) !== "\x93NUMPY") {
    throw new FormatError("npy", "the magic string \\x93NUMPY is missing");
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const lengthBytes = bytes[6] === 1 ? 2 : 4;
  if (bytes.byteLength < 8 + lengthBytes) throw new FormatError("npy", "the file ends inside its header");
  const headerStart = 8 + lengthBytes;
  const dataStart = headerStart + (lengthBytes === 2 ? view.getUint16(8, true) : view.getUint32(8, true));
  const header = new TextDecoder().decode(bytes.subarray(headerStart, dataStart));

  const [, order, code] = /'descr': *'([<>|=]?)([a-zA-Z]\d+)'/.exec(header) ?? [];
  const [, fortran] = /'fortran_order': *(True|False)/.exec(header) ?? [];
  const [, dimensions] = /'shape': *\(([\d, ]*)\)/.exec(header) ?? [];
  if (code === undefined || fortran === undefined || dimensions === undefined) {
    throw new FormatError("npy", `cannot read the header ${JSON.stringify(header.trim())}; structured dtypes are not supported`);
  }
  const dtype = dtypeOf.get(code);
  if (!dtype)
    throw new FormatError("npy", `dtype "${code}" is not supported; convert to one of ${[...dtypeOf.keys()].join(", ")}`);
  const shape = dimensions.split(",").flatMap((d) => (d.trim() === "" ? [] : [Number(d)]));
  const needed = sizeOf(shape) * bytesPerElement(dtype);
  if (bytes.byteLength - dataStart < needed) {
    throw new FormatError(
      "npy",
      `${dtype}[${shape.join(", ")}] needs ${needed} bytes of data, got ${bytes.byteLength - dataStart}`,
    );
  }
  let data = bytes.subarray(dataStart, dataStart + needed);
  if (order === ">") data = swapBytes(data, bytesPerElement(dtype));
  const values = arrayFromBytes(dtype, data);
  return new Tensor(dtype, fortran === "True" ? toRowMajor(dtype, values, shape) : values, shape);
}

/** The tensor as `.npy` version 1 bytes, little-endian, C order. @throws TypeError for bfloat16, which numpy lacks */
export function encodeNpy(tensor: Tensor): Uint8Array {
  const code = codeOf.get(tensor.dtype);
  if (!code) throw new TypeError(`encodeNpy: numpy has no ${tensor.dtype}; convert to float32 first`);
  const order = bytesPerElement(tensor.dtype) === 1 ? "|" : "<";
  const shape = tensor.shape.length === 1 ? `(${tensor.shape[0]},)` : `(${tensor.shape.join(", ")})`;
  const text = `{'descr': '${order}${code}', 'fortran_order': False, 'shape': ${shape}, }`;
  // numpy aligns the data to 64 bytes and ends the header with a newline.
  const dataStart = Math.ceil((10 + text.length + 1) / 64) * 64;
  const bytes = new Uint8Array(dataStart + tensor.byteLength);
  bytes.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0]);
  new DataView(bytes.buffer).setUint16(8, dataStart - 10, true);
  bytes.set(new TextEncoder().encode(`${text.padEnd(dataStart - 11)}\n`), 10);
  bytes.set(tensor.bytes, dataStart);
  return bytes;
}

function swapBytes(bytes: Uint8Array, width: number): Uint8Array {
  const swapped = bytes.slice();
  for (let i = 0; i < swapped.length; i += width) swapped.subarray(i, i + width).reverse();
  return swapped;
}

/** Column-major values in row-major order. */
function toRowMajor<D extends DType>(dtype: D, values: TypedArray, shape: readonly number[]): Tensor<D>["data"] {
  const out = allocate(dtype, values.length);
  const index = shape.map(() => 0);
  const strides = shape.map((_, axis) => sizeOf(shape.slice(0, axis)));
  for (let i = 0; i < out.length; i++) {
    out[i] = values[index.reduce((sum, position, axis) => sum + position * strides[axis]!, 0)]!;
    for (let axis = shape.length - 1; axis >= 0 && ++index[axis]! === shape[axis]; axis--) index[axis] = 0;
  }
  return out;
}
