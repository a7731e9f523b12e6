import { GraphBuilder } from "../program/index.js";
import { beginTask, openSession, uploadTensor } from "../runtime/index.js";
import { float32, type Tensor } from "../tensor/index.js";
import { blocks, columnMeans, expectRows } from "./rows.js";

/** How far apart two points are: |a − b|, or 1 − cos(a, b). */
export type Metric = "euclidean" | "cosine";

export interface NeighboursOptions {
  /** Neighbours per point. */
  readonly k: number;
  /** Default "euclidean". */
  readonly metric?: Metric;
  /** Other points whose neighbours in `x` are wanted, [m, d]; without them each point of `x` is asked for, itself left out. */
  readonly queries?: Tensor;
  readonly signal?: AbortSignal;
  /** Called with queries done and all queries. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** The k nearest points of every query, nearest first; equally near ones by their index. */
export interface Neighbours {
  readonly k: number;
  /** Row-major [queries, k]. */
  readonly indices: Int32Array;
  /** Row-major [queries, k], in the metric's unit. */
  readonly distances: Float32Array;
}

/** Candidates beyond k: the matrix product ranks in float32, the order among candidates is then settled in float64. */
const spare = 8;

/** Most scores of one block, so that a block stays near 64 MiB. */
const scoresPerBlock = 2 ** 24;

/**
 * Exact nearest neighbours: blocks of a matrix product with TopK behind it, on the runtime; distances of what is
 * found are then computed in float64.
 * @param x points as rows, float32 [n, d]
 * @throws RangeError if k is outside 1…n−1 (1…n with queries); DegenerateInputError on NaN, or a zero vector under cosine
 */
export async function nearestNeighbours(x: Tensor, options: NeighboursOptions): Promise<Neighbours> {
  const { k, metric = "euclidean", signal } = options;
  const all = expectRows(x, "nearestNeighbours");
  const [n, d] = all.shape as [number, number];
  const asked = options.queries === undefined ? all : expectRows(options.queries, "nearestNeighbours: queries");
  const m = asked.shape[0]!;
  const skipsItself = options.queries === undefined;
  const most = skipsItself ? n - 1 : n;
  if (!Number.isInteger(k) || k < 1 || k > most) {
    throw new RangeError(`nearestNeighbours: k must be 1…${most} for ${n} points, got ${k}; lower k or add points`);
  }
  if (asked.shape[1] !== d) throw new RangeError(`nearestNeighbours: queries must be [m, ${d}] like the points, got ${asked}`);

  // Both metrics become a largest-score search: q·p − |p|²/2 around the mean, or the product of unit vectors.
  const centre = metric === "euclidean" ? columnMeans(all) : new Float64Array(d);
  const points = placed(all, metric, centre);
  const queries = skipsItself ? points : placed(asked, metric, centre);
  const bias = float32(metric === "euclidean" ? halfSquares(points) : new Float32Array(n), [1, n]);
  const candidates = Math.min(n, k + (skipsItself ? 1 : 0) + spare);

  const indices = new Int32Array(m * k);
  const distances = new Float32Array(m * k);
  await using session = await openSession(scoreGraph(n, d, candidates));
  const resident = await Promise.all([uploadTensor(points), uploadTensor(bias)]);
  using task = beginTask("nearestNeighbours", { total: m, unit: "points", told: options.onProgress });
  try {
    for (const [start, end] of blocks(m, n, scoresPerBlock)) {
      const feeds = { queries: queries.slice(start, end), points: resident[0], bias: resident[1] };
      const { nearest } = await session.run(feeds, signal ? { signal } : {});
      const found = nearest!.data as BigInt64Array;
      for (let q = start; q < end; q++) {
        const list: { index: number; distance: number }[] = [];
        for (let c = 0; c < candidates; c++) {
          const index = Number(found[(q - start) * candidates + c]!);
          if (skipsItself && index === q) continue;
          list.push({ index, distance: distanceBetween(queries, q, points, index, metric) });
        }
        list.sort((a, b) => a.distance - b.distance || a.index - b.index);
        for (let j = 0; j < k; j++) {
          indices[q * k + j] = list[j]!.index;
          distances[q * k + j] = list[j]!.distance;
        }
      }
      task.at(end);
      options.onProgress?.(end, m);
    }
  } finally {
    for (const tensor of resident) tensor.dispose();
  }
  return { k, indices, distances };
}

function scoreGraph(n: number, d: number, candidates: number): ReturnType<GraphBuilder["model"]> {
  const g = new GraphBuilder({ name: "nearest neighbours" });
  const scores = g.gemm(g.input("queries", "float32", ["rows", d]), g.input("points", "float32", [n, d]), {
    transB: true,
    c: g.input("bias", "float32", [1, n]),
  });
  const [, nearest] = g.ops("TopK", [scores, g.ints([candidates])], { axis: 1 }, 2);
  g.output(nearest!, "nearest");
  return g.model();
}

/** Points relative to a centre, which keeps small distances of far-off points exact; or as unit vectors. */
function placed({ data, shape }: Tensor<"float32">, metric: Metric, centre: Float64Array): Tensor<"float32"> {
  const [n, d] = shape as [number, number];
  const out = new Float32Array(data.length);
  for (let i = 0; i < n; i++) {
    let length = 1;
    if (metric === "cosine") {
      length = Math.sqrt(data.subarray(i * d, (i + 1) * d).reduce((sum, v) => sum + v * v, 0));
      if (length === 0) throw new RangeError(`nearestNeighbours: point ${i} is zero and has no direction; use "euclidean"`);
    }
    for (let j = 0; j < d; j++) out[i * d + j] = (data[i * d + j]! - centre[j]!) / length;
  }
  return float32(out, shape);
}

function halfSquares({ data, shape }: Tensor<"float32">): Float32Array {
  const [n, d] = shape as [number, number];
  return Float32Array.from({ length: n }, (_, i) => -0.5 * data.subarray(i * d, (i + 1) * d).reduce((sum, v) => sum + v * v, 0));
}

function distanceBetween(a: Tensor<"float32">, i: number, b: Tensor<"float32">, j: number, metric: Metric): number {
  const d = a.shape[1]!;
  let sum = 0;
  for (let c = 0; c < d; c++) sum += (a.data[i * d + c]! - b.data[j * d + c]!) ** 2;
  return metric === "euclidean" ? Math.sqrt(sum) : sum / 2; // |u − v|²/2 = 1 − cos for unit vectors
}
