import type { Interval, NoiseSource } from "../contracts.js";
import type { Trajectory } from "./trajectory.js";

/** Noise that is added before a step, to forget errors made so far. */
export interface ChurnOptions {
  /** How much over the whole run, S_churn; default 0. */
  readonly churn?: number;
  /** The levels at which it is added, S_tmin…S_tmax; default all. */
  readonly churnRange?: readonly [low: number, high: number];
  /** What the noise is multiplied by, S_noise; default 1. */
  readonly churnNoise?: number;
  /** Where the noise comes from; needed if churn > 0. */
  readonly rng?: NoiseSource;
}

/**
 * Raises the state's noise from σ to σ̂ = σ·(1 + γ), γ = min(S_churn/N, √2 − 1), and gives σ̂. The network is then called
 * at σ̂, as in the paper; Diffusers calls it at σ.
 * @see Karras et al. 2022, arXiv:2206.00364, algorithm 2, lines 4–6
 */
export function raiseNoise(path: Trajectory, { sigma }: Interval, steps: number, options: ChurnOptions): number {
  const { churn = 0, churnRange: [low, high] = [0, Number.POSITIVE_INFINITY], churnNoise = 1, rng } = options;
  if (churn === 0 || sigma < low || sigma > high) return sigma;
  const raised = sigma * (1 + Math.min(churn / steps, Math.SQRT2 - 1));
  path.combine(1, [path.noise(rng)], [churnNoise * Math.sqrt(raised ** 2 - sigma ** 2)]);
  return raised;
}
