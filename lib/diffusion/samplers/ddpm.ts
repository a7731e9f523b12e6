import type { Tensor } from "../../tensor/index.js";
import type { Denoised, Denoiser, NoiseSource, SamplerOptions, Step } from "../contracts.js";
import { splitNoise, Trajectory } from "./trajectory.js";

export interface DdpmOptions extends SamplerOptions {
  /** Where the noise comes from. */
  readonly rng?: NoiseSource;
  /**
   * The reverse variance: the posterior's β̃ (`fixed_small`, default), β (`fixed_large`), what the network says it is
   * (`learned`), or as far between log β̃ and log β as the network says (`learned_range`, −1…1).
   */
  readonly variance?: "fixed_small" | "fixed_large" | "learned" | "learned_range";
}

/**
 * Ancestral sampling: the mean of the posterior q(x' | x, x̂₀) plus noise, none in the last step to σ = 0. With
 * 1 − α = β the paper's mean divided by √ᾱ' is x̂₀ + (σ'/σ)²·(x − x̂₀).
 * @throws TypeError if the variance is learned and the denoiser gives none
 * @see Ho et al. 2020, arXiv:2006.11239, eq. 6–7 and algorithm 2; learned variance: Nichol & Dhariwal 2021,
 *   arXiv:2102.09672, eq. 15
 */
export async function* ddpm(
  denoiser: Denoiser,
  x: Tensor<"float32">,
  sigmas: Float64Array,
  options: DdpmOptions = {},
): AsyncGenerator<Step, void, undefined> {
  const path = new Trajectory(denoiser, x, sigmas, options);
  const { variance = "fixed_small" } = options;
  for (const interval of path.intervals()) {
    const { sigma, sigmaNext } = interval;
    const predicted = await path.predict(sigma);
    const denoised = path.clip(predicted);
    const noise = sigmaNext > 0 ? path.noise(options.rng).slice() : [];
    const learned = variance.startsWith("learned") && sigmaNext > 0 ? learnedVariance(predicted) : [];
    for (let i = 0; i < noise.length; i++) noise[i] = noise[i]! * reverseDeviation(sigma, sigmaNext, variance, learned[i]);
    const kept = (sigmaNext / sigma) ** 2;
    path.combine(kept, [denoised.data, noise], [1 - kept, sigmaNext > 0 ? 1 : 0]);
    yield path.step(interval, denoised);
  }
}

function learnedVariance({ variance }: Denoised): Float32Array {
  if (variance) return variance.data;
  throw new TypeError(
    "ddpm: the variance is learned, but the denoiser gives none; it comes from a network with twice the channels",
  );
}

/** The deviation of the step, divided by √ᾱ': √β̃ and √β, or what lies between, or the network's own. */
function reverseDeviation(sigma: number, sigmaNext: number, variance: DdpmOptions["variance"], learned = 0): number {
  if (variance === "learned") return Math.sqrt(learned * (1 + sigmaNext ** 2));
  const small = splitNoise(sigma, sigmaNext, 1).up;
  if (variance === "fixed_small") return small;
  const large = Math.sqrt(((sigma ** 2 - sigmaNext ** 2) * (1 + sigmaNext ** 2)) / (1 + sigma ** 2));
  if (variance === "fixed_large") return large;
  return small * (large / small) ** ((learned + 1) / 2);
}
