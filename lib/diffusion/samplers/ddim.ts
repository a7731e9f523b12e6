import type { Tensor } from "../../tensor/index.js";
import type { Denoiser, NoiseSource, SamplerOptions, Step } from "../contracts.js";
import { splitNoise, Trajectory } from "./trajectory.js";

export interface DdimOptions extends SamplerOptions {
  /** Share of new noise: 0 is deterministic (default), 1 has DDPM's variance. */
  readonly eta?: number;
  /** Where the new noise comes from; needed if eta > 0. */
  readonly rng?: NoiseSource;
  /**
   * The level each step lands on, where a schedule steps elsewhere than to the next level it evaluates (Diffusers' DDIM
   * with linspace spacing does). The variance-preserving state x/√(1+σ²) is then carried over as it is.
   */
  readonly landings?: Float64Array;
  /**
   * Whether the direction back to x_t takes ε from the denoiser's `epsilon` instead of from x̂₀: an asymmetric reverse
   * process, whose x̂₀ is that of an edited network and whose ε that of the unedited one.
   */
  readonly asymmetric?: boolean;
  /** Timestep from which on eta is 1, whatever it was before; default none. Needs `timesteps`. */
  readonly boostFrom?: number;
}

/**
 * DDIM: x' = x̂₀ + √(σ'² − up²)·ε + up·z, the paper's eq. 12 divided by √ᾱ'; order 1 at eta = 0.
 * As in the reference implementations, ε comes from x̂₀ before clipping.
 * @see Song et al. 2020, arXiv:2010.02502, eq. 12 and 16; asymmetric: Kwon et al. 2022, arXiv:2210.10960, eq. 6
 */
export async function* ddim(
  denoiser: Denoiser,
  x: Tensor<"float32">,
  sigmas: Float64Array,
  options: DdimOptions = {},
): AsyncGenerator<Step, void, undefined> {
  const path = new Trajectory(denoiser, x, sigmas, options);
  const { state } = path;
  for (const interval of path.intervals()) {
    const { index, sigma, sigmaNext } = interval;
    const predicted = await path.predict(sigma);
    const denoised = path.clip(predicted);
    const landing = options.landings?.[index] ?? sigmaNext;
    const isBoosted = options.boostFrom !== undefined && (options.timesteps?.[index] ?? 0) <= options.boostFrom;
    const { down, up } = splitNoise(sigma, landing, isBoosted ? 1 : (options.eta ?? 0));
    const unedited = options.asymmetric ? (await path.epsilon(sigma)).epsilon : undefined;
    const noise = up > 0 ? path.noise(options.rng) : undefined;
    const carryOver = Math.sqrt((1 + sigmaNext ** 2) / (1 + landing ** 2));
    for (let i = 0; i < state.length; i++) {
      const eps = unedited ? unedited[i]! : (state[i]! - predicted.data[i]!) / sigma;
      state[i] = carryOver * (denoised.data[i]! + down * eps + (noise ? up * noise[i]! : 0));
    }
    yield path.step(interval, denoised);
  }
}
