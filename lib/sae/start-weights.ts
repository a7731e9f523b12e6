import { float32, type Rng, type Tensor } from "../tensor/index.js";
import type { SaeVariant, SaeWeights } from "./variant.js";

/**
 * How an SAE starts: random decoder directions of the variant's norm, the encoder equal to the decoder, b_enc 0 and
 * b_dec at the geometric median of the (normalised) data. @see arXiv:2406.04093, appendix A.1
 */
export function startWeights({ decoderNorm }: SaeVariant, features: number, median: Tensor<"float32">, rng: Rng): SaeWeights {
  const width = median.size;
  const rows = rng.normals(features * width);
  for (let f = 0; f < features; f++) {
    const row = rows.subarray(f * width, (f + 1) * width);
    const norm = Math.sqrt(row.reduce((sum, x) => sum + x * x, 0));
    for (let i = 0; i < width; i++) row[i]! *= decoderNorm / norm;
  }
  const W_dec = float32(rows, [features, width]);
  return { W_enc: W_dec.clone(), b_enc: float32(new Float32Array(features)), W_dec, b_dec: median };
}

/** Factor that brings the mean squared norm of the vectors [n, d] to d; 1 if all are 0. */
export function normalizingScale(vectors: Tensor<"float32">): number {
  const total = vectors.data.reduce((sum, x) => sum + x * x, 0);
  return total > 0 ? Math.sqrt(vectors.size / total) : 1;
}

/**
 * The point with the least summed distance to the vectors [n, d], by Weiszfeld's iteration: a centre that outliers
 * hardly move.
 * @returns [d]
 */
export function geometricMedian(vectors: Tensor<"float32">, iterations = 50, tolerance = 1e-6): Tensor<"float32"> {
  const [count, width] = vectors.shape as [number, number];
  const { data } = vectors;
  let centre = new Float64Array(width);
  for (let i = 0; i < data.length; i++) centre[i % width]! += data[i]! / count;
  for (let round = 0; round < iterations; round++) {
    const next = new Float64Array(width);
    let weights = 0;
    for (let n = 0; n < count; n++) {
      let squared = 0;
      for (let i = 0; i < width; i++) squared += (data[n * width + i]! - centre[i]!) ** 2;
      // a vector at the centre itself must not swallow the others
      const weight = 1 / Math.max(Math.sqrt(squared), 1e-8);
      weights += weight;
      for (let i = 0; i < width; i++) next[i]! += weight * data[n * width + i]!;
    }
    let moved = 0;
    let length = 0;
    for (let i = 0; i < width; i++) {
      next[i]! /= weights;
      moved += (next[i]! - centre[i]!) ** 2;
      length += next[i]! ** 2;
    }
    centre = next;
    if (moved <= tolerance * tolerance * length) break;
  }
  return float32(Float32Array.from(centre));
}
