/**
 * What an exponential integrator makes of the model's calls. `dpmsolver++` interpolates x̂₀, `dpmsolver` ε̂, and their
 * sde variants solve the reverse SDE, which draws noise.
 */
export type DpmAlgorithm = "dpmsolver++" | "dpmsolver" | "sde-dpmsolver++" | "sde-dpmsolver";

export interface DpmSolverOptions {
  /** Default `dpmsolver++`. */
  readonly algorithm?: DpmAlgorithm;
  /** How the second-order term is weighted: as by a midpoint rule (default) or by a trapezoid one. */
  readonly solverType?: "midpoint" | "heun";
}

/** One step in λ = −log σ: x' = kept·x + g₀·D₀ + g₁·D₁ + g₂·D₂ + up·noise, D being differences of x̂₀ or ε̂. */
export interface DpmStep {
  readonly kept: number;
  /** Of D₀, the prediction at the start. */
  readonly g0: number;
  /** Of the first difference, by the midpoint rule. */
  readonly midpoint: number;
  /** Of the first difference, exactly integrated. */
  readonly g1: number;
  /** Of the second difference. */
  readonly g2: number;
  readonly up: number;
}

/**
 * The integrals of exp(±λ)·(1, λ, λ²/2) over a step.
 * @see Lu et al. 2022, arXiv:2211.01095 (data prediction, SDE); arXiv:2206.00927 (noise prediction)
 */
export function dpmStep(algorithm: DpmAlgorithm, sigma: number, sigmaNext: number): DpmStep {
  const h = Math.log(sigma / sigmaNext);
  const isSde = algorithm.startsWith("sde-");
  const k = isSde ? 2 : 1;
  if (algorithm.endsWith("++")) {
    const kept = (sigmaNext / sigma) ** k;
    const g0 = 1 - kept;
    const g1 = 1 - g0 / (k * h);
    const g2 = (g0 - k * h) / (k * h) ** 2 + 1 / 2;
    return { kept, g0, midpoint: g0 / 2, g1, g2, up: isSde ? sigmaNext * Math.sqrt(g0) : 0 };
  }
  const grown = sigma - sigmaNext;
  const g0 = -k * grown;
  const g1 = -k * (grown / h - sigmaNext);
  const g2 = -k * ((grown - sigmaNext * h) / h ** 2 - sigmaNext / 2);
  return { kept: 1, g0, midpoint: g0 / 2, g1, g2, up: isSde ? Math.sqrt(sigma ** 2 - sigmaNext ** 2) : 0 };
}
