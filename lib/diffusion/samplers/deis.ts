import type { Tensor } from "../../tensor/index.js";
import type { Denoiser, SamplerOptions, Step } from "../contracts.js";
import { lagrangeWeights, type MultistepOptions, multistepOrder } from "./multistep.js";
import { Trajectory } from "./trajectory.js";

/**
 * DEIS (log-ρAB): ε̂ of the last calls, interpolated by a polynomial in log σ, is integrated over the step; order 2 by
 * default, up to 3, one model call a step.
 * @see Zhang & Chen 2022, arXiv:2204.13902 (ρAB-DEIS, in log ρ)
 */
export async function* deis(
  denoiser: Denoiser,
  x: Tensor<"float32">,
  sigmas: Float64Array,
  options: SamplerOptions & MultistepOptions = {},
): AsyncGenerator<Step, void, undefined> {
  const path = new Trajectory(denoiser, x, sigmas, options);
  let slopes: Float64Array[] = [];
  for (const interval of path.intervals()) {
    const { index, sigma, sigmaNext } = interval;
    const denoised = await path.denoise(sigma);
    slopes = [path.slope(denoised, sigma), ...slopes].slice(0, options.order ?? 2);
    const order = multistepOrder(index, sigmas.length - 1, options);
    const nodes = slopes.slice(0, order).map((_, k) => Math.log(sigmas[index - k]! / sigma));
    path.combine(1, slopes, lagrangeWeights(nodes, logMoments(sigma, sigmaNext, order)));
    yield path.step(interval, denoised);
  }
}

/** ∫ log(s/σ)ᵏ ds from σ to σ' for k < count, by parts. */
function logMoments(sigma: number, sigmaNext: number, count: number): number[] {
  const moments = [sigmaNext - sigma];
  for (let k = 1; k < count; k++) {
    const atEnd = sigmaNext === 0 ? 0 : sigmaNext * Math.log(sigmaNext / sigma) ** k;
    moments.push(atEnd - k * moments[k - 1]!);
  }
  return moments;
}
