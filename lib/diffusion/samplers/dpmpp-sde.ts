import type { Tensor } from "../../tensor/index.js";
import type { Denoiser, NoiseSource, SamplerOptions, Step } from "../contracts.js";
import { splitNoise, Trajectory } from "./trajectory.js";

export interface DpmppSdeOptions extends SamplerOptions {
  /** Share of new noise, 0…1; default 1. */
  readonly eta?: number;
  /** Where the new noise comes from; needed if eta > 0. */
  readonly rng?: NoiseSource;
}

/**
 * DPM-Solver++ on the SDE by a midpoint: x̂₀ half way in λ = −log σ carries the whole step, and both halves draw noise;
 * two model calls a step and one for a last step to σ = 0. With eta 0 it is of order 2.
 * @see Lu et al. 2022, arXiv:2211.01095; Crowson's k-diffusion, sample_dpmpp_sde. Noise is drawn afresh, not from a Brownian tree
 */
export async function* dpmppSde(
  denoiser: Denoiser,
  x: Tensor<"float32">,
  sigmas: Float64Array,
  options: DpmppSdeOptions = {},
): AsyncGenerator<Step, void, undefined> {
  const path = new Trajectory(denoiser, x, sigmas, options);
  const { eta = 1, rng } = options;
  for (const interval of path.intervals()) {
    const { sigma, sigmaNext } = interval;
    const denoised = await path.denoise(sigma);
    const jump = (to: number, { data }: Tensor<"float32">, into: Float64Array): Float64Array => {
      const { down, up } = splitNoise(sigma, to, eta);
      const noise = up > 0 ? path.noise(rng) : [];
      return path.combine(down / sigma, [data, noise], [1 - down / sigma, up], { to: into });
    };
    const middle = Math.sqrt(sigma * sigmaNext);
    const there = middle > 0 && jump(middle, denoised, new Float64Array(path.state.length));
    jump(sigmaNext, there ? await path.denoise(middle, there) : denoised, path.state);
    yield path.step(interval, denoised);
  }
}
