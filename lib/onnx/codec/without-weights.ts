import type { FileHandle } from "node:fs/promises";
import { writeEntries } from "./encode.js";
import { graphField, modelField, tensorField } from "./schema.js";
import { WireWriter } from "./wire-writer.js";

/**
 * The model file as it would be had its large weights been stored outside of it, at the places where they are: some
 * hundred kilobytes, however large the model.
 * @param location what the references call the file
 * @returns undefined if the file is damaged: whoever decodes all of it finds out where
 */
export async function withoutWeights(
  file: FileHandle,
  sizeBytes: number,
  location: string,
  thresholdBytes: number,
): Promise<Uint8Array | undefined> {
  const scanner = new FileScanner(file, sizeBytes);
  try {
    const model = await rewritten(scanner, { start: 0, end: sizeBytes }, modelField.graph, (graph) =>
      rewritten(scanner, graph, graphField.initializer, (tensor) => withoutRawData(scanner, tensor, location, thresholdBytes)),
    );
    return model.finish();
  } catch (error) {
    if (error instanceof DamagedError) return undefined;
    throw error;
  }
}

class DamagedError extends Error {}

interface Span {
  readonly start: number;
  readonly end: number;
}

interface Field extends Span {
  readonly number: number;
  /** The bytes of a length-delimited field; undefined for numbers. */
  readonly payload: Span | undefined;
}

const windowBytes = 2 ** 14;

/** Reads a file where it is looked at, a little ahead, and steps over the rest. */
class FileScanner {
  readonly #file: FileHandle;
  readonly #size: number;
  #window: Buffer = Buffer.alloc(0);
  #windowStart = 0;

  constructor(file: FileHandle, size: number) {
    this.#file = file;
    this.#size = size;
  }

  async bytes({ start, end }: Span): Promise<Buffer> {
    if (start < this.#windowStart || end > this.#windowStart + this.#window.length) {
      const window = Buffer.alloc(Math.min(this.#size - start, Math.max(windowBytes, end - start)));
      for (let done = 0; done < window.length; ) {
        const { bytesRead } = await this.#file.read(window, done, window.length - done, start + done);
        if (bytesRead === 0) throw new DamagedError();
        done += bytesRead;
      }
      this.#window = window;
      this.#windowStart = start;
    }
    return this.#window.subarray(start - this.#windowStart, end - this.#windowStart);
  }

  async *fields({ start, end }: Span): AsyncGenerator<Field, void, undefined> {
    for (let at = start; at < end; ) {
      // A tag and a length take at most ten bytes each.
      const head = await this.bytes({ start: at, end: Math.min(at + 20, end) });
      const tag = varint(head, 0);
      const wireType = tag.value & 7;
      let next = tag.end;
      let payload: Span | undefined;
      if (wireType === 0) next = varint(head, next).end;
      else if (wireType === 1) next += 8;
      else if (wireType === 5) next += 4;
      else if (wireType === 2) {
        const length = varint(head, next);
        payload = { start: at + length.end, end: at + length.end + length.value };
        next = length.end + length.value;
      } else throw new DamagedError();
      if (at + next > end) throw new DamagedError();
      yield { number: Math.floor(tag.value / 8), start: at, end: at + next, payload };
      at += next;
    }
  }
}

function varint(bytes: Buffer, start: number): { value: number; end: number } {
  let value = 0;
  for (let i = 0; i < 10 && start + i < bytes.length; i++) {
    const byte = bytes[start + i]!;
    value += (byte & 127) * 2 ** (7 * i);
    if (byte < 128) return { value, end: start + i + 1 };
  }
  throw new DamagedError();
}

/** A message with each submessage `number` replaced. */
async function rewritten(
  scanner: FileScanner,
  message: Span,
  number: number,
  replace: (submessage: Span) => Promise<WireWriter | Uint8Array>,
): Promise<WireWriter> {
  const w = new WireWriter();
  for await (const field of scanner.fields(message)) {
    if (field.number === number && field.payload) w.message(number, await replace(field.payload));
    else w.raw(await scanner.bytes(field));
  }
  return w;
}

/** A TensorProto that refers to its raw data where they are many. */
async function withoutRawData(
  scanner: FileScanner,
  tensor: Span,
  location: string,
  thresholdBytes: number,
): Promise<WireWriter | Uint8Array> {
  if (tensor.end - tensor.start < thresholdBytes) return scanner.bytes(tensor);
  const w = new WireWriter();
  let raw: Span | undefined;
  for await (const field of scanner.fields(tensor)) {
    const elsewhere = field.number === tensorField.dataLocation || field.number === tensorField.externalData;
    if (elsewhere || (field.number === tensorField.rawData && raw)) return scanner.bytes(tensor);
    if (field.number === tensorField.rawData && field.payload) raw = field.payload;
    else w.raw(await scanner.bytes(field));
  }
  if (raw === undefined || raw.end - raw.start < thresholdBytes) return scanner.bytes(tensor);
  writeEntries(w, tensorField.externalData, { location, offset: `${raw.start}`, length: `${raw.end - raw.start}` });
  w.int(tensorField.dataLocation, 1);
  return w;
}
