import type { Tensor } from "../../tensor/index.js";
import type { Denoiser, SamplerOptions, Step } from "../contracts.js";
import { Trajectory } from "./trajectory.js";

/**
 * Euler's method on the probability-flow ODE dx/dσ = (x − x̂₀)/σ; order 1, one model call a step.
 * @see Karras et al. 2022, arXiv:2206.00364, algorithm 1 without lines 6–8
 */
export async function* euler(
  denoiser: Denoiser,
  x: Tensor<"float32">,
  sigmas: Float64Array,
  options: SamplerOptions = {},
): AsyncGenerator<Step, void, undefined> {
  const path = new Trajectory(denoiser, x, sigmas, options);
  const { state } = path;
  for (const interval of path.intervals()) {
    const { sigma, sigmaNext } = interval;
    const denoised = await path.denoise(sigma);
    for (let i = 0; i < state.length; i++) {
      const slope = (state[i]! - denoised.data[i]!) / sigma;
      state[i] = state[i]! + (sigmaNext - sigma) * slope;
    }
    yield path.step(interval, denoised);
  }
}
