import { bytesPerElement, type DType, sizeOf } from "../../tensor/index.js";
import type { Initializer, InitializerData } from "../graph.js";
import { dtypeOfCode } from "./data-type.js";
import { concatenate, extrasOf, rememberSource } from "./origin.js";
import { entryField, tensorField } from "./schema.js";
import type { WireReader } from "./wire-reader.js";

/** Where a TensorProto keeps its elements: one of the typed fields, or `raw_data`. */
interface Stored {
  raw: Uint8Array | undefined;
  readonly fixed: Uint8Array[];
  /** Varints as pairs of 32-bit halves, low first. */
  readonly halves: number[];
  readonly external: Map<string, string>;
}

/** A TensorProto as an initializer; undefined where its element type is none of ours (strings, complex, 8- and 4-bit floats). */
export function decodeTensor(r: WireReader): Initializer | undefined {
  const shape: number[] = [];
  const unmodelled: Uint8Array[] = [];
  const stored: Stored = { raw: undefined, fixed: [], halves: [], external: new Map() };
  let code = 0;
  let name = "";
  let external = false;
  while (r.next()) {
    switch (r.field) {
      case tensorField.dims:
        for (const dim of r.ints()) shape.push(dim);
        break;
      case tensorField.dataType:
        code = r.int();
        break;
      case tensorField.name:
        name = r.string();
        break;
      case tensorField.rawData:
        stored.raw = r.bytes();
        break;
      case tensorField.floatData:
        stored.fixed.push(r.fixed(4));
        break;
      case tensorField.doubleData:
        stored.fixed.push(r.fixed(8));
        break;
      case tensorField.int32Data:
      case tensorField.int64Data:
      case tensorField.uint64Data:
        r.halvesInto(stored.halves);
        break;
      case tensorField.externalData: {
        const [key, value] = decodeEntry(r.message());
        stored.external.set(key, value);
        break;
      }
      case tensorField.dataLocation:
        external = r.int() === 1;
        break;
      default:
        unmodelled.push(r.unknown());
    }
  }
  const dtype = dtypeOfCode(code);
  if (dtype === undefined) return undefined;
  if (shape.some((d) => d < 0)) throw r.error(`expected tensor "${name}" to have dimensions ≥ 0, got [${shape.join(", ")}]`);
  const length = sizeOf(shape) * bytesPerElement(dtype);
  const data: InitializerData = external
    ? externalData(r, name, stored.external, length)
    : { kind: "bytes", bytes: elementBytes(dtype, stored) };
  const got = data.kind === "bytes" ? data.bytes.length : data.length;
  if (got !== length) {
    throw r.error(`expected tensor "${name}" ${dtype}[${shape.join(", ")}] to hold ${length} bytes, got ${got}`);
  }
  return rememberSource({ name, dtype, shape, data, ...extrasOf(unmodelled) }, r.source());
}

function elementBytes(dtype: DType, { raw, fixed, halves }: Stored): Uint8Array {
  if (raw !== undefined) return raw;
  if (fixed.length > 0) return concatenate(fixed);
  const width = bytesPerElement(dtype);
  const words = Uint32Array.from(halves);
  if (width === 8) return new Uint8Array(words.buffer);
  // Narrow elements, half floats' bit patterns among them, stand one per varint in its low bytes.
  const bytes = new Uint8Array(words.buffer);
  const out = new Uint8Array((halves.length / 2) * width);
  for (let i = 0; i < out.length; i++) out[i] = bytes[Math.floor(i / width) * 8 + (i % width)]!;
  return out;
}

function externalData(r: WireReader, name: string, entries: ReadonlyMap<string, string>, size: number): InitializerData {
  const location = entries.get("location");
  const offset = Number(entries.get("offset") ?? 0);
  const length = Number(entries.get("length") ?? size);
  if (!location) throw r.error(`expected external tensor "${name}" to name its file`);
  if (!Number.isSafeInteger(offset) || offset < 0) {
    throw r.error(`expected external tensor "${name}" to have an offset ≥ 0, got ${entries.get("offset")}`);
  }
  return { kind: "external", location, offset, length };
}

/** A StringStringEntryProto. */
export function decodeEntry(r: WireReader): [key: string, value: string] {
  let key = "";
  let value = "";
  while (r.next()) {
    if (r.field === entryField.key) key = r.string();
    else if (r.field === entryField.value) value = r.string();
    else r.unknown();
  }
  return [key, value];
}
