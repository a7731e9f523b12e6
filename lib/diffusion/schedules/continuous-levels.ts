import { almostPureNoise, continuousNoise, type NoiseSchedule } from "./noise-schedule.js";
import { type Levels, requireSteps } from "./sampling-plan.js";
import type { SchedulerOptions } from "./scheduler-options.js";
import { exponentialSigmas, karrasSigmas } from "./sigma-ramps.js";

/** The levels of an EDM network, whose timestep is ¼·log σ. */
export function edmNoise(options: SchedulerOptions): NoiseSchedule {
  return explodingNoise(
    options,
    (sigma) => Math.log(sigma) / 4,
    (t) => Math.exp(4 * t),
  );
}

/** The levels of a network preconditioned as EDM's whose timestep is the angle of signal and noise, (2/π)·arctan σ. */
export function angularNoise(options: SchedulerOptions): NoiseSchedule {
  return explodingNoise(options, angleOf, (t) => Math.tan((t * Math.PI) / 2));
}

/** The angle whose tangent is σ, a right one being 1. */
function angleOf(sigma: number): number {
  return (Math.atan(sigma) * 2) / Math.PI;
}

/** The levels of a consistency network, whose timestep is 250·log σ. */
export function consistencyNoise(options: SchedulerOptions): NoiseSchedule {
  return explodingNoise(
    options,
    (sigma) => 250 * Math.log(sigma),
    (t) => Math.exp(t / 250),
  );
}

/** The levels of a score network, whose timestep is σ. */
export function scoreNoise(options: SchedulerOptions): NoiseSchedule {
  return explodingNoise(
    options,
    (sigma) => sigma,
    (t) => t,
  );
}

/** A state x₀ + σε as it is, at the levels of a ramp through all timesteps. */
function explodingNoise(
  options: SchedulerOptions,
  timestepOf: (sigma: number) => number,
  sigmaAt: (timestep: number) => number,
): NoiseSchedule {
  const { min, max } = range(options);
  const levels = karrasSigmas(options.num_train_timesteps, min, max, options.rho).reverse();
  return continuousNoise(levels.map(timestepOf), { sigmaAt, timestepOf, signal: () => 1 });
}

/** The levels of IPNDM, σ = tan(t·π/2) for t in 0…1. */
export function ipndmNoise({ num_train_timesteps: trained }: SchedulerOptions): NoiseSchedule {
  const timesteps = Float64Array.from({ length: trained }, (_, i) => (i + 1) / trained);
  return continuousNoise(timesteps, {
    sigmaAt: (t) => Math.min(Math.tan((t * Math.PI) / 2), almostPureNoise),
    timestepOf: angleOf,
    signal: (sigma) => 1 / Math.sqrt(1 + sigma ** 2),
  });
}

/** A ramp between the levels that the network was trained on. @see Karras et al. 2022, arXiv:2206.00364, eq. 5 */
export function edmLevels(
  options: SchedulerOptions,
  steps: number | readonly number[],
  timestepOf: (sigma: number) => number,
): Levels {
  const { min, max } = range(options);
  const count = requireSteps(steps);
  const levels =
    options.sigma_schedule === "exponential" ? exponentialSigmas(count, min, max) : karrasSigmas(count, min, max, options.rho);
  return {
    sigmas: Float64Array.of(...levels, options.final_sigmas_type === "sigma_min" ? levels.at(-1)! : 0),
    timesteps: levels.map(timestepOf),
    initialScale: Math.sqrt(max ** 2 + 1),
  };
}

/** Every so many of the levels that a consistency network was trained on, from the highest. */
export function consistencyLevels(options: SchedulerOptions, steps: number | readonly number[]): Levels {
  const { min, max } = range(options);
  const { num_train_timesteps: trained, rho } = options;
  const all = karrasSigmas(trained, min, max, rho);
  const count = requireSteps(steps, trained);
  const levels = Float64Array.from({ length: count }, (_, i) => all[i * Math.floor(trained / count)]!);
  return {
    sigmas: Float64Array.of(...levels, min),
    timesteps: levels.map((sigma) => 250 * Math.log(sigma)),
    initialScale: max,
  };
}

/** A geometric ramp, the same at whatever number of steps. @see Song et al. 2020, arXiv:2011.13456, App. C (VE) */
export function scoreLevels(options: SchedulerOptions, steps: number | readonly number[]): Levels {
  const { min, max } = range(options);
  const levels = exponentialSigmas(requireSteps(steps), min, max);
  return { sigmas: Float64Array.of(...levels, 0), timesteps: levels, initialScale: max };
}

/** β = sin²(uπ/2) and α = √(1−β²) at even u, so that σ = β/α. */
export function ipndmLevels(steps: number | readonly number[]): Levels {
  const count = requireSteps(steps);
  const betas = Float64Array.from({ length: count }, (_, i) => Math.sin(((1 - i / count) * Math.PI) / 2) ** 2);
  return {
    sigmas: Float64Array.of(...betas.map((b) => Math.min(b / Math.sqrt(1 - b ** 2), almostPureNoise)), 0),
    timesteps: betas.map((b) => (Math.asin(b) / Math.PI) * 2),
    settings: { startsBlind: true },
  };
}

/** The lowest and the highest level that the network was trained on. */
function range({ sigma_min: min, sigma_max: max }: SchedulerOptions): { min: number; max: number } {
  return { min: min ?? 0.002, max: max ?? 80 };
}
