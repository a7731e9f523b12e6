import { GraphBuilder } from "../program/index.js";
import { openSession, type Session } from "../runtime/index.js";
import { float32, orthonormalRows, Rng, symmetricEigen, Tensor } from "../tensor/index.js";
import { type Embedding, embeddingOf } from "./embedding.js";
import { blocks, columnMeans, expectRows } from "./rows.js";

export interface PcaOptions {
  /** Directions to keep; default 2. */
  readonly components?: number;
  /** "auto" is exact up to 1024 coordinates and randomized above. */
  readonly method?: "auto" | "exact" | "randomized";
  /** Of the randomized method's start; default 0. */
  readonly seed?: number;
  readonly signal?: AbortSignal;
}

/** Above this many coordinates the eigenvectors of the whole covariance take longer than the few that are wanted. */
const exactLimit = 1024;

/** Spare directions and power iterations: Halko et al. advise 5 to 10 and a few; more iterations cost little here. */
const oversampling = 10;
const iterations = 7;

/** Principal components of a set of points: the orthogonal directions of largest variance around their mean. */
export class Pca {
  /** Unit directions as rows, float32 [components, d]; in each the coordinate of largest size is positive. */
  readonly components: Tensor<"float32">;
  /** What is subtracted before projecting, [d]. */
  readonly mean: Float64Array;
  /** Variance along each component, divisor n − 1. */
  readonly explainedVariance: Float64Array;
  /** The same as shares of the total variance. */
  readonly explainedVarianceRatio: Float64Array;
  readonly method: "exact" | "randomized";

  /** @internal Use `pca`. */
  constructor(parts: Pick<Pca, "components" | "mean" | "explainedVariance" | "explainedVarianceRatio" | "method">) {
    this.components = parts.components;
    this.mean = parts.mean;
    this.explainedVariance = parts.explainedVariance;
    this.explainedVarianceRatio = parts.explainedVarianceRatio;
    this.method = parts.method;
  }

  /** Coordinates along the components: float32 [m, d] → [m, components]. @throws RangeError on another d */
  transform(x: Tensor): Tensor<"float32"> {
    const points = expectRows(x, "Pca.transform");
    const [m, d] = points.shape as [number, number];
    const k = this.components.shape[0]!;
    if (d !== this.mean.length) throw new RangeError(`Pca.transform: it was fitted to [n, ${this.mean.length}], got ${points}`);
    const out = new Float32Array(m * k);
    const centred = new Float64Array(d);
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < d; j++) centred[j] = points.data[i * d + j]! - this.mean[j]!;
      for (let c = 0; c < k; c++) {
        let sum = 0;
        for (let j = 0; j < d; j++) sum += centred[j]! * this.components.data[c * d + j]!;
        out[i * k + c] = sum;
      }
    }
    return float32(out, [m, k]);
  }

  /** Points from their coordinates: float32 [m, components] → [m, d]; what the components left out is lost. */
  inverse(z: Tensor): Tensor<"float32"> {
    const codes = expectRows(z, "Pca.inverse");
    const [k, d] = this.components.shape as [number, number];
    const m = codes.shape[0]!;
    if (codes.shape[1] !== k) throw new RangeError(`Pca.inverse: expected [m, ${k}], got ${codes}`);
    const out = new Float32Array(m * d);
    const point = new Float64Array(d);
    for (let i = 0; i < m; i++) {
      point.set(this.mean);
      for (let c = 0; c < k; c++) {
        const along = codes.data[i * k + c]!;
        for (let j = 0; j < d; j++) point[j] = point[j]! + along * this.components.data[c * d + j]!;
      }
      out.set(point, i * d);
    }
    return float32(out, [m, d]);
  }

  /** The projection as an embedding, with its trustworthiness and continuity. @param source where the points come from, for its manifest */
  embed(x: Tensor, source?: unknown): Promise<Embedding> {
    const options = { components: this.components.shape[0]!, solver: this.method, source };
    return embeddingOf(expectRows(x, "Pca.embed"), this.transform(x), "pca", options);
  }
}

/**
 * Principal component analysis. The data are centred; sums run in float64 on the runtime.
 * @param x points as rows, float32 [n, d], n ≥ 2
 * @throws RangeError if components is outside 1…min(n, d); DegenerateInputError on NaN or infinity
 * @see Halko, Martinsson & Tropp 2011, arXiv:0909.4061 (randomized)
 * @example
 * import { float32, pca } from "tweedie";
 *
 * const line = await pca(float32([0, 0, 1, 1, 2, 2], [3, 2]), { components: 1 });
 * console.log(Math.round(line.explainedVarianceRatio[0]!)); // 1
 */
export async function pca(x: Tensor, options: PcaOptions = {}): Promise<Pca> {
  const { components: k = 2, seed = 0, signal } = options;
  const points = expectRows(x, "pca");
  const [n, d] = points.shape as [number, number];
  if (n < 2 || !Number.isInteger(k) || k < 1 || k > Math.min(n, d)) {
    throw new RangeError(`pca: components must be 1…${Math.min(n, d)} of two or more points, got ${k} of ${points}`);
  }
  const mean = columnMeans(points);
  let total = 0;
  for (let i = 0; i < points.size; i++) total += (points.data[i]! - mean[i % d]!) ** 2;
  const method =
    options.method === undefined || options.method === "auto" ? (d <= exactLimit ? "exact" : "randomized") : options.method;
  const eigen =
    method === "exact" ? await exact(points, mean, k, signal) : await randomized(points, mean, k, new Rng(seed), signal);
  const explainedVariance = eigen.values.map((v) => Math.max(v, 0) / (n - 1));
  return new Pca({
    components: float32(Float32Array.from(withFixedSigns(eigen.vectors, d)), [k, d]),
    mean,
    explainedVariance,
    explainedVarianceRatio: explainedVariance.map((v) => (total === 0 ? 0 : (v * (n - 1)) / total)),
    method,
  });
}

interface Leading {
  readonly values: Float64Array;
  readonly vectors: Float64Array;
}

async function exact(points: Tensor<"float32">, mean: Float64Array, k: number, signal?: AbortSignal): Promise<Leading> {
  const d = mean.length;
  await using session = await openSession(scatterGraph(d));
  const scatter = await accumulate(session, points, mean, { signal });
  const { values, vectors } = symmetricEigen(scatter, d);
  return { values: values.subarray(0, k), vectors: vectors.subarray(0, k * d) };
}

/** Subspace iteration on the scatter matrix S, which is never formed: V ← orth(S V), then the eigenvectors of V S Vᵀ. */
async function randomized(
  points: Tensor<"float32">,
  mean: Float64Array,
  k: number,
  rng: Rng,
  signal?: AbortSignal,
): Promise<Leading> {
  const [n, d] = points.shape as [number, number];
  const r = Math.min(k + oversampling, n, d);
  await using session = await openSession(productGraph(d, r));
  const product = (rows: Float64Array): Promise<Float64Array> =>
    accumulate(session, points, mean, { signal, feeds: { directions: new Tensor("float64", rows, [r, d]) } });
  let basis = orthonormalRows(Float64Array.from(rng.normals(r * d)), r);
  for (let i = 0; i < iterations; i++) basis = orthonormalRows(await product(basis), r);
  const images = await product(basis);
  const small = new Float64Array(r * r);
  for (let i = 0; i < r; i++)
    for (let j = 0; j < r; j++) {
      let sum = 0;
      for (let c = 0; c < d; c++) sum += basis[i * d + c]! * images[j * d + c]!;
      small[i * r + j] = sum;
    }
  const { values, vectors } = symmetricEigen(small, r);
  const directions = new Float64Array(k * d);
  for (let i = 0; i < k; i++)
    for (let j = 0; j < r; j++)
      for (let c = 0; c < d; c++) directions[i * d + c] = directions[i * d + c]! + vectors[i * r + j]! * basis[j * d + c]!;
  return { values: values.subarray(0, k), vectors: directions };
}

/** Sum of a graph's outputs over blocks of points. */
async function accumulate(
  session: Session,
  points: Tensor<"float32">,
  mean: Float64Array,
  { signal, feeds = {} }: { readonly signal?: AbortSignal | undefined; readonly feeds?: Record<string, Tensor> },
): Promise<Float64Array> {
  const [n, d] = points.shape as [number, number];
  let sum: Float64Array | undefined;
  for (const [start, end] of blocks(n, d)) {
    const all = { ...feeds, x: points.slice(start, end), mean: new Tensor("float64", mean, [d]) };
    const { result } = await session.run(all, signal ? { signal } : {});
    const part = result!.data as Float64Array;
    if (sum === undefined) sum = part;
    else for (let i = 0; i < part.length; i++) sum[i] = sum[i]! + part[i]!;
  }
  return sum!;
}

function scatterGraph(d: number): ReturnType<GraphBuilder["model"]> {
  const g = new GraphBuilder({ name: "scatter matrix" });
  const centred = g
    .input("x", "float32", ["rows", d])
    .cast("float64")
    .sub(g.input("mean", "float64", [d]));
  g.output(g.gemm(centred, centred, { transA: true }), "result");
  return g.model();
}

/** Directions V [r, d] → (S V)ᵀ of the block's scatter matrix S, [r, d]. */
function productGraph(d: number, r: number): ReturnType<GraphBuilder["model"]> {
  const g = new GraphBuilder({ name: "scatter matrix times directions" });
  const centred = g
    .input("x", "float32", ["rows", d])
    .cast("float64")
    .sub(g.input("mean", "float64", [d]));
  const along = g.gemm(g.input("directions", "float64", [r, d]), centred, { transB: true });
  g.output(along.matmul(centred), "result");
  return g.model();
}

/** A direction and its opposite are the same axis; the largest coordinate decides which of the two is given. */
function withFixedSigns(vectors: Float64Array, d: number): Float64Array {
  for (let start = 0; start < vectors.length; start += d) {
    const row = vectors.subarray(start, start + d);
    let largest = 0;
    for (let j = 1; j < d; j++) if (Math.abs(row[j]!) > Math.abs(row[largest]!)) largest = j;
    if (row[largest]! < 0) for (let j = 0; j < d; j++) row[j] = -row[j]!;
  }
  return vectors;
}
