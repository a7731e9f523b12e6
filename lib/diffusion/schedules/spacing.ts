/** How sampling timesteps are spread over the training ones, in the words of `scheduler_config.json`. */
export type TimestepSpacing = "leading" | "trailing" | "linspace";

export interface SpacingOptions {
  readonly spacing: TimestepSpacing;
  /** Training timesteps T. */
  readonly trained: number;
  /** Added to leading timesteps. */
  readonly offset?: number;
}

/**
 * `steps` timesteps from high to low; linspace may give fractions.
 * @throws RangeError if `steps` is outside 1…T
 * @see Lin et al. 2023, arXiv:2305.08891, table 2
 */
export function spacedTimesteps(steps: number, { spacing, trained, offset = 0 }: SpacingOptions): Float64Array {
  if (!Number.isInteger(steps) || steps < 1 || steps > trained) {
    throw new RangeError(`spacedTimesteps: steps must be 1…${trained}, got ${steps}`);
  }
  const timestep: Record<TimestepSpacing, (i: number) => number> = {
    // Both ends are used; a single step is the cleanest one.
    linspace: (i) => (steps === 1 ? 0 : ((steps - 1 - i) * (trained - 1)) / (steps - 1)),
    leading: (i) => (steps - 1 - i) * Math.floor(trained / steps) + offset,
    trailing: (i) => roundHalfEven(trained - (i * trained) / steps) - 1,
  };
  const rule = timestep[spacing];
  if (!rule) {
    throw new RangeError(
      `spacedTimesteps: unknown timestep_spacing "${spacing}"; expected one of ${Object.keys(timestep).join(", ")}`,
    );
  }
  return Float64Array.from({ length: steps }, (_, i) => rule(i));
}

/** Ties go to the even neighbour, as numpy rounds. */
export function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  if (x - floor !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
}
