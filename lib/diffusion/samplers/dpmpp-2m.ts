import type { Tensor } from "../../tensor/index.js";
import type { Denoiser, SamplerOptions, Step } from "../contracts.js";
import { Trajectory } from "./trajectory.js";

export interface Dpmpp2mOptions extends SamplerOptions {
  /** Ends runs of fewer than 15 steps with a first-order step, which is steadier; default true. */
  readonly lowerOrderFinal?: boolean;
}

/**
 * DPM-Solver++(2M): an exponential integrator in λ = −log σ that extrapolates x̂₀ from the last two calls; order 2,
 * one model call a step. The first step, and a last one to σ = 0, are of order 1.
 * @see Lu et al. 2022, arXiv:2211.01095, algorithm 2
 */
export async function* dpmpp2m(
  denoiser: Denoiser,
  x: Tensor<"float32">,
  sigmas: Float64Array,
  options: Dpmpp2mOptions = {},
): AsyncGenerator<Step, void, undefined> {
  const path = new Trajectory(denoiser, x, sigmas, options);
  const { state } = path;
  const steps = sigmas.length - 1;
  const lowerOrderFinal = (options.lowerOrderFinal ?? true) && steps < 15;
  let previous: { denoised: Tensor<"float32">; h: number } | undefined;
  for (const interval of path.intervals()) {
    const { index, sigma, sigmaNext } = interval;
    const denoised = await path.denoise(sigma);
    const h = Math.log(sigma / sigmaNext);
    const isFirstOrder =
      previous === undefined || previous.h === 0 || sigmaNext === 0 || (lowerOrderFinal && index === steps - 1);
    // h / (2·h₋₁) is the paper's 1 / (2r): how far the line through both predictions is followed.
    const beyond = isFirstOrder ? 0 : h / (2 * previous!.h);
    const kept = sigmaNext / sigma;
    for (let i = 0; i < state.length; i++) {
      const now = denoised.data[i]!;
      const extrapolated = beyond === 0 ? now : now + beyond * (now - previous!.denoised.data[i]!);
      state[i] = kept * state[i]! + (1 - kept) * extrapolated;
    }
    previous = { denoised, h };
    yield path.step(interval, denoised);
  }
}
