import type { Tensor } from "../../tensor/index.js";
import type { Denoiser, SamplerOptions, Step } from "../contracts.js";
import { Trajectory } from "./trajectory.js";

/**
 * Heun's method on the probability-flow ODE: an Euler step, then again with the mean of the slopes at both ends;
 * order 2, two model calls a step and one for a last step to σ = 0.
 * @see Karras et al. 2022, arXiv:2206.00364, algorithm 1
 */
export async function* heun(
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
    const slope = state.map((value, i) => (value - denoised.data[i]!) / sigma);
    const ahead = state.map((value, i) => value + (sigmaNext - sigma) * slope[i]!);
    if (sigmaNext === 0) {
      state.set(ahead);
    } else {
      const denoisedAhead = await path.denoise(sigmaNext, ahead);
      for (let i = 0; i < state.length; i++) {
        const slopeAhead = (ahead[i]! - denoisedAhead.data[i]!) / sigmaNext;
        state[i] = state[i]! + ((sigmaNext - sigma) * (slope[i]! + slopeAhead)) / 2;
      }
    }
    yield path.step(interval, denoised);
  }
}
