/** A share of successes with its Wilson score interval. */
export interface Proportion {
  readonly successes: number;
  readonly trials: number;
  /** successes / trials; NaN without trials. */
  readonly share: number;
  readonly low: number;
  readonly high: number;
}

/**
 * The share of successes among independent trials, with the interval that keeps its coverage near 0 and 1.
 * @param z standard normal quantile of the interval; 1.96 for 95 %
 * @throws RangeError unless 0 ≤ successes ≤ trials are whole numbers
 * @see Wilson 1927, doi:10.1080/01621459.1927.10502953
 * @example
 * import { proportion } from "tweedie";
 *
 * const { share, low, high } = proportion(19, 20);
 * console.log([share, low, high].map((v) => v.toFixed(2))); // ["0.95", "0.76", "0.99"]
 */
export function proportion(successes: number, trials: number, z = 1.959963984540054): Proportion {
  if (!Number.isSafeInteger(successes) || !Number.isSafeInteger(trials) || successes < 0 || successes > trials) {
    throw new RangeError(`proportion: expected whole numbers 0 ≤ successes ≤ trials, got ${successes} of ${trials}`);
  }
  if (trials === 0) return { successes, trials, share: Number.NaN, low: 0, high: 1 };
  const share = successes / trials;
  const shrink = 1 / (1 + (z * z) / trials);
  const centre = shrink * (share + (z * z) / (2 * trials));
  const half = shrink * z * Math.sqrt((share * (1 - share)) / trials + (z * z) / (4 * trials * trials));
  return {
    successes,
    trials,
    share,
    low: successes === 0 ? 0 : centre - half,
    high: successes === trials ? 1 : centre + half,
  };
}

/** The share of `true` among outcomes. */
export function proportionOf(outcomes: readonly boolean[], z?: number): Proportion {
  return proportion(outcomes.filter(Boolean).length, outcomes.length, z);
}
