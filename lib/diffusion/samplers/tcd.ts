import type { Tensor } from "../../tensor/index.js";
import type { Denoiser, NoiseSource, SamplerOptions, Step } from "../contracts.js";
import { Trajectory } from "./trajectory.js";

export interface TcdOptions extends SamplerOptions {
  /** γ, the share of the way to the next timestep that is walked back as noise, 0…1; default 0.3. */
  readonly eta?: number;
  /** σ of a training timestep; with `timesteps`, γ is then a share of the timestep and not of σ. */
  readonly sigmaAt?: (timestep: number) => number;
  /** Where the noise comes from; needed if eta > 0. */
  readonly rng?: NoiseSource;
}

/**
 * Trajectory consistency sampling: jump to s = (1 − γ)·t' on the trajectory, then noise to t'; one model call a step, the
 * last without noise.
 * @see Zheng et al. 2024, arXiv:2402.19159 (strategic stochastic sampling)
 */
export async function* tcd(
  denoiser: Denoiser,
  x: Tensor<"float32">,
  sigmas: Float64Array,
  options: TcdOptions = {},
): AsyncGenerator<Step, void, undefined> {
  const { eta = 0.3, timesteps, sigmaAt } = options;
  const path = new Trajectory(denoiser, x, sigmas, options);
  for (const interval of path.intervals()) {
    const { index, sigma, sigmaNext } = interval;
    const denoised = await path.denoise(sigma);
    const timestepNext = timesteps?.[index + 1];
    const isLast = index === sigmas.length - 2;
    const jump =
      isLast || timestepNext === undefined || sigmaAt === undefined
        ? (isLast ? 1 : 1 - eta) * sigmaNext
        : sigmaAt(Math.floor((1 - eta) * timestepNext));
    const up = Math.sqrt(sigmaNext ** 2 - jump ** 2);
    const noise = up > 0 ? path.noise(options.rng) : [];
    path.combine(jump / sigma, [denoised.data, noise], [1 - jump / sigma, up]);
    yield path.step(interval, denoised);
  }
}
