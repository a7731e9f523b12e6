import type { Tensor } from "../../tensor/index.js";
import type { Denoiser, SamplerOptions, Step } from "../contracts.js";
import { lagrangeWeights } from "./multistep.js";
import { Trajectory } from "./trajectory.js";

export interface LmsOptions extends SamplerOptions {
  /** Model calls the slope is interpolated from; default 4. */
  readonly order?: number;
}

/**
 * Linear multistep: the slopes of the last calls, interpolated by a polynomial in σ, are integrated over the step; one
 * model call a step. The first step is Euler's, so errors fall as h² in whatever order.
 * @see Crowson's k-diffusion, sample_lms; Adams–Bashforth with unequal steps, Hairer et al., Solving ODEs I, §III.5
 */
export async function* lms(
  denoiser: Denoiser,
  x: Tensor<"float32">,
  sigmas: Float64Array,
  options: LmsOptions = {},
): AsyncGenerator<Step, void, undefined> {
  const path = new Trajectory(denoiser, x, sigmas, options);
  const order = options.order ?? 4;
  let slopes: Float64Array[] = [];
  for (const interval of path.intervals()) {
    const { index, sigma, sigmaNext } = interval;
    const denoised = await path.denoise(sigma);
    slopes = [path.slope(denoised, sigma), ...slopes].slice(0, order);
    const nodes = slopes.map((_, k) => sigmas[index - k]! - sigma);
    path.combine(1, slopes, lagrangeWeights(nodes, powerMoments(sigmaNext - sigma, order)));
    yield path.step(interval, denoised);
  }
}

/** ∫₀ʰ uᵏ du for k < count. */
function powerMoments(h: number, count: number): number[] {
  return Array.from({ length: count }, (_, k) => h ** (k + 1) / (k + 1));
}
