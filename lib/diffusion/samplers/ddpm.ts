import type { Tensor } from "../../tensor/index.js";
import type { Denoiser, NoiseSource, SamplerOptions, Step } from "../contracts.js";
import { splitNoise, Trajectory } from "./trajectory.js";

export interface DdpmOptions extends SamplerOptions {
  /** Where the noise comes from. */
  readonly rng?: NoiseSource;
  /** The reverse variance: the posterior's β̃ (`fixed_small`, default) or β (`fixed_large`). */
  readonly variance?: "fixed_small" | "fixed_large";
}

/**
 * Ancestral sampling: the mean of the posterior q(x' | x, x̂₀) plus noise, none in the last step to σ = 0. With
 * 1 − α = β the paper's mean divided by √ᾱ' is x̂₀ + (σ'/σ)²·(x − x̂₀).
 * @see Ho et al. 2020, arXiv:2006.11239, eq. 6–7 and algorithm 2
 */
export async function* ddpm(
  denoiser: Denoiser,
  x: Tensor<"float32">,
  sigmas: Float64Array,
  options: DdpmOptions = {},
): AsyncGenerator<Step, void, undefined> {
  const path = new Trajectory(denoiser, x, sigmas, options);
  const { state } = path;
  for (const interval of path.intervals()) {
    const { sigma, sigmaNext } = interval;
    const denoised = await path.denoise(sigma);
    const deviation = reverseDeviation(sigma, sigmaNext, options.variance ?? "fixed_small");
    const noise = deviation > 0 ? path.noise(options.rng) : undefined;
    const kept = (sigmaNext / sigma) ** 2;
    for (let i = 0; i < state.length; i++) {
      const mean = denoised.data[i]! + kept * (state[i]! - denoised.data[i]!);
      state[i] = mean + (noise ? deviation * noise[i]! : 0);
    }
    yield path.step(interval, denoised);
  }
}

/** √β̃ or √β of the step, divided by √ᾱ'. */
function reverseDeviation(sigma: number, sigmaNext: number, variance: "fixed_small" | "fixed_large"): number {
  if (sigmaNext === 0) return 0;
  if (variance === "fixed_small") return splitNoise(sigma, sigmaNext, 1).up;
  return Math.sqrt(((sigma ** 2 - sigmaNext ** 2) * (1 + sigmaNext ** 2)) / (1 + sigma ** 2));
}
