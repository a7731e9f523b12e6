/** Options of the samplers that extrapolate from their last model calls. */
export interface MultistepOptions {
  /** Most model calls a step draws on; default 2 unless the sampler says otherwise. */
  readonly order?: number;
  /** Lowers the order at the end of runs of fewer than 15 steps, which is steadier; default true. */
  readonly lowerOrderFinal?: boolean;
  /** Steps of the whole run, where these are the rest of one; default as many as there are. */
  readonly totalSteps?: number;
}

/** The order of step `index` of `steps`: it grows from 1 with the calls there are, and falls to 1 at the end of short runs. */
export function multistepOrder(index: number, steps: number, options: MultistepOptions): number {
  const { order = 2, lowerOrderFinal = true, totalSteps = steps } = options;
  const atEnd = lowerOrderFinal && totalSteps < 15 ? steps - index : order;
  return Math.min(order, index + 1, atEnd);
}

/**
 * Weights w with Σ wⱼ·f(uⱼ) = ∫f for every polynomial f of lower degree than there are nodes: the integrals of the
 * Lagrange polynomials of the nodes, from the moments ∫uᵏ of whatever is integrated over.
 */
export function lagrangeWeights(nodes: readonly number[], moments: readonly number[]): number[] {
  return nodes.map((node, j) => {
    let polynomial = [1];
    let scale = 1;
    nodes.forEach((other, m) => {
      if (m === j) return;
      // Multiplies by (u − other).
      polynomial = [...polynomial, 0].map((_, k) => (polynomial[k - 1] ?? 0) - other * (polynomial[k] ?? 0));
      scale *= node - other;
    });
    return polynomial.reduce((sum, coefficient, k) => sum + coefficient * moments[k]!, 0) / scale;
  });
}

/**
 * Adams–Bashforth weights of orders 1…4 on evenly spaced calls, the latest first.
 * @see Liu et al. 2022, arXiv:2202.09778 (pseudo linear multistep)
 */
export const adamsBashforth: readonly (readonly number[])[] = [
  [1],
  [3 / 2, -1 / 2],
  [23 / 12, -16 / 12, 5 / 12],
  [55 / 24, -59 / 24, 37 / 24, -9 / 24],
];
