import { UMAP } from "umap-js";
import { beginTask, currentSignal } from "../runtime/index.js";
import { float32, Rng, type Tensor } from "../tensor/index.js";
import { type Embedding, embeddingOf } from "./embedding.js";
import { type Metric, type Neighbours, nearestNeighbours } from "./nearest-neighbours.js";
import { pca } from "./pca.js";
import { DegenerateInputError, expectRows } from "./rows.js";

export interface UmapOptions {
  /** Neighbours that define a point's surroundings; default 15. More shows coarser structure. */
  readonly neighbours?: number;
  /** How close points may come in the embedding, 0…1; default 0.1. */
  readonly minDistance?: number;
  /** Coordinates; default 2. */
  readonly components?: number;
  /** Default "euclidean". */
  readonly metric?: Metric;
  /** Default 0. */
  readonly seed?: number;
  /** Passes over the graph's edges; default 500 for few points down to 200 above 7500. */
  readonly epochs?: number;
  /** Called with epochs done and all epochs. */
  readonly onProgress?: (epoch: number, epochs: number) => void;
  /** Where the points come from, for the embedding's manifest. */
  readonly source?: unknown;
  /** Ends the layout at the next epoch. */
  readonly signal?: AbortSignal;
}

/**
 * UMAP: a layout in which points that are neighbours in the data lie together. Neighbours are exact; the layout
 * starts from the principal components, so that the seed decides details rather than the arrangement. Points that
 * are equal in every coordinate are laid out once and share their place.
 * @param x points as rows, float32 [n, d]
 * @throws RangeError on options out of range; DegenerateInputError on NaN or too few distinct points
 * @throws the signal's reason
 * @see McInnes, Healy & Melville 2018, arXiv:1802.03426
 */
export async function umap(x: Tensor, options: UmapOptions = {}): Promise<Embedding> {
  const {
    neighbours = 15,
    minDistance = 0.1,
    components = 2,
    metric = "euclidean",
    seed = 0,
    epochs,
    signal = currentSignal(),
  } = options;
  const all = expectRows(x, "umap");
  for (const [name, value, low] of [
    ["neighbours", neighbours, 2],
    ["components", components, 1],
    ["epochs", epochs ?? 1, 1],
  ] as const) {
    if (!Number.isInteger(value) || value < low)
      throw new RangeError(`umap: ${name} must be a whole number ≥ ${low}, got ${value}`);
  }
  if (!(minDistance >= 0 && minDistance <= 1)) throw new RangeError(`umap: minDistance must be 0…1, got ${minDistance}`);
  const { rows, placeOf } = distinct(all);
  const [n, d] = rows.shape as [number, number];
  if (n <= neighbours) {
    throw new DegenerateInputError(
      `umap: needs more than ${neighbours} distinct points, got ${n} among ${all.shape[0]}; lower neighbours or add points`,
    );
  }
  if (components > d) throw new RangeError(`umap: components must be 1…${d} for ${all}, got ${components}`);
  signal?.throwIfAborted();

  const near = await nearestNeighbours(rows, { k: neighbours - 1, metric, ...(signal && { signal }) });
  const rng = new Rng(seed);
  const layout = new UMAP({
    nNeighbors: neighbours,
    minDist: minDistance,
    nComponents: components,
    random: () => rng.uint32() * 2 ** -32,
    ...(epochs !== undefined && { nEpochs: epochs }),
  });
  layout.setPrecomputedKNN(...withItself(near, n));
  const data = Array.from({ length: n }, (_, i) => Array.from(rows.data.subarray(i * d, (i + 1) * d)));
  const total = layout.initializeFit(data);
  const start = (await pca(rows, { components, seed, ...(signal && { signal }) })).transform(rows);
  startFrom(layout.getEmbedding(), start, rng);

  using task = beginTask("umap", { total, unit: "epochs", told: options.onProgress });
  let shown = performance.now();
  for (let epoch = 1; epoch <= total; epoch++) {
    layout.step();
    // Let progress be drawn and an interruption arrive, without paying for it at every epoch.
    if (performance.now() - shown > 50 || epoch === total) {
      task.at(epoch);
      options.onProgress?.(epoch, total);
      await new Promise(setImmediate);
      signal?.throwIfAborted();
      shown = performance.now();
    }
  }
  const placed = layout.getEmbedding();
  const points = new Float32Array(placeOf.length * components);
  placeOf.forEach((place, i) => {
    points.set(placed[place]!, i * components);
  });
  const settings = { neighbours, minDistance, components, metric, seed, epochs: total, source: options.source, signal };
  return embeddingOf(all, float32(points, [placeOf.length, components]), "umap", settings);
}

/** The points without repetitions, and which of them each point is. */
function distinct(points: Tensor<"float32">): { rows: Tensor<"float32">; placeOf: Int32Array } {
  const [n, d] = points.shape as [number, number];
  const bytes = Buffer.from(points.data.buffer, points.data.byteOffset, points.data.byteLength);
  const places = new Map<string, number>();
  const firsts: number[] = [];
  const placeOf = Int32Array.from({ length: n }, (_, i) => {
    const key = bytes.toString("latin1", i * d * 4, (i + 1) * d * 4);
    const known = places.get(key);
    if (known !== undefined) return known;
    places.set(key, firsts.length);
    return firsts.push(i) - 1;
  });
  if (firsts.length === n) return { rows: points, placeOf };
  const data = new Float32Array(firsts.length * d);
  firsts.forEach((from, to) => {
    data.set(points.data.subarray(from * d, (from + 1) * d), to * d);
  });
  return { rows: float32(data, [firsts.length, d]), placeOf };
}

/** umap-js counts each point as its own first neighbour, at distance 0. */
function withItself({ k, indices, distances }: Neighbours, n: number): [indices: number[][], distances: number[][]] {
  return [
    Array.from({ length: n }, (_, i) => [i, ...indices.subarray(i * k, (i + 1) * k)]),
    Array.from({ length: n }, (_, i) => [0, ...distances.subarray(i * k, (i + 1) * k)]),
  ];
}

/** Puts the layout's points where the start says, scaled to −10…10, with a little noise so that none coincide. */
function startFrom(embedding: number[][], start: Tensor<"float32">, rng: Rng): void {
  const k = start.shape[1]!;
  const largest = start.data.reduce((max, v) => Math.max(max, Math.abs(v)), 0);
  embedding.forEach((point, i) => {
    for (let c = 0; c < k; c++) point[c] = (10 / largest) * start.data[i * k + c]! + 1e-4 * rng.normal();
  });
}
