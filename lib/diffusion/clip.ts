import { Tensor } from "../tensor/index.js";

/**
 * How x̂₀ is kept in range: to ±range, or by dynamic thresholding, which clips each item of the batch to the
 * `quantile` of its absolute values (1…max) and divides by it.
 * @see Saharia et al. 2022, arXiv:2205.11487, §2.3 (dynamic thresholding)
 */
export type Clip = { readonly range: number } | { readonly quantile: number; readonly max: number };

/** x̂₀ [batch, …] in range, newly allocated. */
export function clipDenoised(denoised: Tensor<"float32">, clip: Clip): Tensor<"float32"> {
  const out = denoised.data.slice();
  if ("range" in clip) {
    for (let i = 0; i < out.length; i++) out[i] = clamp(out[i]!, clip.range);
    return new Tensor("float32", out, denoised.shape);
  }
  const perItem = out.length / (denoised.shape[0] ?? 1);
  for (let start = 0; start < out.length; start += perItem) {
    const item = out.subarray(start, start + perItem);
    const bound = Math.min(Math.max(quantile(item.map(Math.abs).sort(), clip.quantile), 1), clip.max);
    for (let i = 0; i < perItem; i++) item[i] = clamp(item[i]!, bound) / bound;
  }
  return new Tensor("float32", out, denoised.shape);
}

function clamp(value: number, bound: number): number {
  return Math.min(Math.max(value, -bound), bound);
}

function quantile(sorted: Float32Array, q: number): number {
  const position = q * (sorted.length - 1);
  const low = Math.floor(position);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low]! + (position - low) * (sorted[high]! - sorted[low]!);
}
