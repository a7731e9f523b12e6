import { crc32, deflateSync, inflateSync } from "node:zlib";
import { FormatError } from "./format-error.js";

const signature = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const colourTypeOf = { 1: 0, 3: 2, 4: 6 } as const;
const channelsOf: ReadonlyMap<number, 1 | 3 | 4> = new Map([
  [0, 1],
  [2, 3],
  [6, 4],
]);

/** A picture: rows from the top, channels interleaved (gray, RGB or RGBA), 8 bits each. */
export interface Picture {
  readonly pixels: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly channels: 1 | 3 | 4;
}

/**
 * The PNG file of an 8-bit picture.
 * @param pixels height × width × channels, interleaved, rows from the top
 * @throws RangeError if `pixels` does not have that many elements
 * @see W3C PNG, third edition, https://www.w3.org/TR/png-3/
 */
export function encodePng(
  pixels: Uint8Array | Uint8ClampedArray,
  width: number,
  height: number,
  channels: 1 | 3 | 4,
): Uint8Array {
  if (!(width >= 1 && height >= 1) || pixels.length !== width * height * channels) {
    throw new RangeError(
      `encodePng: ${width}×${height}×${channels} needs ${width * height * channels} bytes ≥ 1, got ${pixels.length}`,
    );
  }
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8, colourTypeOf[channels]], 8);
  const data = deflateSync(filterRows(pixels, width * channels, channels), { level: 9 });
  const chunks = [Uint8Array.from(signature), chunk("IHDR", header), chunk("IDAT", data), chunk("IEND", new Uint8Array(0))];
  return new Uint8Array(Buffer.concat(chunks));
}

/**
 * The picture in a PNG file: 8-bit gray, RGB or RGBA, not interlaced.
 * @throws FormatError if the bytes are damaged or the picture is of another kind
 */
export function decodePng(bytes: Uint8Array): Picture {
  if (!signature.every((byte, i) => bytes[i] === byte)) throw new FormatError("png", "the PNG signature is missing");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const data: Uint8Array[] = [];
  let header: DataView | undefined;
  for (let at = signature.length; ; ) {
    if (at + 12 > bytes.byteLength) throw new FormatError("png", "the file ends before its IEND chunk");
    const length = view.getUint32(at);
    const end = at + 8 + length;
    if (end + 4 > bytes.byteLength) throw new FormatError("png", `a chunk of ${length} bytes runs past the end of the file`);
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (crc32(bytes.subarray(at + 4, end)) !== view.getUint32(end)) throw new FormatError("png", `the ${type} chunk is damaged`);
    if (type === "IEND") break;
    if (type === "IHDR" && length === 13) header = new DataView(bytes.buffer, bytes.byteOffset + at + 8, length);
    if (type === "IDAT") data.push(bytes.subarray(at + 8, end));
    at = end + 4;
  }
  if (!header) throw new FormatError("png", "the header chunk is missing");
  const width = header.getUint32(0);
  const height = header.getUint32(4);
  const channels = channelsOf.get(header.getUint8(9));
  if (header.getUint8(8) !== 8 || !channels || header.getUint8(12) !== 0) {
    throw new FormatError(
      "png",
      "only 8-bit gray, RGB and RGBA without interlacing are supported; save the picture as one of these",
    );
  }
  const size = height * (width * channels + 1);
  if (size < 2 || size > 2 ** 31) throw new FormatError("png", `a picture of ${width}×${height} is out of range`);
  let rows: Uint8Array;
  try {
    // The bound keeps a small file from inflating into all memory.
    rows = inflateSync(Buffer.concat(data), { maxOutputLength: size });
  } catch (cause) {
    throw new FormatError("png", `the picture data is damaged (${(cause as Error).message})`);
  }
  if (rows.length !== size) throw new FormatError("png", `the picture data has ${rows.length} bytes, expected ${size}`);
  return { pixels: unfilterRows(rows, width * channels, channels), width, height, channels };
}

function chunk(type: string, data: Uint8Array): Uint8Array {
  const bytes = Buffer.alloc(data.length + 12);
  bytes.writeUInt32BE(data.length, 0);
  bytes.write(type, 4, "latin1");
  bytes.set(data, 8);
  bytes.writeUInt32BE(crc32(bytes.subarray(4, data.length + 8)), data.length + 8);
  return bytes;
}

/** What a filter predicts from the bytes to the left, above, and above left. */
const predictors: readonly ((left: number, up: number, upLeft: number) => number)[] = [
  () => 0,
  (left) => left,
  (_, up) => up,
  (left, up) => (left + up) >> 1,
  (left, up, upLeft) => {
    const toLeft = Math.abs(up - upLeft);
    const toUp = Math.abs(left - upLeft);
    const toUpLeft = Math.abs(left + up - 2 * upLeft);
    return toLeft <= toUp && toLeft <= toUpLeft ? left : toUp <= toUpLeft ? up : upLeft;
  },
];

/** Each row by the filter with the smallest sum of absolute residuals, the heuristic that the PNG specification suggests. */
function filterRows(pixels: Uint8Array | Uint8ClampedArray, stride: number, step: number): Uint8Array {
  const height = pixels.length / stride;
  const out = new Uint8Array(height * (stride + 1));
  const residual = new Uint8Array(stride);
  for (let y = 0; y < height; y++) {
    let best = Number.POSITIVE_INFINITY;
    predictors.forEach((predict, filter) => {
      let cost = 0;
      for (let i = 0; i < stride; i++) {
        const at = y * stride + i;
        const left = i < step ? 0 : pixels[at - step]!;
        const up = y === 0 ? 0 : pixels[at - stride]!;
        const upLeft = i < step || y === 0 ? 0 : pixels[at - stride - step]!;
        const difference = (pixels[at]! - predict(left, up, upLeft)) & 255;
        residual[i] = difference;
        cost += difference < 128 ? difference : 256 - difference;
      }
      if (cost >= best) return;
      best = cost;
      out[y * (stride + 1)] = filter;
      out.set(residual, y * (stride + 1) + 1);
    });
  }
  return out;
}

function unfilterRows(rows: Uint8Array, stride: number, step: number): Uint8Array {
  const height = rows.length / (stride + 1);
  const out = new Uint8Array(height * stride);
  for (let y = 0; y < height; y++) {
    const filter = rows[y * (stride + 1)]!;
    const predict = predictors[filter];
    if (!predict) throw new FormatError("png", `row ${y} has filter ${filter}; filters are 0…4`);
    for (let i = 0; i < stride; i++) {
      const at = y * stride + i;
      const left = i < step ? 0 : out[at - step]!;
      const up = y === 0 ? 0 : out[at - stride]!;
      const upLeft = i < step || y === 0 ? 0 : out[at - stride - step]!;
      out[at] = rows[y * (stride + 1) + 1 + i]! + predict(left, up, upLeft);
    }
  }
  return out;
}
