import type { Tensor } from "../../tensor/index.js";
import type { Denoiser, NoiseSource, SamplerOptions, Step } from "../contracts.js";
import { Trajectory } from "./trajectory.js";

export interface AnnealedLangevinOptions extends SamplerOptions {
  /** Langevin steps at each level; default 10. */
  readonly stepsPerLevel?: number;
  /** Step size relative to σ²; default 0.2. The authors' ε is this times the lowest σ². */
  readonly stepSize?: number;
  /** Where the noise comes from. */
  readonly rng?: NoiseSource;
}

/**
 * Annealed Langevin dynamics: at every level x ← x + (α/2)·(x̂₀ − x)/σ² + √α·z with α ∝ σ², several model calls a level;
 * the next level starts where this one ended. A last level of 0 takes x̂₀.
 * @see Song & Ermon 2019, arXiv:1907.05600, algorithm 1; 2020, arXiv:2006.09011 (a last denoising step)
 */
export async function* annealedLangevin(
  denoiser: Denoiser,
  x: Tensor<"float32">,
  sigmas: Float64Array,
  options: AnnealedLangevinOptions = {},
): AsyncGenerator<Step, void, undefined> {
  const { stepsPerLevel = 10, stepSize = 0.2, rng } = options;
  const path = new Trajectory(denoiser, x, sigmas, options);
  for (const interval of path.intervals()) {
    const { sigma, sigmaNext } = interval;
    let denoised = await path.denoise(sigma);
    for (let i = 0; i < stepsPerLevel; i++) {
      if (i > 0) denoised = await path.denoise(sigma);
      path.combine(1 - stepSize / 2, [denoised.data, path.noise(rng)], [stepSize / 2, sigma * Math.sqrt(stepSize)]);
    }
    if (sigmaNext === 0) {
      denoised = await path.denoise(sigma);
      path.combine(0, [denoised.data], [1]);
    }
    yield path.step(interval, denoised);
  }
}
