import { almostPureNoise, type NoiseSchedule } from "./noise-schedule.js";
import type { Levels, RunOptions } from "./sampling-plan.js";
import type { SchedulerOptions } from "./scheduler-options.js";
import { exponentialSigmas, karrasSigmas } from "./sigma-ramps.js";
import { rampOf } from "./variance-preserving-levels.js";

/** Of a flow s = σ/(1+σ); pure noise, s = 1, is told by a level that float64 can hold. */
const sigmaOfShare = (s: number): number => Math.min(s / (1 - s), almostPureNoise);

/** A schedule whose timesteps are a function of σ, with the levels of whole timesteps 0…count. */
function continuous(
  count: number,
  sigmaAt: (timestep: number) => number,
  timestepOf: (sigma: number) => number,
  signal: (sigma: number) => number,
): NoiseSchedule {
  const sigmas = Float64Array.from({ length: count + 1 }, (_, t) => sigmaAt(t));
  return { sigmas, alphasCumprod: sigmas.map((sigma) => signal(sigma) ** 2), sigmaAt, timestepOf };
}

/** The levels of a flow: timestep t is s = t/T. */
export function flowNoise({ num_train_timesteps: trained, invert_sigmas: isReversed }: SchedulerOptions): NoiseSchedule {
  const turned = (t: number): number => (isReversed ? trained - t : t);
  return continuous(
    trained,
    (t) => sigmaOfShare(turned(t) / trained),
    (sigma) => turned((trained * sigma) / (1 + sigma)),
    (sigma) => 1 / (1 + sigma),
  );
}

/** The levels of an EDM network, whose timestep is ¼·log σ. */
export function edmNoise(): NoiseSchedule {
  return continuous(
    0,
    (t) => Math.exp(4 * t),
    (sigma) => Math.log(sigma) / 4,
    () => 1,
  );
}

/** The levels of a consistency network, whose timestep is 250·log σ. */
export function consistencyNoise(): NoiseSchedule {
  return continuous(
    0,
    (t) => Math.exp(t / 250),
    (sigma) => 250 * Math.log(sigma),
    () => 1,
  );
}

/** The levels of IPNDM, σ = tan(t·π/2) for t in 0…1. */
export function ipndmNoise(): NoiseSchedule {
  return continuous(
    1,
    (t) => Math.min(Math.tan((t * Math.PI) / 2), almostPureNoise),
    (sigma) => (Math.atan(sigma) * 2) / Math.PI,
    (sigma) => 1 / Math.sqrt(1 + sigma ** 2),
  );
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
  if (!Number.isInteger(steps) || steps < 1) throw new RangeError(`plan: steps must be a positive whole number, got ${steps}`);
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

/** A ramp between the levels that the network was trained on. @see Karras et al. 2022, arXiv:2206.00364, eq. 5 */
export function edmLevels(options: SchedulerOptions, steps: number | readonly number[]): Levels {
  const { sigma_min: min, sigma_max: max } = options as SchedulerOptions & { sigma_min: number; sigma_max: number };
  let levels: Float64Array;
  if (typeof steps !== "number") levels = Float64Array.from(steps, (t) => Math.exp(4 * t));
  else if (options.sigma_schedule === "exponential") levels = exponentialSigmas(steps, min, max);
  else levels = karrasSigmas(steps, min, max, options.rho);
  return {
    sigmas: Float64Array.of(...levels, options.final_sigmas_type === "sigma_min" ? Math.min(min, levels.at(-1)!) : 0),
    timesteps: levels.map((sigma) => Math.log(sigma) / 4),
    initialScale: Math.sqrt(max ** 2 + 1),
  };
}

/** Every so many of the levels that a consistency network was trained on, from the highest. */
export function consistencyLevels(options: SchedulerOptions, steps: number | readonly number[]): Levels {
  const {
    sigma_min: min,
    sigma_max: max,
    num_train_timesteps: trained,
    rho,
  } = options as SchedulerOptions & {
    sigma_min: number;
    sigma_max: number;
  };
  if (typeof steps === "number" && !(Number.isInteger(steps) && steps >= 1 && steps <= trained)) {
    throw new RangeError(`plan: steps must be 1…${trained}, got ${steps}`);
  }
  const all = karrasSigmas(trained, min, max, rho);
  const stride = typeof steps === "number" ? Math.floor(trained / steps) : 1;
  const indices =
    typeof steps === "number" ? Array.from({ length: steps }, (_, i) => i * stride) : steps.map((t) => trained - 1 - t);
  const levels = Float64Array.from(indices, (i) => all[i]!);
  return {
    sigmas: Float64Array.of(...levels, min),
    timesteps: levels.map((sigma) => 250 * Math.log(sigma)),
    initialScale: max,
  };
}

/** β = sin²(uπ/2) and α = √(1−β²) at even u, so that σ = β/α. */
export function ipndmLevels(steps: number | readonly number[]): Levels {
  if (typeof steps !== "number") throw new RangeError("plan: IPNDM chooses its own timesteps; give a number of steps");
  const betas = Float64Array.from({ length: steps }, (_, i) => Math.sin(((1 - i / steps) * Math.PI) / 2) ** 2);
  return {
    sigmas: Float64Array.of(...betas.map((b) => Math.min(b / Math.sqrt(1 - b ** 2), almostPureNoise)), 0),
    timesteps: betas.map((b) => (Math.asin(b) / Math.PI) * 2),
    settings: { startsBlind: true },
  };
}
