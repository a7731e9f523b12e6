const utf8 = new TextEncoder();

/** Largest message protobuf readers accept. */
const maxMessageBytes = 2 ** 31 - 1;

/**
 * A protobuf message under construction. Sizes are added up while fields come in; `finish` then writes once into a
 * buffer of exactly that size, so weights are copied a single time however deep they sit.
 */
export class WireWriter {
  /** Numbers are varints. */
  private readonly parts: (number | Uint8Array | WireWriter)[] = [];
  private size = 0;

  /** An int, enum or bool field; negative numbers as two's complement int64. */
  int(field: number, value: number): void {
    this.push(field * 8);
    this.push(value);
  }

  float(field: number, value: number): void {
    this.push(field * 8 + 5);
    this.raw(new Uint8Array(Float32Array.of(value).buffer));
  }

  string(field: number, value: string): void {
    this.bytes(field, utf8.encode(value));
  }

  bytes(field: number, value: Uint8Array): void {
    this.push(field * 8 + 2);
    this.push(value.length);
    this.raw(value);
  }

  /** A submessage: under construction, or already encoded. */
  message(field: number, message: WireWriter | Uint8Array): void {
    if (message instanceof Uint8Array) {
      this.bytes(field, message);
      return;
    }
    this.push(field * 8 + 2);
    this.push(message.size);
    this.parts.push(message);
    this.size += message.size;
  }

  /** Fields that are encoded already, tags included. */
  raw(fields: Uint8Array | undefined): void {
    if (fields === undefined || fields.length === 0) return;
    this.parts.push(fields);
    this.size += fields.length;
  }

  /** @throws RangeError above protobuf's 2 GiB */
  finish(): Uint8Array {
    if (this.size > maxMessageBytes) {
      throw new RangeError(
        `encodeModel: a model file holds at most ${maxMessageBytes} bytes, got ${this.size}; save it with { externalData: true }`,
      );
    }
    const out = new Uint8Array(this.size);
    this.writeTo(out, 0);
    return out;
  }

  private push(varint: number): void {
    this.parts.push(varint);
    this.size += varintSize(varint);
  }

  private writeTo(out: Uint8Array, start: number): number {
    let at = start;
    for (const part of this.parts) {
      if (typeof part === "number") at = writeVarint(out, at, part);
      else if (part instanceof WireWriter) at = part.writeTo(out, at);
      else {
        out.set(part, at);
        at += part.length;
      }
    }
    return at;
  }
}

function varintSize(value: number): number {
  if (value < 0) return 10;
  let size = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) size++;
  return size;
}

function writeVarint(out: Uint8Array, start: number, value: number): number {
  let at = start;
  let low = value >>> 0;
  let high = Math.floor(value / 2 ** 32) >>> 0;
  while (high > 0 || low >= 128) {
    out[at++] = (low & 127) | 128;
    low = ((low >>> 7) | (high << 25)) >>> 0;
    high >>>= 7;
  }
  out[at++] = low;
  return at;
}
