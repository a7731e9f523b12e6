import type { Tensor } from "../../tensor/index.js";
import type { Denoiser, SamplerOptions, Step } from "../contracts.js";
import { type ChurnOptions, raiseNoise } from "./churn.js";
import { Trajectory } from "./trajectory.js";

/**
 * Euler's method on the probability-flow ODE dx/dσ = (x − x̂₀)/σ, with churn if asked for; order 1, one model call a step.
 * @see Karras et al. 2022, arXiv:2206.00364, algorithm 2 without lines 9–11
 */
export async function* euler(
  denoiser: Denoiser,
  x: Tensor<"float32">,
  sigmas: Float64Array,
  options: SamplerOptions & ChurnOptions = {},
): AsyncGenerator<Step, void, undefined> {
  const path = new Trajectory(denoiser, x, sigmas, options);
  for (const interval of path.intervals()) {
    const sigma = raiseNoise(path, interval, sigmas.length - 1, options);
    const denoised = await path.denoise(sigma);
    path.combine(1, [path.slope(denoised, sigma)], [interval.sigmaNext - sigma]);
    yield path.step(interval, denoised);
  }
}
