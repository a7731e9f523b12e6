/** Learning rate of a step (from 0). */
export type Schedule = (step: number) => number;

export function constantRate(learningRate: number): Schedule {
  return () => learningRate;
}

/** Linear rise over `warmup` steps, then the inner schedule. */
export function withWarmup(warmup: number, inner: Schedule): Schedule {
  return (step) => inner(step) * Math.min(1, (step + 1) / warmup);
}

/** Half a cosine from `learningRate` at step 0 to `final` at `steps`. @see arXiv:1608.03983 */
export function cosineRate(learningRate: number, steps: number, final = 0): Schedule {
  return (step) => final + 0.5 * (learningRate - final) * (1 + Math.cos(Math.PI * Math.min(1, step / steps)));
}

/** Constant, then a straight line to 0 over the last `cooldown` steps. */
export function cooldownRate(learningRate: number, steps: number, cooldown: number): Schedule {
  return (step) => learningRate * Math.min(1, Math.max(0, steps - step) / cooldown);
}
