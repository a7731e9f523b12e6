import { ModelFormatError } from "./model-format-error.js";

const wireTypeNames = ["varint", "64-bit", "length-delimited", "group", "group end", "32-bit"];

/**
 * Walks the fields of one protobuf message. Nothing is copied, and every length is checked against the message it stands
 * in before it is believed.
 */
export class WireReader {
  /** Number of the field that `next` stopped at. */
  field = 0;
  private wireType = 0;
  private fieldStart: number;
  private at: number;
  private readonly start: number;
  private readonly end: number;
  private readonly buffer: Buffer;
  private readonly path: string | undefined;
  // The last varint, as two unsigned halves.
  private low = 0;
  private high = 0;

  constructor(buffer: Buffer, path?: string, start = 0, end: number = buffer.length) {
    this.buffer = buffer;
    this.path = path;
    this.start = start;
    this.fieldStart = start;
    this.at = start;
    this.end = end;
  }

  /** Moves to the next field; false at the end of the message. */
  next(): boolean {
    if (this.at >= this.end) return false;
    this.fieldStart = this.at;
    this.varint();
    this.wireType = this.low & 7;
    this.field = this.low >>> 3;
    if (this.field === 0 || this.high !== 0) throw this.error("expected a field number", this.fieldStart);
    return true;
  }

  /** An int64 as a number; beyond ±2⁵³ the nearest safe integer (graphs write 2⁶³-1 for "to the end"). */
  int(): number {
    this.expect(0);
    this.varint();
    return this.signed();
  }

  /** The values of a repeated integer field, packed or not. */
  *ints(): Generator<number, void, undefined> {
    for (const _ of this.varints()) yield this.signed();
  }

  /** Appends the 32-bit halves of a repeated integer field, low first. */
  halvesInto(halves: number[]): void {
    for (const _ of this.varints()) halves.push(this.low, this.high);
  }

  float(): number {
    this.expect(5);
    return this.buffer.readFloatLE(this.advance(4));
  }

  /** The values of a repeated float field, packed or not. */
  *floats(): Generator<number, void, undefined> {
    const bytes = this.fixed(4);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let at = 0; at < bytes.length; at += 4) yield view.getFloat32(at, true);
  }

  /** The little-endian bytes of a repeated float (`width` 4) or double (8) field, packed or not. */
  fixed(width: 4 | 8): Uint8Array {
    if (this.wireType !== 2) this.expect(width === 4 ? 5 : 1);
    const length = this.wireType === 2 ? this.length() : width;
    if (length % width !== 0) throw this.error(`expected a multiple of ${width} bytes, got ${length}`, this.fieldStart);
    return this.view(this.advance(length), this.at);
  }

  string(): string {
    this.expect(2);
    const start = this.advance(this.length());
    return this.buffer.toString("utf8", start, this.at);
  }

  bytes(): Uint8Array {
    this.expect(2);
    const start = this.advance(this.length());
    return this.view(start, this.at);
  }

  message(): WireReader {
    this.expect(2);
    const start = this.advance(this.length());
    return new WireReader(this.buffer, this.path, start, this.at);
  }

  /** What a length-delimited field holds; another one is stepped over. */
  content(): Uint8Array | undefined {
    if (this.wireType === 2) return this.bytes();
    this.unknown();
    return undefined;
  }

  /** Starts over, before the first field. */
  rewind(): void {
    this.at = this.start;
  }

  /** Steps over the field and returns it as it stands, tag included. */
  unknown(): Uint8Array {
    if (this.wireType === 0) this.varint();
    else if (this.wireType === 1) this.advance(8);
    else if (this.wireType === 2) this.advance(this.length());
    else if (this.wireType === 5) this.advance(4);
    else throw this.error(`expected a field, got wire type ${this.wireType}`, this.fieldStart);
    return this.fieldBytes();
  }

  /** The field just read, as it stands, tag included. */
  fieldBytes(): Uint8Array {
    return this.view(this.fieldStart, this.at);
  }

  /** The whole message. */
  source(): Uint8Array {
    return this.view(this.start, this.end);
  }

  error(message: string, offset: number = this.start): ModelFormatError {
    return new ModelFormatError(`decodeModel: ${message}; the model is damaged or no ONNX file`, { path: this.path, offset });
  }

  private view(start: number, end: number): Uint8Array {
    return new Uint8Array(this.buffer.buffer, this.buffer.byteOffset + start, end - start);
  }

  private expect(wireType: number): void {
    if (this.wireType === wireType) return;
    const got = wireTypeNames[this.wireType] ?? `wire type ${this.wireType}`;
    throw this.error(`expected field ${this.field} to be ${wireTypeNames[wireType]}, got ${got}`, this.fieldStart);
  }

  private length(): number {
    this.varint();
    return this.high * 2 ** 32 + this.low;
  }

  /** Steps over `length` bytes and returns where they begin. */
  private advance(length: number): number {
    const start = this.at;
    if (length > this.end - start) {
      throw this.error(`expected ${length} bytes in field ${this.field}, got ${this.end - start}`, start);
    }
    this.at = start + length;
    return start;
  }

  /** Steps through the varints of a repeated field; each is in `low` and `high` while the loop body runs. */
  private *varints(): Generator<void, void, undefined> {
    if (this.wireType !== 2) {
      this.expect(0);
      this.varint();
      yield;
      return;
    }
    const packed = this.length();
    const end = this.advance(packed) + packed;
    this.at = end - packed;
    while (this.at < end) {
      this.varint();
      yield;
    }
    if (this.at !== end) throw this.error("expected packed integers to fill their field", this.fieldStart);
  }

  private varint(): void {
    const { buffer, end } = this;
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.at >= end) throw this.error("expected a varint, got the end", this.at);
      const byte = buffer[this.at++]!;
      const bits = byte & 127;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high = bits >>> 4;
      } else high |= bits << (shift - 32);
      if (byte < 128) {
        this.low = low >>> 0;
        this.high = high >>> 0;
        return;
      }
    }
    throw this.error("expected a varint of at most 10 bytes", this.at);
  }

  private signed(): number {
    const value = (this.high | 0) * 2 ** 32 + this.low;
    return Math.max(Number.MIN_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, value));
  }
}
