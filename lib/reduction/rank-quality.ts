import { GraphBuilder } from "../program/index.js";
import { openSession } from "../runtime/index.js";
import { Rng, Tensor } from "../tensor/index.js";
import { nearestNeighbours } from "./nearest-neighbours.js";
import { blocks, columnMeans, expectRows } from "./rows.js";

export interface RankQualityOptions {
  /** Size of the neighbourhoods, below n/2; default 15. */
  readonly neighbours?: number;
  /** Points whose neighbourhoods are judged, drawn with `seed` if there are more; default 2000. Ranks always count all points. */
  readonly sample?: number;
  readonly seed?: number;
  readonly signal?: AbortSignal;
}

/**
 * Whether neighbours in an embedding are neighbours in the data: 1 if all are, less by how far down the data's own
 * ranking the intruders stand. Euclidean distances, ranks in float64.
 * @param x data, float32 [n, d]
 * @param embedded the same points, float32 [n, e]
 * @throws RangeError unless 1 ≤ neighbours < n/2
 * @see Venna & Kaski 2001, doi:10.1007/3-540-44668-0_68; the number that scikit-learn's `trustworthiness` gives
 */
export async function trustworthiness(x: Tensor, embedded: Tensor, options: RankQualityOptions = {}): Promise<number> {
  const { neighbours: k = 15, sample = 2000, seed = 0, signal } = options;
  const data = expectRows(x, "trustworthiness");
  const points = expectRows(embedded, "trustworthiness");
  const [n, d] = data.shape as [number, number];
  if (points.shape[0] !== n) throw new RangeError(`trustworthiness: expected ${n} embedded points, got ${points}`);
  if (!Number.isInteger(k) || k < 1 || k >= n / 2) {
    throw new RangeError(`trustworthiness: neighbours must be 1…${Math.ceil(n / 2) - 1} for ${n} points, got ${k}; lower it`);
  }
  const judged = n <= sample ? Uint32Array.from({ length: n }, (_, i) => i) : new Rng(seed).permutation(n).slice(0, sample);
  const asked = gather(points, judged);
  const shown = await nearestNeighbours(points, { k: k + 1, queries: asked, ...(signal && { signal }) });

  const mean = columnMeans(data);
  const centred = Float64Array.from(data.data, (v, i) => v - mean[i % d]!);
  let penalty = 0;
  await using session = await openSession(distanceGraph(n, d));
  for (const [start, end] of blocks(judged.length, n)) {
    const queries = new Float64Array((end - start) * d);
    for (let q = start; q < end; q++) queries.set(centred.subarray(judged[q]! * d, (judged[q]! + 1) * d), (q - start) * d);
    const feeds = { queries: new Tensor("float64", queries, [end - start, d]), points: new Tensor("float64", centred, [n, d]) };
    const { distances } = await session.run(feeds, signal ? { signal } : {});
    for (let q = start; q < end; q++) {
      const row = (distances!.data as Float64Array).subarray((q - start) * n, (q - start + 1) * n);
      const near = shown.indices
        .subarray(q * (k + 1), (q + 1) * (k + 1))
        .filter((j) => j !== judged[q])
        .subarray(0, k);
      penalty += intrusion(row, judged[q]!, near, k);
    }
  }
  return 1 - (penalty * 2) / (judged.length * k * (2 * n - 3 * k - 1));
}

/**
 * Whether neighbours in the data stay neighbours in the embedding: trustworthiness with the two spaces exchanged.
 * @see Venna & Kaski 2001, doi:10.1007/3-540-44668-0_68
 */
export function continuity(x: Tensor, embedded: Tensor, options: RankQualityOptions = {}): Promise<number> {
  return trustworthiness(embedded, x, options);
}

/** Sum of how many ranks beyond k the shown neighbours have in a row of distances. */
function intrusion(row: Float64Array, self: number, near: Int32Array, k: number): number {
  let sum = 0;
  for (const j of near) {
    const reference = row[j]!;
    let rank = 1;
    for (let i = 0; i < row.length; i++) if (row[i]! < reference && i !== self) rank++;
    if (rank > k) sum += rank - k;
  }
  return sum;
}

/** Squared distances, up to the query's own square, which is the same along a row. */
function distanceGraph(n: number, d: number): ReturnType<GraphBuilder["model"]> {
  const g = new GraphBuilder({ name: "distances" });
  const points = g.input("points", "float64", [n, d]);
  const products = g.gemm(g.input("queries", "float64", ["rows", d]), points, { transB: true });
  g.output(points.square().sum([1]).sub(products.mul(2)), "distances");
  return g.model();
}

function gather({ data, shape }: Tensor<"float32">, rows: Uint32Array): Tensor<"float32"> {
  const d = shape[1]!;
  const out = new Float32Array(rows.length * d);
  rows.forEach((from, to) => {
    out.set(data.subarray(from * d, (from + 1) * d), to * d);
  });
  return new Tensor("float32", out, [rows.length, d]);
}
