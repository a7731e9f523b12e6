import { readFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { writeFileAtomic } from "./atomic-write.js";
import { FormatError } from "./format-error.js";
import { arrayFromBytes, bytesPerElement, type DType, sizeOf, Tensor } from "./tensor.js";

const codeOf: Record<DType, string> = {
  float32: "F32",
  float64: "F64",
  float16: "F16",
  bfloat16: "BF16",
  int8: "I8",
  uint8: "U8",
  int16: "I16",
  uint16: "U16",
  int32: "I32",
  uint32: "U32",
  int64: "I64",
  uint64: "U64",
  bool: "BOOL",
};
const dtypeOf: ReadonlyMap<string, DType> = new Map(Object.entries(codeOf).map(([dtype, code]) => [code, dtype as DType]));

/** The reference implementation's bound on the header. */
const longestHeader = 100_000_000;

interface Entry {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Byte range after the header. */
  readonly start: number;
  readonly end: number;
}

interface Header {
  readonly entries: ReadonlyMap<string, Entry>;
  readonly metadata: Readonly<Record<string, string>>;
  /** Where the tensors' bytes begin in the file. */
  readonly dataStart: number;
}

/** The content of a safetensors file. */
export interface Safetensors {
  readonly tensors: Readonly<Record<string, Tensor>>;
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * Reads a whole safetensors file. Tensors are views into the bytes where alignment allows.
 * @param source the file's bytes, or its path
 * @throws FormatError if the header or an offset is not what the format requires
 * @see https://huggingface.co/docs/safetensors
 */
export function readSafetensors(source: Uint8Array | string): Safetensors {
  const bytes = typeof source === "string" ? readFileSync(source) : source;
  const headerLength = readHeaderLength(bytes, bytes.byteLength);
  const header = parseHeader(bytes.subarray(8, 8 + headerLength), bytes.byteLength);
  const tensors = Object.fromEntries(
    Array.from(header.entries, ([name, entry]) => {
      const data = bytes.subarray(header.dataStart + entry.start, header.dataStart + entry.end);
      return [name, tensorFrom(entry, data)];
    }),
  );
  return { tensors, metadata: header.metadata };
}

/** A safetensors file held open: tensors are read one at a time, when asked for. */
export interface SafetensorsFile extends AsyncDisposable {
  readonly names: readonly string[];
  readonly metadata: Readonly<Record<string, string>>;
  /** dtype and shape, without reading the data. @throws RangeError if there is no tensor `name` */
  describe(name: string): { dtype: DType; shape: readonly number[] };
  /** @throws RangeError if there is no tensor `name` */
  read(name: string): Promise<Tensor>;
  close(): Promise<void>;
}

/** Opens a safetensors file for reading single tensors. @throws FormatError if its header is not valid */
export async function openSafetensors(path: string): Promise<SafetensorsFile> {
  const file = await open(path, "r");
  try {
    const { size } = await file.stat();
    const readAt = async (position: number, length: number): Promise<Uint8Array> => {
      const bytes = new Uint8Array(length);
      for (let done = 0; done < length; ) {
        const { bytesRead } = await file.read(bytes, done, length - done, position + done);
        if (bytesRead === 0) throw new FormatError("safetensors", `${path} ended at byte ${position + done} while being read`);
        done += bytesRead;
      }
      return bytes;
    };
    const headerLength = readHeaderLength(await readAt(0, Math.min(8, size)), size);
    const header = parseHeader(await readAt(8, headerLength), size);
    const entry = (name: string): Entry => {
      const found = header.entries.get(name);
      if (found) return found;
      throw new RangeError(
        `safetensors: ${path} has no tensor "${name}"; it has ${Array.from(header.entries.keys()).join(", ")}`,
      );
    };
    const close = (): Promise<void> => file.close();
    return {
      names: [...header.entries.keys()],
      metadata: header.metadata,
      describe: (name) => ({ dtype: entry(name).dtype, shape: entry(name).shape }),
      read: async (name) => {
        const found = entry(name);
        return tensorFrom(found, await readAt(header.dataStart + found.start, found.end - found.start));
      },
      close,
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/**
 * Writes a safetensors file atomically: `path` holds the whole new file or what it held before.
 * As in the reference implementation, wide dtypes come first so that every tensor is aligned, then names in order.
 */
export async function writeSafetensors(
  path: string,
  tensors: Readonly<Record<string, Tensor>>,
  metadata?: Readonly<Record<string, string>>,
): Promise<void> {
  const sorted = Object.entries(tensors).sort(
    ([nameA, a], [nameB, b]) => bytesPerElement(b.dtype) - bytesPerElement(a.dtype) || (nameA < nameB ? -1 : 1),
  );
  const header: [string, unknown][] = metadata ? [["__metadata__", metadata]] : [];
  let offset = 0;
  for (const [name, { dtype, shape, byteLength }] of sorted) {
    if (name === "__metadata__") throw new RangeError(`writeSafetensors: "__metadata__" is reserved; rename the tensor`);
    header.push([name, { dtype: codeOf[dtype], shape, data_offsets: [offset, offset + byteLength] }]);
    offset += byteLength;
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)));
  const head = new Uint8Array(8 + Math.ceil(json.byteLength / 8) * 8).fill(0x20);
  new DataView(head.buffer).setBigUint64(0, BigInt(head.byteLength - 8), true);
  head.set(json, 8);
  await writeFileAtomic(path, [head, ...sorted.map(([, tensor]) => tensor.bytes)]);
}

function tensorFrom({ dtype, shape }: Entry, bytes: Uint8Array): Tensor {
  return new Tensor(dtype, arrayFromBytes(dtype, bytes), shape);
}

function readHeaderLength(start: Uint8Array, fileSize: number): number {
  if (fileSize < 8) throw new FormatError("safetensors", `a file has at least 8 bytes, got ${fileSize}`);
  const length = new DataView(start.buffer, start.byteOffset).getBigUint64(0, true);
  if (length > BigInt(longestHeader) || 8n + length > BigInt(fileSize)) {
    throw new FormatError(
      "safetensors",
      `the header claims ${length} bytes in a file of ${fileSize}; it is truncated or not safetensors`,
    );
  }
  return Number(length);
}

function parseHeader(bytes: Uint8Array, fileSize: number): Header {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new FormatError("safetensors", `the header is not JSON (${(cause as Error).message})`);
  }
  if (!isRecord(json)) throw new FormatError("safetensors", "the header is not a JSON object");
  const { __metadata__: metadata = {}, ...rest } = json;
  if (!isRecord(metadata) || !Object.values(metadata).every((value) => typeof value === "string")) {
    throw new FormatError("safetensors", "__metadata__ holds something other than strings");
  }
  const entries = new Map(Object.entries(rest).map(([name, value]) => [name, parseEntry(name, value)]));
  // The format forbids overlaps and holes: ranges in order must tile the data exactly.
  let covered = 0;
  for (const [name, { start, end }] of [...entries].sort(([, a], [, b]) => a.start - b.start || a.end - b.end)) {
    if (start !== covered) throw new FormatError("safetensors", `"${name}" starts at byte ${start}, expected ${covered}`);
    covered = end;
  }
  const dataStart = 8 + bytes.byteLength;
  if (dataStart + covered !== fileSize) {
    throw new FormatError("safetensors", `the header describes ${covered} bytes of data, the file holds ${fileSize - dataStart}`);
  }
  return { entries, metadata: metadata as Record<string, string>, dataStart };
}

function parseEntry(name: string, value: unknown): Entry {
  const { dtype: code, shape, data_offsets: offsets } = isRecord(value) ? value : {};
  const dtype = dtypeOf.get(code as string);
  if (!dtype) {
    throw new FormatError(
      "safetensors",
      `"${name}" has dtype ${JSON.stringify(code)}; expected one of ${[...dtypeOf.keys()].join(", ")}`,
    );
  }
  if (!isSizes(shape)) throw new FormatError("safetensors", `"${name}" has shape ${JSON.stringify(shape)}`);
  if (!isSizes(offsets) || offsets.length !== 2) {
    throw new FormatError("safetensors", `"${name}" has data_offsets ${JSON.stringify(offsets)}; expected [start, end]`);
  }
  const [start, end] = offsets as [number, number];
  const needed = sizeOf(shape) * bytesPerElement(dtype);
  if (end - start !== needed) {
    throw new FormatError(
      "safetensors",
      `"${name}" (${dtype}[${shape.join(", ")}]) needs ${needed} bytes, its offsets span ${end - start}`,
    );
  }
  return { dtype, shape, start, end };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0);
}
