import type { DType } from "../../tensor/index.js";

/** ONNX TensorProto.DataType numbers, as they occur in the attributes `to` and `dtype`. */
const byNumber: Readonly<Record<number, DType>> = {
  1: "float32",
  2: "uint8",
  3: "int8",
  4: "uint16",
  5: "int16",
  6: "int32",
  7: "int64",
  9: "bool",
  10: "float16",
  11: "float64",
  12: "uint32",
  13: "uint64",
  16: "bfloat16",
};

/** The dtype an ONNX element type number stands for; undefined for strings, complex numbers and packed types. */
export function elementType(number: number): DType | undefined {
  return byNumber[number];
}
