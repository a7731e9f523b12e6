import type { Tensor } from "../../tensor/index.js";
import type { Denoiser, SamplerOptions, Step } from "../contracts.js";
import { Trajectory } from "./trajectory.js";

export interface DdimInverseOptions extends SamplerOptions {
  /**
   * The level each step is taken to start from, where a schedule starts elsewhere than where the last step led to. The
   * variance-preserving state x/√(1+σ²) is then carried over as it is.
   */
  readonly takeoffs?: Float64Array;
  /**
   * Instead: each step is solved for the state that DDIM would come from, by this many fixed-point iterations with ε̂ at the
   * level it leads to. What is left of the error of inversion falls with each.
   */
  readonly fixedPointIterations?: number;
}

/**
 * DDIM inversion: x' = x̂₀ + σ'·ε̂ along rising levels, from data to the noise that DDIM would draw it from. It may start
 * at σ = 0 if the denoiser gives ε̂ itself. Clipping makes it inexact.
 * @see Song et al. 2020, arXiv:2010.02502, §4.3; Mokady et al. 2022, arXiv:2211.09794; fixed points: Pan et al. 2023,
 *   arXiv:2309.04907, and Garibi et al. 2024, arXiv:2403.14602
 */
export async function* ddimInverse(
  denoiser: Denoiser,
  x: Tensor<"float32">,
  sigmas: Float64Array,
  options: DdimInverseOptions = {},
): AsyncGenerator<Step, void, undefined> {
  const path = new Trajectory(denoiser, x, sigmas, options, "rising");
  let direction: ArrayLike<number> | undefined;
  for (const interval of path.intervals()) {
    const { index, sigmaNext } = interval;
    if (options.fixedPointIterations !== undefined) {
      // The last step's direction is nearer to this one's than none.
      const start = path.state.slice();
      if (direction) path.combine(1, [direction], [sigmaNext - interval.sigma]);
      let denoised: Tensor<"float32"> | undefined;
      for (let k = 0; k < options.fixedPointIterations; k++) {
        const predicted = await path.epsilon(sigmaNext);
        direction = predicted.epsilon;
        denoised = predicted.denoised;
        path.combine(1, [direction], [sigmaNext - interval.sigma], { from: start });
      }
      yield path.step(interval, denoised!);
      continue;
    }
    const sigma = options.takeoffs?.[index] ?? interval.sigma;
    path.combine(Math.sqrt((1 + sigma ** 2) / (1 + interval.sigma ** 2)), [], []);
    const { epsilon, denoised } = await path.epsilon(sigma);
    if (options.clip) path.combine(0, [denoised.data, epsilon], [1, sigmaNext]);
    else path.combine(1, [epsilon], [sigmaNext - sigma]);
    yield path.step(interval, denoised);
  }
}
