import type { Tensor } from "../../tensor/index.js";
import type { Denoiser, NoiseSource, SamplerOptions, Step } from "../contracts.js";
import { splitNoise, Trajectory } from "./trajectory.js";

/**
 * DPM-Solver-2 as in EDM's baselines: a slope at the geometric mean of both levels carries the whole step; order 2, two
 * model calls a step and one for a last step to σ = 0.
 * @see Lu et al. 2022, arXiv:2206.00927, algorithm 1 (r₁ = ½); Karras et al. 2022, arXiv:2206.00364, App. D.1
 */
export async function* dpm2(
  denoiser: Denoiser,
  x: Tensor<"float32">,
  sigmas: Float64Array,
  options: SamplerOptions = {},
): AsyncGenerator<Step, void, undefined> {
  yield* midpointSteps(new Trajectory(denoiser, x, sigmas, options), (_, sigmaNext) => ({ down: sigmaNext, up: 0 }));
}

export interface Dpm2AncestralOptions extends SamplerOptions {
  /** Where the new noise comes from. */
  readonly rng?: NoiseSource;
}

/**
 * DPM-Solver-2 down to less noise than asked for, then fresh noise up to it; two model calls a step and one for a last
 * step to σ = 0.
 * @see Crowson's k-diffusion, sample_dpm_2_ancestral; Lu et al. 2022, arXiv:2206.00927
 */
export async function* dpm2Ancestral(
  denoiser: Denoiser,
  x: Tensor<"float32">,
  sigmas: Float64Array,
  options: Dpm2AncestralOptions = {},
): AsyncGenerator<Step, void, undefined> {
  const split = (sigma: number, sigmaNext: number) => splitNoise(sigma, sigmaNext, 1);
  yield* midpointSteps(new Trajectory(denoiser, x, sigmas, options), split, options.rng);
}

async function* midpointSteps(
  path: Trajectory,
  split: (sigma: number, sigmaNext: number) => { down: number; up: number },
  rng?: NoiseSource,
): AsyncGenerator<Step, void, undefined> {
  const { state } = path;
  for (const interval of path.intervals()) {
    const { sigma, sigmaNext } = interval;
    const denoised = await path.denoise(sigma);
    let slope = path.slope(denoised, sigma);
    const { down, up } = split(sigma, sigmaNext);
    if (down > 0) {
      // With fresh noise this is sigmaNext, but for a last digit: it keeps a timestep of its own where that one's is rounded.
      const middle = Math.sqrt(sigma * down) * (up > 0 ? 1 + 1e-12 : 1);
      const there = path.combine(1, [slope], [middle - sigma], { to: new Float64Array(state.length) });
      slope = path.slope(await path.denoise(middle, there), middle, there);
    }
    const noise = up > 0 ? path.noise(rng) : [];
    path.combine(1, [slope, noise], [down - sigma, up]);
    yield path.step(interval, denoised);
  }
}
