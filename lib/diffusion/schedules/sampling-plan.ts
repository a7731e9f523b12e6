import type { TimestepLookup } from "../adapters.js";
import type { SamplerSettings } from "../samplers/index.js";

/** The noise levels of one run: what a sampler and a denoiser adapter need to know. */
export interface SamplingPlan extends TimestepLookup {
  /** steps + 1 noise levels, falling, or rising for a sampler that inverts. */
  readonly sigmas: Float64Array;
  /** The timestep of each level but the last. */
  readonly timesteps: Float64Array;
  /** Standard normal noise times this is where the run starts; for inversion, what latents are multiplied by. */
  readonly initialScale: number;
  /** Options for the sampler that follow from the configuration. */
  readonly settings: SamplerSettings;
  /** Whether states are (1−s)·x₀ + s·ε. */
  readonly isFlow: boolean;
  /** Whether it begins where a picture noised to the run's `strength` comes in, all steps being taken from there. */
  readonly isShortened: boolean;
  /** The state x₀ + σε times this is the state of the training process: the latents that a decoder gets at the end. */
  signal(sigma: number): number;
  /** The rest of the run from a step on, as after noising a picture to sigmas[step]: x₀ + sigmas[step]·ε. */
  from(step: number): SamplingPlan;
}

/** What one run may say beside its number of steps. */
export interface RunOptions {
  /** Noise levels s = 1…0 of a flow before shifting, instead of evenly spaced ones. */
  readonly sigmas?: readonly number[];
  /** The shift of a flow with dynamic shifting. */
  readonly mu?: number;
  /** Tokens of the picture, from which `mu` follows as the model was trained. */
  readonly imageSequenceLength?: number;
  /** Of DDIM inversion: iterations by which each step is made the reverse of DDIM's; default 0, Diffusers' one explicit step. */
  readonly fixedPointIterations?: number;
  /** How far a picture is noised, 0…1: the share of the levels known to a few-step student from which its steps are chosen. */
  readonly strength?: number;
}

/** Levels as a grid chooses them. */
export interface Levels {
  readonly sigmas: Float64Array;
  readonly timesteps: Float64Array;
  /** Default 1/signal(σ₀): a state of the training process. */
  readonly initialScale?: number;
  readonly settings?: SamplerSettings;
  /** Whether `strength` was made use of. */
  readonly isShortened?: boolean;
}

/** A plan that gives each chosen level its own timestep back. */
export function planOf(
  levels: Levels,
  lookup: TimestepLookup & { readonly isFlow?: boolean },
  settings: SamplerSettings = {},
): SamplingPlan {
  const { sigmas, timesteps } = levels;
  const { signal = (sigma: number) => 1 / Math.sqrt(1 + sigma ** 2) } = lookup;
  const evaluated = levels.settings?.takeoffs ?? sigmas;
  const timestepBySigma = new Map(Array.from(timesteps, (t, i) => [evaluated[i]!, t]));
  const all: SamplerSettings = { ...settings, ...levels.settings, timesteps };
  const plan: SamplingPlan = {
    ...lookup,
    isFlow: lookup.isFlow ?? false,
    isShortened: levels.isShortened ?? false,
    sigmas,
    timesteps,
    initialScale: levels.initialScale ?? 1 / signal(sigmas[0]!),
    settings: all,
    timestepOf: (sigma) => timestepBySigma.get(sigma) ?? lookup.timestepOf(sigma),
    signal,
    from: (step) => {
      if (!Number.isInteger(step) || step < 0 || step >= timesteps.length) {
        throw new RangeError(`SamplingPlan.from: step must be 0…${timesteps.length - 1}, got ${step}`);
      }
      if (step === 0) return plan;
      const rest = {
        ...all,
        totalSteps: all.totalSteps ?? timesteps.length,
        ...(all.landings && { landings: all.landings.subarray(step) }),
        ...(all.takeoffs && { takeoffs: all.takeoffs.subarray(step) }),
      };
      return planOf({ sigmas: sigmas.subarray(step), timesteps: timesteps.subarray(step) }, lookup, rest);
    },
  };
  return plan;
}

/** A number of steps. @throws RangeError if it is a list of timesteps, or not in 1…most */
export function requireSteps(steps: number | readonly number[], most: number = Number.POSITIVE_INFINITY): number {
  if (typeof steps === "number" && Number.isInteger(steps) && steps >= 1 && steps <= most) return steps;
  if (typeof steps === "number") {
    throw new RangeError(`plan: steps must be 1…${Number.isFinite(most) ? most : "any whole number"}, got ${steps}`);
  }
  throw new RangeError("plan: this schedule chooses its own timesteps; give a number of steps");
}

/** @throws RangeError unless the timesteps fall and are in range */
export function customTimesteps(timesteps: readonly number[], trained: number): Float64Array {
  const isFalling = timesteps.every((t, i) => t >= 0 && t < trained && (i === 0 || t < timesteps[i - 1]!));
  if (timesteps.length === 0 || !isFalling) {
    throw new RangeError(`plan: expected falling timesteps below ${trained}, got [${timesteps.join(", ")}]`);
  }
  return Float64Array.from(timesteps);
}
