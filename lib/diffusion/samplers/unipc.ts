import type { Tensor } from "../../tensor/index.js";
import type { Denoiser, SamplerOptions, Step } from "../contracts.js";
import { lagrangeWeights } from "./multistep.js";
import { Trajectory } from "./trajectory.js";

export interface UniPcOptions extends SamplerOptions {
  /** Order of the predictor, 1…; default 2. The corrector's is one higher. */
  readonly order?: number;
  /** Lowers the order towards the end so that the last step is of order 1; default true. */
  readonly lowerOrderFinal?: boolean;
  /** B(h): h (`bh1`) or eʰ − 1 (`bh2`, default). */
  readonly variant?: "bh1" | "bh2";
  /** Whether x̂₀ is interpolated (default) or ε̂. */
  readonly predictX0?: boolean;
  /** Steps whose result is not corrected. */
  readonly disableCorrector?: readonly number[];
}

/** A step in λ = −log σ whose predictions at −rⱼ·h from its start are combined. */
interface Rule extends Required<Pick<UniPcOptions, "variant" | "predictX0">> {
  readonly sigma: number;
  readonly sigmaNext: number;
}

/**
 * UniPC: an exponential multistep predictor; the next step's model call then corrects its result at no cost. Errors fall
 * as h², faster where the order is not lowered at the end; one model call a step, of order 1 in a step to σ = 0.
 * @see Zhao et al. 2023, arXiv:2302.04867
 */
export async function* unipc(
  denoiser: Denoiser,
  x: Tensor<"float32">,
  sigmas: Float64Array,
  options: UniPcOptions = {},
): AsyncGenerator<Step, void, undefined> {
  const { order = 2, lowerOrderFinal = true, variant = "bh2", predictX0 = true, disableCorrector = [] } = options;
  const path = new Trajectory(denoiser, x, sigmas, options);
  const steps = sigmas.length - 1;
  let predictions: ArrayLike<number>[] = [];
  let last: { from: Float64Array; rule: Rule; r: number[] } | undefined;
  for (const interval of path.intervals()) {
    const { index, sigma, sigmaNext } = interval;
    const denoised = await path.denoise(sigma);
    const prediction = predictX0 ? denoised.data : path.slope(denoised, sigma);
    if (last && !disableCorrector.includes(index - 1)) {
      const { kept, weights } = uniWeights(last.rule, [...last.r, 1]);
      const used = predictions.slice(0, weights.length - 1);
      path.combine(kept, [...used, prediction], weights, { from: last.from });
    }
    predictions = [prediction, ...predictions].slice(0, order);
    const atEnd = sigmaNext === 0 || sigmaNext === sigma ? 1 : lowerOrderFinal ? steps - index : order;
    const rule: Rule = { sigma, sigmaNext, variant, predictX0 };
    const r = predictions
      .slice(1, Math.min(order, index + 1, atEnd))
      .map((_, k) => Math.log(sigma / sigmas[index - k - 1]!) / Math.log(sigma / sigmaNext));
    last = { from: path.state.slice(), rule, r };
    const { kept, weights } = uniWeights(rule, r);
    path.combine(kept, predictions, weights);
    yield path.step(interval, denoised);
  }
}

/** The weight of the prediction at the start, and of those at `r` steps from it. */
function uniWeights({ sigma, sigmaNext, variant, predictX0 }: Rule, r: readonly number[]): { kept: number; weights: number[] } {
  const h = Math.log(sigma / sigmaNext) * (predictX0 ? -1 : 1);
  const phi1 = Math.expm1(h);
  const scale = predictX0 ? 1 : sigmaNext;
  const b = variant === "bh1" ? h : phi1;
  // The paper fixes the only weight of a second-order predictor, and of a first-order corrector, at ½.
  const rho = r.length === 1 ? [1 / 2] : lagrangeWeights(r, moments(h, phi1, b, r.length));
  const later = rho.map((value, j) => (-scale * b * value) / r[j]!);
  const first = predictX0 ? -phi1 : sigmaNext - sigma;
  return {
    kept: predictX0 ? sigmaNext / sigma : 1,
    weights: [later.reduce((sum, weight) => sum - weight, first), ...later],
  };
}

/** i!·φᵢ₊₁(h)·h / B(h) for i = 1…count. */
function moments(h: number, phi1: number, b: number, count: number): number[] {
  const out: number[] = [];
  let phi = phi1 / h - 1;
  let factorial = 1;
  for (let i = 1; i <= count; i++) {
    out.push((phi * factorial) / b);
    factorial *= i + 1;
    phi = phi / h - 1 / factorial;
  }
  return out;
}
