import type { Attribute, Graph } from "../graph.js";
import { decodeTensor } from "./decode-tensor.js";
import { concatenate, rememberAttribute } from "./origin.js";
import { attributeType, attributeField as field } from "./schema.js";
import type { WireReader } from "./wire-reader.js";

type DecodeGraph = (r: WireReader) => Graph;

/** Models of IR version 1 leave the type out: the field that is there tells it. */
const typeOfField = new Map<number, number>([
  [field.f, attributeType.float],
  [field.i, attributeType.int],
  [field.s, attributeType.string],
  [field.t, attributeType.tensor],
  [field.g, attributeType.graph],
  [field.floats, attributeType.floats],
  [field.ints, attributeType.ints],
  [field.strings, attributeType.strings],
  [field.graphs, attributeType.graphs],
]);

/** An AttributeProto and its name. What `Attribute` cannot say stays as its fields' bytes, tagged "opaque". */
export function decodeAttribute(r: WireReader, decodeGraph: DecodeGraph): [name: string, attribute: Attribute] {
  let name = "";
  let type = 0;
  let implied = 0;
  let reference = false;
  while (r.next()) {
    if (r.field === field.name) {
      name = r.string();
      continue;
    }
    if (r.field === field.type) {
      type = r.int();
      continue;
    }
    implied = typeOfField.get(r.field) ?? implied;
    reference ||= r.field === field.refAttrName;
    r.unknown();
  }
  const attribute = (reference ? undefined : decodeValue(r, type || implied, decodeGraph)) ?? opaque(r);
  return [name, rememberAttribute(attribute, name, r.source())];
}

function decodeValue(r: WireReader, type: number, decodeGraph: DecodeGraph): Attribute | undefined {
  switch (type) {
    case attributeType.float:
      return { type: "float", value: valuesOf(r, field.f, () => [r.float()]).at(-1) ?? 0 };
    case attributeType.int:
      return { type: "int", value: valuesOf(r, field.i, () => [r.int()]).at(-1) ?? 0 };
    case attributeType.string: {
      const value = valuesOf(r, field.s, () => [r.string()]).at(-1) ?? "";
      // Custom operators put binary data in strings, which no JavaScript string can hold.
      return value.includes("\ufffd") ? undefined : { type: "string", value };
    }
    case attributeType.tensor: {
      const value = valuesOf(r, field.t, () => [decodeTensor(r.message())]).at(-1);
      return value && { type: "tensor", value };
    }
    case attributeType.graph: {
      const value = valuesOf(r, field.g, () => [decodeGraph(r.message())]).at(-1);
      return value && { type: "graph", value };
    }
    case attributeType.floats:
      return { type: "floats", value: valuesOf(r, field.floats, () => r.floats()) };
    case attributeType.ints:
      return { type: "ints", value: valuesOf(r, field.ints, () => r.ints()) };
    case attributeType.strings: {
      const value = valuesOf(r, field.strings, () => [r.string()]);
      return value.some((s) => s.includes("\ufffd")) ? undefined : { type: "strings", value };
    }
    case attributeType.graphs:
      return { type: "graphs", value: valuesOf(r, field.graphs, () => [decodeGraph(r.message())]) };
    default:
      return undefined;
  }
}

/** What `read` yields at each occurrence of a field. */
function valuesOf<T>(r: WireReader, field: number, read: () => Iterable<T>): T[] {
  const values: T[] = [];
  r.rewind();
  while (r.next()) {
    if (r.field !== field) r.unknown();
    else for (const value of read()) values.push(value);
  }
  return values;
}

function opaque(r: WireReader): Attribute {
  const fields: Uint8Array[] = [];
  r.rewind();
  while (r.next()) {
    const bytes = r.unknown();
    if (r.field !== field.name) fields.push(bytes);
  }
  return { type: "opaque", bytes: concatenate(fields) };
}
