import { betaQuantile } from "./beta-quantile.js";

/**
 * A descending curve of `steps` noise levels from `max` to `min`, both included; samplers want a final 0 or `min` after it.
 */
export type SigmaRamp = (steps: number, min: number, max: number) => Float64Array;

/**
 * σ spaced evenly in σ^(1/ρ), ρ = 7 unless told: dense where pictures take shape.
 * @see Karras et al. 2022, arXiv:2206.00364, eq. 5
 */
export const karrasSigmas = (steps: number, min: number, max: number, rho = 7): Float64Array => {
  const from = max ** (1 / rho);
  const to = min ** (1 / rho);
  return ramp(steps, (u) => (from + u * (to - from)) ** rho);
};

/** σ spaced evenly in log σ. */
export const exponentialSigmas: SigmaRamp = (steps, min, max) => ramp(steps, (u) => max * (min / max) ** u);

/** σ at quantiles of Beta(0.6, 0.6): dense at both ends. @see Lee et al. 2024, arXiv:2407.12173 */
export const betaSigmas: SigmaRamp = (steps, min, max) => ramp(steps, (u) => min + (max - min) * betaQuantile(1 - u, 0.6, 0.6));

function ramp(steps: number, sigma: (u: number) => number): Float64Array {
  return Float64Array.from({ length: steps }, (_, i) => sigma(steps === 1 ? 0 : i / (steps - 1)));
}
