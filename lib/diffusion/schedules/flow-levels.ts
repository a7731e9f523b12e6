import { almostPureNoise, continuousNoise, type NoiseSchedule } from "./noise-schedule.js";
import { type Levels, type RunOptions, requireSteps } from "./sampling-plan.js";
import type { SchedulerOptions } from "./scheduler-options.js";
import { rampOf } from "./variance-preserving-levels.js";

/** Of a flow s = σ/(1+σ); pure noise, s = 1, is told by a level that float64 can hold. */
const sigmaOfShare = (s: number): number => Math.min(s / (1 - s), almostPureNoise);

/** The levels of a flow: timestep t is s = t/T, or 1 − t/T where time is turned round. */
export function flowNoise({ num_train_timesteps: trained, invert_sigmas: isReversed }: SchedulerOptions): NoiseSchedule {
  const turned = (t: number): number => (isReversed ? trained - t : t);
  const timesteps = Float64Array.from({ length: trained }, (_, i) => turned(i + 1));
  return continuousNoise(timesteps, {
    sigmaAt: (t) => sigmaOfShare(turned(t) / trained),
    timestepOf: (sigma) => turned((trained * sigma) / (1 + sigma)),
    signal: (sigma) => 1 / (1 + sigma),
  });
}

/**
 * Even steps of s, shifted towards noise by a constant or as the picture's size asks, then bent and stretched.
 * @param steps how many, or timesteps s·T before shifting
 * @see Esser et al. 2024, arXiv:2403.03206, §5.3.2 (shift); Karras et al. 2022, arXiv:2206.00364, eq. 5 (ramp, here of s)
 */
export function flowLevels(options: SchedulerOptions, steps: number | readonly number[], run: RunOptions): Levels {
  const { num_train_timesteps: trained, shift_terminal: terminal } = options;
  const shift = shiftOf(options, run);
  let shares: Float64Array = Float64Array.from(
    run.sigmas ?? (typeof steps === "number" ? evenShares(options, steps) : steps.map((t) => t / trained)),
  );
  if (shares.length === 0 || !shares.every((s, i) => s > 0 && s <= 1 && (i === 0 || s < shares[i - 1]!))) {
    throw new RangeError(`plan: expected falling levels of a flow in 1…0, 0 left out, got [${shares.join(", ")}]`);
  }
  shares = shares.map(shift);
  if (terminal !== null && terminal !== 0) {
    const scale = (1 - shares.at(-1)!) / (1 - terminal);
    shares = shares.map((s) => 1 - (1 - s) / scale);
  }
  const ramp = rampOf(options);
  if (ramp) shares = ramp(shares.length, shares.at(-1)!, shares[0]!);
  return {
    sigmas: Float64Array.of(...shares.map(sigmaOfShare), 0),
    timesteps: shares.map((s) => (options.invert_sigmas ? 1 - s : s) * trained),
  };
}

/** From the highest trained s to the lowest, which a constant shift has moved already. */
function evenShares(options: SchedulerOptions, steps: number): Float64Array {
  requireSteps(steps);
  const lowest = options.use_dynamic_shifting
    ? 1 / options.num_train_timesteps
    : shifted(1 / options.num_train_timesteps, options.shift);
  return Float64Array.from({ length: steps }, (_, i) => (steps === 1 ? 1 : 1 + ((lowest - 1) * i) / (steps - 1)));
}

function shifted(s: number, shift: number): number {
  return (shift * s) / (1 + (shift - 1) * s);
}

function shiftOf(options: SchedulerOptions, { mu: given, imageSequenceLength: tokens }: RunOptions): (s: number) => number {
  if (!options.use_dynamic_shifting) return (s) => shifted(s, options.shift);
  const { base_shift: low, max_shift: high, base_image_seq_len: from, max_image_seq_len: to } = options;
  const mu = given ?? (tokens === undefined ? undefined : low + ((high - low) * (tokens - from)) / (to - from));
  if (mu === undefined) {
    throw new RangeError("plan: use_dynamic_shifting shifts by the picture's size; give run.mu or run.imageSequenceLength");
  }
  return (s) => shifted(s, options.time_shift_type === "linear" ? mu : Math.exp(mu));
}
