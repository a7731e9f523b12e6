import type { Tensor } from "../../tensor/index.js";
import type { Denoiser, NoiseSource, SamplerOptions, Step } from "../contracts.js";
import { Trajectory } from "./trajectory.js";

export interface ConsistencyOptions extends SamplerOptions {
  /**
   * For a latent consistency model, which is the identity at timestep 0: x̂₀ is mixed with the state by how far the
   * timestep times this is from 0. Needs `timesteps`. Left out, the denoiser is taken as it is.
   */
  readonly timestepScaling?: number;
  /** What the noise between two calls is multiplied by; default 1. */
  readonly noiseScale?: number;
  /** Where the noise between two calls comes from. */
  readonly rng?: NoiseSource;
}

/**
 * Multistep consistency sampling: jump to x̂₀, noise it to the next level, jump again; one model call a step. At the last
 * level, which is the lowest, no noise is added.
 * @see Song et al. 2023, arXiv:2303.01469, algorithm 1
 */
export async function* consistency(
  denoiser: Denoiser,
  x: Tensor<"float32">,
  sigmas: Float64Array,
  options: ConsistencyOptions = {},
): AsyncGenerator<Step, void, undefined> {
  const path = new Trajectory(denoiser, x, sigmas, options);
  const lowest = sigmas.at(-1)!;
  for (const interval of path.intervals()) {
    const { index, sigma, sigmaNext } = interval;
    const denoised = await path.denoise(sigma);
    const { skip, out } = boundary(sigma, options.timesteps?.[index], options.timestepScaling);
    const up = Math.sqrt(sigmaNext ** 2 - lowest ** 2);
    const noise = up > 0 ? path.noise(options.rng) : [];
    path.combine(skip, [denoised.data, noise], [out, up * (options.noiseScale ?? 1)]);
    yield path.step(interval, denoised);
  }
}

/**
 * Latent consistency sampling: consistency sampling with the boundary condition on the timestep.
 * @see Luo et al. 2023, arXiv:2310.04378
 */
export async function* lcm(
  denoiser: Denoiser,
  x: Tensor<"float32">,
  sigmas: Float64Array,
  options: ConsistencyOptions = {},
): AsyncGenerator<Step, void, undefined> {
  yield* consistency(denoiser, x, sigmas, { timestepScaling: 10, ...options });
}

/** c_skip, of the state x₀ + σε, and c_out, with the data's standard deviation ½. */
function boundary(sigma: number, timestep?: number, scaling?: number): { skip: number; out: number } {
  if (timestep === undefined || scaling === undefined) return { skip: 0, out: 1 };
  const distance = timestep * scaling;
  const total = distance ** 2 + 0.25;
  return { skip: 0.25 / total / Math.sqrt(1 + sigma ** 2), out: distance / Math.sqrt(total) };
}
