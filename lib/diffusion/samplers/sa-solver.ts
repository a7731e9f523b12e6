import type { Tensor } from "../../tensor/index.js";
import type { Denoiser, NoiseSource, SamplerOptions, Step } from "../contracts.js";
import { lagrangeWeights } from "./multistep.js";
import { Trajectory } from "./trajectory.js";

export interface SaSolverOptions extends SamplerOptions {
  /** Order of the Adams–Bashforth predictor; default 2. */
  readonly predictorOrder?: number;
  /** Order of the Adams–Moulton corrector; 0 leaves it out; default 2. */
  readonly correctorOrder?: number;
  /** How stochastic the SDE is: 0 is the probability flow, 1 (default) the reverse SDE. A function of the timestep. */
  readonly tau?: (timestep: number | undefined) => number;
  /** Whether x̂₀ is interpolated (default) or ε̂. */
  readonly predictX0?: boolean;
  /** Lowers the orders towards the end; default true. */
  readonly lowerOrderFinal?: boolean;
  /** Where the noise comes from. */
  readonly rng?: NoiseSource;
}

interface Move {
  readonly sigma: number;
  readonly sigmaNext: number;
  readonly tau: number;
  readonly predictX0: boolean;
}

/**
 * SA-Solver: stochastic Adams methods for the family of SDEs between probability flow (τ = 0) and reverse SDE (τ = 1);
 * one model call a step, which also corrects the step before.
 * @see Xue et al. 2023, arXiv:2309.05019
 */
export async function* saSolver(
  denoiser: Denoiser,
  x: Tensor<"float32">,
  sigmas: Float64Array,
  options: SaSolverOptions = {},
): AsyncGenerator<Step, void, undefined> {
  const { predictorOrder = 2, correctorOrder = 2, predictX0 = true, lowerOrderFinal = true, tau = () => 1 } = options;
  const path = new Trajectory(denoiser, x, sigmas, options);
  const steps = sigmas.length - 1;
  let predictions: ArrayLike<number>[] = [];
  let last: { from: Float64Array; noise: ArrayLike<number>; move: Move; order: number } | undefined;
  for (const interval of path.intervals()) {
    const { index, sigma, sigmaNext } = interval;
    const levels = (count: number): number[] => Array.from({ length: count }, (_, k) => sigmas[index - k]!);
    const left = lowerOrderFinal ? steps - index : Number.POSITIVE_INFINITY;
    const denoised = await path.denoise(sigma);
    predictions = [predictX0 ? denoised.data : path.slope(denoised, sigma), ...predictions];
    if (last && correctorOrder > 0) {
      const { kept, weights, up } = adams(last.move, levels(last.order), true);
      const terms = predictions.slice(0, weights.length);
      path.combine(kept, [...terms, last.noise], [...weights, up], { from: last.from });
    }
    const order = Math.min(predictorOrder, index + 1, left);
    const move: Move = { sigma, sigmaNext, tau: tau(options.timesteps?.[index]), predictX0 };
    const { kept, weights, up } = adams(move, levels(order), false);
    const noise = up > 0 ? path.noise(options.rng) : [];
    last = { from: path.state.slice(), noise, move, order: Math.min(correctorOrder, index + 2, left + 1) };
    path.combine(kept, [...predictions.slice(0, order), noise], [...weights, up]);
    predictions = predictions.slice(0, Math.max(predictorOrder, correctorOrder - 1));
    yield path.step(interval, denoised);
  }
}

/** The weights of predictions at `levels`: past ones of a predictor, or with the level arrived at first of a corrector. */
function adams(
  { sigma, sigmaNext, tau, predictX0 }: Move,
  levels: readonly number[],
  corrects: boolean,
): { kept: number; weights: number[]; up: number } {
  const h = Math.log(sigma / sigmaNext);
  const rate = 1 + tau ** 2;
  // x̂₀ is weighted with exp(rate·λ) of λ = −log σ, ε̂ with exp(−λ); both relative to the end of the step.
  const growth = predictX0 ? rate : -1;
  const kept = predictX0 ? (sigmaNext / sigma) ** rate : 1;
  const scale = predictX0 ? rate : -rate * sigmaNext;
  const up = sigmaNext * Math.sqrt(predictX0 ? -Math.expm1(-2 * tau ** 2 * h) : Math.expm1(2 * tau ** 2 * h));
  const whole = sigmaNext === 0 ? 1 / rate : -Math.expm1(-growth * h) / growth;
  if (levels.length === 1) return { kept, weights: [scale * whole], up };
  const nodes = levels.map((level) => Math.log(sigma / level));
  const moments = [whole];
  for (let k = 1; k < levels.length; k++) moments.push((h ** k - k * moments[k - 1]!) / growth);
  const weights = lagrangeWeights(nodes, moments).map((w) => scale * w);
  if (predictX0 && levels.length === 2) {
    // The authors' second-order weights integrate the slope without the exponential, for consistency with DPM-Solver.
    const slope = (rate * h - 1 + Math.exp(-rate * h)) / rate ** 2;
    const extra = corrects ? scale * (h / 2 - slope / h) : (scale * (h ** 2 / 2 - slope)) / (nodes[0]! - nodes[1]!);
    weights[0] = weights[0]! + extra;
    weights[1] = weights[1]! - extra;
  }
  return { kept, weights, up };
}
