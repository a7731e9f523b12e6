import { expectFloat32, float32, type Rng, type Tensor } from "../tensor/index.js";

/** Activation vectors that can be addressed by number, wherever they are kept. */
export interface VectorSource {
  /** Number of vectors, n. */
  readonly count: number;
  /** Length of each, d. */
  readonly width: number;
  /** The vectors of those numbers, in that order: [indices.length, d]. */
  rows(indices: Uint32Array): Tensor<"float32"> | Promise<Tensor<"float32">>;
  /** Where the vectors come from, where that is known: plain JSON. */
  readonly manifest?: unknown;
}

/** A matrix [n, d], a source of its own, or tensors [m, d] one after another (read once, kept in memory). */
export type Vectors = Tensor | VectorSource | Iterable<Tensor> | AsyncIterable<Tensor>;

/** @throws TypeError if they are not float32 matrices; RangeError if widths differ or there are none */
export async function vectorSource(data: Vectors): Promise<VectorSource> {
  if ("rows" in data) return data;
  if ("dtype" in data) return tensorSource(matrixOf(data));
  const parts: Tensor<"float32">[] = [];
  for await (const part of data) parts.push(matrixOf(part));
  const width = parts[0]?.shape[1] ?? 0;
  const other = parts.find((p) => p.shape[1] !== width);
  if (other !== undefined)
    throw new RangeError(`SAE data: vectors of length ${width} are followed by ${other}; collect one place at a time`);
  const all = new Float32Array(parts.reduce((n, p) => n + p.size, 0));
  let end = 0;
  for (const part of parts) {
    all.set(part.data, end);
    end += part.size;
  }
  return tensorSource(matrixOf(float32(all, [width === 0 ? 0 : all.length / width, width])));
}

function matrixOf(data: Tensor): Tensor<"float32"> {
  const matrix = expectFloat32(data, "SAE data");
  if (matrix.shape.length !== 2 || matrix.size === 0)
    throw new RangeError(`SAE data: expected vectors as rows [n, d] with n, d ≥ 1, got ${data}; reshape it`);
  return matrix;
}

function tensorSource(matrix: Tensor<"float32">): VectorSource {
  const [count, width] = matrix.shape as [number, number];
  return {
    count,
    width,
    rows(indices) {
      const out = new Float32Array(indices.length * width);
      indices.forEach((index, i) => {
        out.set(matrix.data.subarray(index * width, (index + 1) * width), i * width);
      });
      return float32(out, [indices.length, width]);
    },
  };
}

/** At most `most` of the source's vectors, drawn without replacement. */
export async function sampleVectors(source: VectorSource, most: number, rng: Rng): Promise<Tensor<"float32">> {
  const order =
    source.count <= most
      ? Uint32Array.from({ length: source.count }, (_, i) => i)
      : rng.permutation(source.count).slice(0, most).sort();
  return await source.rows(order);
}

/** All vectors in order, `size` at a time. */
export async function* chunksOf(source: VectorSource, size: number): AsyncGenerator<Tensor<"float32">> {
  for (let start = 0; start < source.count; start += size) {
    const length = Math.min(size, source.count - start);
    yield await source.rows(Uint32Array.from({ length }, (_, i) => start + i));
  }
}

/**
 * Numbers of the vectors in batch `step`: epoch after epoch, each in a random order of its own. A function of the
 * step alone, so that a resumed training sees what an unbroken one would.
 */
export function shuffledBatches(count: number, batchSize: number, rng: Rng): (step: number) => Uint32Array {
  const orders = new Map<number, Uint32Array>();
  const orderOf = (epoch: number): Uint32Array => {
    let order = orders.get(epoch);
    if (order === undefined) {
      order = rng.fork(epoch).permutation(count);
      for (const old of orders.keys()) if (old < epoch - 1) orders.delete(old);
      orders.set(epoch, order);
    }
    return order;
  };
  return (step) =>
    Uint32Array.from({ length: batchSize }, (_, i) => {
      const position = step * batchSize + i;
      return orderOf(Math.floor(position / count))[position % count]!;
    });
}
