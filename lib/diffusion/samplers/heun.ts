import type { Tensor } from "../../tensor/index.js";
import type { Denoiser, SamplerOptions, Step } from "../contracts.js";
import { type ChurnOptions, raiseNoise } from "./churn.js";
import { Trajectory } from "./trajectory.js";

/**
 * Heun's method on the probability-flow ODE, with churn if asked for: an Euler step, then again with the mean of the slopes
 * at both ends; order 2, two model calls a step and one for a last step to σ = 0.
 * @see Karras et al. 2022, arXiv:2206.00364, algorithm 2
 */
export async function* heun(
  denoiser: Denoiser,
  x: Tensor<"float32">,
  sigmas: Float64Array,
  options: SamplerOptions & ChurnOptions = {},
): AsyncGenerator<Step, void, undefined> {
  const path = new Trajectory(denoiser, x, sigmas, options);
  for (const interval of path.intervals()) {
    const { sigmaNext } = interval;
    const sigma = raiseNoise(path, interval, sigmas.length - 1, options);
    const denoised = await path.denoise(sigma);
    const slope = path.slope(denoised, sigma);
    if (sigmaNext === 0) {
      path.combine(1, [slope], [-sigma]);
    } else {
      const ahead = path.combine(1, [slope], [sigmaNext - sigma], { to: new Float64Array(x.size) });
      const slopeAhead = path.slope(await path.denoise(sigmaNext, ahead), sigmaNext, ahead);
      path.combine(1, [slope, slopeAhead], [(sigmaNext - sigma) / 2, (sigmaNext - sigma) / 2]);
    }
    yield path.step(interval, denoised);
  }
}
