import type { Tensor } from "../../tensor/index.js";
import type { Denoiser, NoiseSource, SamplerOptions, Step } from "../contracts.js";
import { type DpmSolverOptions, type DpmStep, dpmStep } from "./dpm-solver.js";
import { Trajectory } from "./trajectory.js";

export interface DpmSinglestepOptions extends SamplerOptions, DpmSolverOptions {
  /** Model calls of a block, 1…3; default 2. */
  readonly order?: number;
  /** Ends with blocks of lower order; default true, and always where the levels end at 0 or do not fill the last block. */
  readonly lowerOrderFinal?: boolean;
  /** Steps of the whole run, where these are the rest of one; default as many as there are. */
  readonly totalSteps?: number;
  /** Where the noise of the sde algorithms comes from. */
  readonly rng?: NoiseSource;
}

/**
 * DPM-Solver++ singlestep (2S by default, 3S with order 3): blocks of `order` levels; each level of a block is reached
 * from the block's start with all calls made in it. One model call a level; order 2 or 3 counted in blocks.
 * @see Lu et al. 2022, arXiv:2211.01095, algorithm 1; arXiv:2206.00927, algorithms 1–2 (noise prediction)
 */
export async function* dpmpp2s(
  denoiser: Denoiser,
  x: Tensor<"float32">,
  sigmas: Float64Array,
  options: DpmSinglestepOptions = {},
): AsyncGenerator<Step, void, undefined> {
  const { algorithm = "dpmsolver++", solverType = "midpoint" } = options;
  const path = new Trajectory(denoiser, x, sigmas, options);
  const { totalSteps = sigmas.length - 1 } = options;
  // The rest of a run may start within a block, which then has fewer calls.
  const orders = blockOrders(totalSteps, sigmas.at(-1) === 0, options)
    .slice(totalSteps + 1 - sigmas.length)
    .map((order, i) => Math.min(order, i + 1));
  let predictions: ArrayLike<number>[] = [];
  let start = path.state;
  for (const interval of path.intervals()) {
    const { index, sigma, sigmaNext } = interval;
    const order = orders[index]!;
    const denoised = await path.denoise(sigma);
    if (order === 1) {
      predictions = [];
      start = path.state.slice();
    }
    predictions.push(algorithm.endsWith("++") ? denoised.data : path.slope(denoised, sigma));
    const from = sigmas[index + 1 - order]!;
    const step = dpmStep(algorithm, from, sigmaNext);
    const h = Math.log(from / sigmaNext);
    const r = predictions.slice(1).map((_, k) => Math.log(from / sigmas[index + 2 - order + k]!) / h);
    const noise = step.up > 0 ? path.noise(options.rng) : [];
    path.combine(step.kept, [...predictions, noise], [...blockWeights(step, solverType, r), step.up], { from: start });
    yield path.step(interval, denoised);
  }
}

/** The order of each level's step: 1…k within every block, lower blocks at the end. */
function blockOrders(steps: number, endsAtZero: boolean, { order = 2, lowerOrderFinal = true }: DpmSinglestepOptions): number[] {
  const block = Array.from({ length: order }, (_, i) => i + 1);
  const isLowered = lowerOrderFinal || steps % order !== 0 || endsAtZero;
  const blocks = (n: number): number[] => Array.from({ length: n }, () => block).flat();
  if (!isLowered || order === 1) return blocks(steps / order);
  if (order === 2) return steps % 2 === 0 ? [...blocks(steps / 2 - 1), 1, 1] : [...blocks((steps - 1) / 2), 1];
  const rest = steps % 3;
  if (rest === 0) return [...blocks(steps / 3 - 1), 1, 2, 1];
  // λ is infinite at σ = 0: nothing can be interpolated up to there.
  return [...blocks((steps - rest) / 3), ...(endsAtZero ? block.slice(0, rest).fill(1, -1) : block.slice(0, rest))];
}

/** The weight of each prediction, the block's first first; `r` is how far into the step the later ones were made. */
function blockWeights({ g0, midpoint, g1, g2 }: DpmStep, solverType: "midpoint" | "heun", [ra, rb]: readonly number[]): number[] {
  if (ra === undefined) return [g0];
  if (rb === undefined) {
    const first = (solverType === "midpoint" ? midpoint : g1) / ra;
    return [g0 - first, first];
  }
  if (solverType === "midpoint") return [g0 - g1 / rb, 0, g1 / rb];
  // D₁ and D₂ of the parabola through the three predictions, with slopes da and db from the first to the later ones.
  const ofA = (g1 * rb - 2 * g2) / ((rb - ra) * ra);
  const ofB = (2 * g2 - g1 * ra) / ((rb - ra) * rb);
  return [g0 - ofA - ofB, ofA, ofB];
}
