import type { DType } from "../../tensor/index.js";

/** ONNX's number for each dtype (TensorProto.DataType): what `Cast` takes as `to`. */
export const dataTypeCodes: Readonly<Record<DType, number>> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  float64: 11,
  uint32: 12,
  uint64: 13,
  bfloat16: 16,
};

const dtypesByCode = new Map(Object.entries(dataTypeCodes).map(([dtype, code]) => [code, dtype as DType]));

/** The dtype of an ONNX number; undefined for those without one here (strings, complex, 8- and 4-bit floats). */
export function dtypeOfCode(code: number): DType | undefined {
  return dtypesByCode.get(code);
}
