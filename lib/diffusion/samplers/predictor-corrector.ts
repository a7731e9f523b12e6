import type { Tensor } from "../../tensor/index.js";
import type { Denoiser, NoiseSource, SamplerOptions, Step } from "../contracts.js";
import { Trajectory } from "./trajectory.js";

export interface PredictorCorrectorOptions extends SamplerOptions {
  /** Langevin steps before each step down; default 1. */
  readonly correctorSteps?: number;
  /** Signal-to-noise ratio r of a Langevin step, which sets its size; default 0.15. */
  readonly snr?: number;
  /** Where the noise comes from. */
  readonly rng?: NoiseSource;
}

/**
 * Predictor–corrector sampling of the variance-exploding SDE: Langevin steps at a level, then reverse diffusion
 * x + (σ²−σ'²)·score + √(σ²−σ'²)·z, without noise in the last step; two model calls a step by default.
 * @see Song et al. 2020, arXiv:2011.13456, algorithms 2 and 4
 */
export async function* predictorCorrector(
  denoiser: Denoiser,
  x: Tensor<"float32">,
  sigmas: Float64Array,
  options: PredictorCorrectorOptions = {},
): AsyncGenerator<Step, void, undefined> {
  const { correctorSteps = 1, snr = 0.15, rng } = options;
  const path = new Trajectory(denoiser, x, sigmas, options);
  const batch = x.shape[0] ?? 1;
  for (const interval of path.intervals()) {
    const { sigma, sigmaNext } = interval;
    for (let i = 0; i < correctorSteps; i++) {
      const slope = path.slope(await path.denoise(sigma), sigma);
      const noise = path.noise(rng);
      // Norms are averaged over the batch; the score is −ε̂/σ.
      const size = 2 * ((snr * sigma * meanNorm(noise, batch)) / meanNorm(slope, batch)) ** 2;
      path.combine(1, [slope, noise], [-size / sigma, Math.sqrt(2 * size)]);
    }
    const denoised = await path.denoise(sigma);
    const removed = sigma ** 2 - sigmaNext ** 2;
    const up = sigmaNext > 0 ? Math.sqrt(removed) : 0;
    const noise = up > 0 ? path.noise(rng) : [];
    path.combine(1 - removed / sigma ** 2, [denoised.data, noise], [removed / sigma ** 2, up]);
    yield path.step(interval, denoised);
  }
}

function meanNorm(values: ArrayLike<number>, batch: number): number {
  const perItem = values.length / batch;
  let total = 0;
  for (let start = 0; start < values.length; start += perItem) {
    let squares = 0;
    for (let i = start; i < start + perItem; i++) squares += values[i]! ** 2;
    total += Math.sqrt(squares);
  }
  return total / batch;
}
