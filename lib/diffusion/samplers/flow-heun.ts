import type { Tensor } from "../../tensor/index.js";
import type { Denoiser, SamplerOptions, Step } from "../contracts.js";
import { Trajectory } from "./trajectory.js";

/**
 * Heun's method on a flow's own path (1−s)x₀ + sε, s = σ/(1+σ): the velocities ε̂ − x̂₀ of both ends are averaged;
 * order 2, two model calls a step and one for a last step to σ = 0.
 * @see Karras et al. 2022, arXiv:2206.00364, algorithm 1; Esser et al. 2024, arXiv:2403.03206, §3.1 (the path)
 */
export async function* flowHeun(
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
    const slope = path.slope(denoised, sigma);
    if (sigmaNext === 0) {
      path.combine(1, [slope], [-sigma]);
    } else {
      const ahead = path.combine(1, [slope], [sigmaNext - sigma], { to: new Float64Array(state.length) });
      const denoisedAhead = await path.denoise(sigmaNext, ahead);
      const slopeAhead = path.slope(denoisedAhead, sigmaNext, ahead);
      const step = sigmaNext / (1 + sigmaNext) - sigma / (1 + sigma);
      for (let i = 0; i < state.length; i++) {
        const velocity = (slope[i]! - denoised.data[i]! + slopeAhead[i]! - denoisedAhead.data[i]!) / 2;
        state[i] = (state[i]! / (1 + sigma) + step * velocity) * (1 + sigmaNext);
      }
    }
    yield path.step(interval, denoised);
  }
}
