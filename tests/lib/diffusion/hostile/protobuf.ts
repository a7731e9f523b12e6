/** A field of a protobuf message, as a value that can be changed and written again. */
export interface Field {
  number: number;
  /** 0 varint, 1 eight bytes, 2 bytes or a message, 5 four bytes. */
  wire: 0 | 1 | 2 | 5;
  value: bigint | Uint8Array | Field[];
}

type Schema = { readonly [field: number]: Schema | "graph" };

const tensor: Schema = { 13: {}, 3: {} };
const dims: Schema = { 1: { 1: {} } };
const valueInfo: Schema = { 2: { 1: { 2: dims } } };
const attribute: Schema = { 5: tensor, 6: "graph", 10: tensor, 11: "graph" };
const graph: Schema = { 1: { 5: attribute, 9: {} }, 5: tensor, 11: valueInfo, 12: valueInfo, 13: valueInfo };

/** Which fields of an ONNX model are messages. */
export const modelSchema: Schema = { 7: graph, 8: {}, 14: {} };

/** The fields of a message; bytes that are none stay bytes. */
export function parse(bytes: Uint8Array, schema: Schema = modelSchema): Field[] {
  const fields: Field[] = [];
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      if (byte === undefined) throw new RangeError("parse: the message ends within a number");
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = Number(varint());
    const [number, wire] = [tag >>> 3, (tag & 7) as Field["wire"]];
    if (wire === 0) fields.push({ number, wire, value: varint() });
    else {
      const length = wire === 1 ? 8 : wire === 5 ? 4 : Number(varint());
      const content = bytes.slice(at, at + length);
      at += length;
      const inner = wire === 2 ? schema[number] : undefined;
      const value = inner === undefined ? content : parse(content, inner === "graph" ? graph : inner);
      fields.push({ number, wire, value });
    }
  }
  return fields;
}

/** The bytes of a message. */
export function write(fields: readonly Field[]): Uint8Array {
  const parts: number[] = [];
  const varint = (value: bigint): void => {
    let rest = BigInt.asUintN(64, value);
    while (rest > 127n) {
      parts.push(Number(rest & 127n) | 128);
      rest >>= 7n;
    }
    parts.push(Number(rest));
  };
  for (const { number, wire, value } of fields) {
    varint(BigInt(number * 8 + wire));
    if (typeof value === "bigint") varint(value);
    else {
      const bytes = Array.isArray(value) ? write(value) : value;
      if (wire === 2) varint(BigInt(bytes.length));
      for (const byte of bytes) parts.push(byte);
    }
  }
  return Uint8Array.from(parts);
}

/** Every field of a message and of those inside it, with the fields around it. */
export function* everyField(
  fields: Field[],
  path: readonly number[] = [],
): Generator<{ field: Field; among: Field[]; path: readonly number[] }> {
  for (const field of fields) {
    const here = [...path, field.number];
    yield { field, among: fields, path: here };
    if (Array.isArray(field.value)) yield* everyField(field.value, here);
  }
}
