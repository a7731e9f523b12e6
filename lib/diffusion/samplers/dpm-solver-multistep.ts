import type { Tensor } from "../../tensor/index.js";
import type { Denoiser, NoiseSource, SamplerOptions, Step } from "../contracts.js";
import { type DpmSolverOptions, dpmStep } from "./dpm-solver.js";
import { type MultistepOptions, multistepOrder } from "./multistep.js";
import { Trajectory } from "./trajectory.js";

export interface DpmMultistepOptions extends SamplerOptions, DpmSolverOptions, MultistepOptions {
  /** Ends with a first-order step in runs of any length; default false. */
  readonly eulerAtFinal?: boolean;
  /** Where the noise of the sde algorithms comes from. */
  readonly rng?: NoiseSource;
}

/**
 * DPM-Solver++ multistep (2M by default, 3M with order 3): an exponential integrator in λ = −log σ that extrapolates x̂₀
 * (or ε̂) from the last calls; one model call a step. The first step, and a last one to σ = 0, are of order 1, so errors
 * fall as h².
 * @see Lu et al. 2022, arXiv:2211.01095, algorithm 2
 */
export async function* dpmpp2m(
  denoiser: Denoiser,
  x: Tensor<"float32">,
  sigmas: Float64Array,
  options: DpmMultistepOptions = {},
): AsyncGenerator<Step, void, undefined> {
  yield* multistep(new Trajectory(denoiser, x, sigmas, options), sigmas, options);
}

/**
 * DPM-Solver++ multistep on the reverse SDE: x̂₀ is extrapolated alike, and every step draws noise.
 * @see Lu et al. 2022, arXiv:2211.01095 (SDE-DPM-Solver++)
 */
export async function* dpmpp2mSde(
  denoiser: Denoiser,
  x: Tensor<"float32">,
  sigmas: Float64Array,
  options: DpmMultistepOptions = {},
): AsyncGenerator<Step, void, undefined> {
  yield* dpmpp2m(denoiser, x, sigmas, { algorithm: "sde-dpmsolver++", ...options });
}

/**
 * DPM-Solver++ multistep from data to noise, along rising levels: what a deterministic sampler would have started from.
 * @see Lu et al. 2022, arXiv:2211.01095; Mokady et al. 2022, arXiv:2211.09794 (inversion)
 */
export async function* dpmpp2mInverse(
  denoiser: Denoiser,
  x: Tensor<"float32">,
  sigmas: Float64Array,
  options: DpmMultistepOptions = {},
): AsyncGenerator<Step, void, undefined> {
  yield* multistep(new Trajectory(denoiser, x, sigmas, options, "rising"), sigmas, options);
}

async function* multistep(
  path: Trajectory,
  sigmas: Float64Array,
  options: DpmMultistepOptions,
): AsyncGenerator<Step, void, undefined> {
  const { algorithm = "dpmsolver++", solverType = "midpoint", eulerAtFinal = false } = options;
  const steps = sigmas.length - 1;
  let predictions: ArrayLike<number>[] = [];
  for (const interval of path.intervals()) {
    const { index, sigma, sigmaNext } = interval;
    const denoised = await path.denoise(sigma);
    const prediction = algorithm.endsWith("++") ? denoised.data : path.slope(denoised, sigma);
    predictions = [prediction, ...predictions].slice(0, options.order ?? 2);
    const isLast = index === steps - 1;
    // Levels may repeat at the end of a ramp.
    const isFirstOrder = sigmaNext === 0 || sigmaNext === sigma || (eulerAtFinal && isLast);
    const order = isFirstOrder ? 1 : multistepOrder(index, steps, options);
    const step = dpmStep(algorithm, sigma, sigmaNext);
    // λ between the last calls, in units of this step.
    const h = Math.log(sigma / sigmaNext);
    const r = predictions.slice(1, order).map((_, k) => Math.log(sigmas[index - k - 1]! / sigmas[index - k]!) / h);
    const weights = multistepWeights(step, solverType, r);
    const noise = step.up > 0 ? path.noise(options.rng) : [];
    path.combine(step.kept, [...predictions.slice(0, weights.length), noise], [...weights, step.up]);
    yield path.step(interval, denoised);
  }
}

/** The weight of each prediction, the latest first, from those of their divided differences. */
function multistepWeights(
  { g0, midpoint, g1, g2 }: ReturnType<typeof dpmStep>,
  solverType: "midpoint" | "heun",
  [r0, r1]: readonly number[],
): number[] {
  if (r0 === undefined) return [g0];
  if (r1 === undefined) {
    const first = (solverType === "midpoint" ? midpoint : g1) / r0;
    return [g0 + first, -first];
  }
  // D₁ = d₀ + r₀/(r₀+r₁)·(d₀ − d₁) and D₂ = (d₀ − d₁)/(r₀+r₁), with d₀, d₁ the slopes to the last and the one before.
  const beyond = (g1 * r0 + g2) / (r0 + r1);
  const ofD0 = (g1 + beyond) / r0;
  const ofD1 = -beyond / r1;
  return [g0 + ofD0, ofD1 - ofD0, -ofD1];
}
