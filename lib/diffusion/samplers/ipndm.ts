import type { Tensor } from "../../tensor/index.js";
import type { Denoiser, SamplerOptions, Step } from "../contracts.js";
import { adamsBashforth } from "./multistep.js";
import { Trajectory } from "./trajectory.js";

export interface IpndmOptions extends SamplerOptions {
  /** Whether x̂₀ is taken to be 0 in the first step, as Diffusers does where a schedule starts with no signal at all. */
  readonly startsBlind?: boolean;
}

/**
 * Improved PNDM: PLMS whose first steps are of lower order instead of Runge–Kutta's; errors fall as h², one model call
 * a step.
 * @see Liu et al. 2022, arXiv:2202.09778 (PNDM); Zhang & Chen 2022, arXiv:2204.13902 (iPNDM)
 */
export async function* ipndm(
  denoiser: Denoiser,
  x: Tensor<"float32">,
  sigmas: Float64Array,
  options: IpndmOptions = {},
): AsyncGenerator<Step, void, undefined> {
  const path = new Trajectory(denoiser, x, sigmas, options);
  let slopes: Float64Array[] = [];
  for (const interval of path.intervals()) {
    const { index, sigma, sigmaNext } = interval;
    const denoised = await path.denoise(sigma);
    const isBlind = options.startsBlind && index === 0;
    const slope = isBlind ? path.state.map((value) => value / sigma) : path.slope(denoised, sigma);
    slopes = [slope, ...slopes].slice(0, 4);
    const weights = adamsBashforth[slopes.length - 1]!;
    path.combine(
      1,
      slopes,
      weights.map((w) => (sigmaNext - sigma) * w),
    );
    yield path.step(interval, denoised);
  }
}
