import type { Tensor } from "../../tensor/index.js";
import type { Denoiser, NoiseSource, SamplerOptions, Step } from "../contracts.js";
import { splitNoise, Trajectory } from "./trajectory.js";

export interface EulerAncestralOptions extends SamplerOptions {
  /** Where the new noise comes from. */
  readonly rng?: NoiseSource;
}

/**
 * An Euler step down to less noise than asked for, then fresh noise up to it; order 1 in distribution.
 * @see Crowson's k-diffusion, sample_euler_ancestral; Song et al. 2020, arXiv:2011.13456, App. F (ancestral sampling, VE)
 */
export async function* eulerAncestral(
  denoiser: Denoiser,
  x: Tensor<"float32">,
  sigmas: Float64Array,
  options: EulerAncestralOptions = {},
): AsyncGenerator<Step, void, undefined> {
  const path = new Trajectory(denoiser, x, sigmas, options);
  const { state } = path;
  for (const interval of path.intervals()) {
    const { sigma, sigmaNext } = interval;
    const denoised = await path.denoise(sigma);
    const { down, up } = splitNoise(sigma, sigmaNext, 1);
    const noise = up > 0 ? path.noise(options.rng) : undefined;
    for (let i = 0; i < state.length; i++) {
      const slope = (state[i]! - denoised.data[i]!) / sigma;
      state[i] = state[i]! + (down - sigma) * slope + (noise ? up * noise[i]! : 0);
    }
    yield path.step(interval, denoised);
  }
}
