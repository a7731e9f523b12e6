import { risingSamplers, type SamplerName } from "../samplers/index.js";
import type { NoiseSchedule } from "./noise-schedule.js";
import { customTimesteps, type Levels, type RunOptions, requireSteps } from "./sampling-plan.js";
import type { SchedulerOptions } from "./scheduler-options.js";
import { betaSigmas, exponentialSigmas, karrasSigmas, type SigmaRamp } from "./sigma-ramps.js";
import { roundHalfEven, spacedTimesteps } from "./spacing.js";

/** What a rule chooses levels from. */
export interface LevelsRequest {
  readonly options: SchedulerOptions;
  readonly noise: NoiseSchedule;
  readonly sampler: SamplerName;
  readonly steps: number | readonly number[];
  readonly run: RunOptions;
}

type LevelsRule = (request: LevelsRequest) => Levels;

/** How each sampler's scheduler class chooses its levels from those a variance-preserving network was trained on. */
export const variancePreservingLevels: Readonly<Record<SamplerName, LevelsRule>> = {
  "annealed-langevin": interpolated,
  consistency: distilled,
  ddim: whole,
  "ddim-inverse": inverse,
  ddpm: whole,
  deis: exponential,
  "dpm-2": interpolated,
  "dpm-2-ancestral": interpolated,
  "dpmpp-2m": exponential,
  "dpmpp-2m-inverse": exponentialInverse,
  "dpmpp-2m-sde": exponential,
  "dpmpp-2s": exponential,
  "dpmpp-sde": interpolated,
  euler: interpolated,
  "euler-ancestral": interpolated,
  "few-step": whole,
  "flow-heun": interpolated,
  heun: interpolated,
  ipndm: interpolated,
  lcm: distilled,
  lms: interpolated,
  pndm: whole,
  "predictor-corrector": interpolated,
  "sa-solver": exponential,
  tcd: distilled,
  unipc: exponential,
};

/** Whole timesteps and their own levels. */
function whole({ options, noise, sampler, steps }: LevelsRequest): Levels {
  const timesteps =
    typeof steps === "number" ? spaced(steps, options, noise.sigmas.length).map(roundHalfEven) : trainedTimesteps(steps, noise);
  const lowest = noise.sigmas[0]!;
  const final = options.set_alpha_to_one || sampler === "ddpm" || sampler === "few-step" ? 0 : lowest;
  const sigmas = withFinal(
    timesteps.map((t) => noise.sigmaAt(t)),
    final,
  );
  // Diffusers' DDIM and PNDM step to t − ⌊T / steps⌋, which is not always the next timestep.
  const stride = Math.floor(noise.sigmas.length / timesteps.length);
  const isRegular = timesteps.every((t, i) => t === timesteps.at(-1)! + (timesteps.length - 1 - i) * stride);
  if (typeof steps !== "number" || (isRegular && timesteps.at(-1)! < stride && sampler !== "pndm")) return { sigmas, timesteps };
  const sigmaAt = (t: number): number => (t < 0 ? final : noise.sigmaAt(t));
  if (sampler === "pndm") return { sigmas, timesteps, settings: { grid: { sigmaAt, stride } } };
  return sampler === "ddim"
    ? { sigmas, timesteps, settings: { landings: timesteps.map((t) => sigmaAt(t - stride)) } }
    : { sigmas, timesteps };
}

/** Timesteps that may lie between whole ones, with levels interpolated, or a ramp between the highest and the lowest. */
function interpolated({ options, noise, sampler, steps }: LevelsRequest): Levels {
  let timesteps: Float64Array =
    typeof steps === "number" ? spaced(steps, options, noise.sigmas.length) : trainedTimesteps(steps, noise);
  let levels: Float64Array = timesteps.map((t) => noise.sigmaAt(t));
  const ramp = rampOf(options);
  if (ramp) {
    levels = ramp(levels.length, options.sigma_min ?? levels.at(-1)!, options.sigma_max ?? levels[0]!);
    timesteps = levels.map((sigma) => noise.timestepOf(sigma));
    // So Diffusers' KDPM2 does.
    if (options.use_karras_sigmas && sampler.startsWith("dpm-2")) timesteps = timesteps.map(roundHalfEven);
  }
  let sigmas = withFinal(levels, options.final_sigmas_type === "sigma_min" ? noise.sigmas[0]! : 0);
  if (options.interpolation_type === "log_linear" && !ramp) {
    sigmas = exponentialSigmas(levels.length + 1, noise.sigmas[0]!, noise.sigmas.at(-1)!);
  }
  if (options.timestep_type === "continuous" && options.prediction_type === "v_prediction") {
    timesteps = timesteps.map((_, i) => Math.log(sigmas[i]!) / 4);
  }
  const highest = sigmas[0]!;
  // Noise of the highest level, or a unit-variance state where the first level is not the highest trained.
  return { sigmas, timesteps, initialScale: options.timestep_spacing === "leading" ? Math.sqrt(1 + highest ** 2) : highest };
}

/** One whole timestep more than steps, without the cleanest; ramps span all trained levels. */
function exponential(request: LevelsRequest): Levels {
  const { options, noise, sampler, steps } = request;
  const ramp = rampOf(options);
  let timesteps: Float64Array;
  let levels: Float64Array;
  if (ramp && typeof steps === "number") {
    levels = ramp(steps, noise.sigmas[0]!, noise.sigmas.at(-1)!);
    timesteps = levels.map((sigma) => noise.timestepOf(sigma));
    // Diffusers rounds the timesteps of some ramps and cuts off the fractions of others.
    const isCosine = sampler.startsWith("dpmpp-2m") && options.beta_schedule === "squaredcos_cap_v2";
    const isRounded = (options.use_karras_sigmas || options.use_lu_lambdas) && !isCosine;
    timesteps = timesteps.map(isRounded ? roundHalfEven : Math.trunc);
  } else {
    timesteps = typeof steps === "number" ? exponentialTimesteps(steps, options, noise) : trainedTimesteps(steps, noise);
    levels = timesteps.map((t) => noise.sigmaAt(t));
  }
  return { sigmas: withFinal(levels, endsAtLowest(sampler, options) ? noise.sigmas[0]! : 0), timesteps };
}

function exponentialTimesteps(steps: number, options: SchedulerOptions, noise: NoiseSchedule): Float64Array {
  const kept = keptTimesteps(options, noise);
  if (options.timestep_spacing === "trailing") return trailingBelow(kept, noise.sigmas.length / requireSteps(steps));
  return spaced(steps + 1, options, kept)
    .subarray(0, steps)
    .map(roundHalfEven);
}

/** How many timesteps are left where levels with λ = −log σ below the bound are not, at the noisy end. */
function keptTimesteps({ lambda_min_clipped: bound }: SchedulerOptions, noise: NoiseSchedule): number {
  return noise.sigmas.filter((sigma) => -Math.log(sigma) >= bound).length;
}

/** Down from the highest timestep there is, in strides. */
function trailingBelow(kept: number, stride: number): Float64Array {
  return Float64Array.from({ length: Math.ceil(kept / stride - 1e-9) }, (_, i) => roundHalfEven(kept - i * stride) - 1);
}

/** The levels of `exponential` the other way round, from the cleanest up to the noisiest. */
function exponentialInverse({ options, noise, steps }: LevelsRequest): Levels {
  const count = requireSteps(steps);
  const kept = keptTimesteps(options, noise);
  const isTrailing = options.timestep_spacing === "trailing";
  const all = isTrailing
    ? trailingBelow(kept, noise.sigmas.length / count)
    : spaced(count + 1, options, kept)
        .subarray(1)
        .map(roundHalfEven);
  const ramp = rampOf(options);
  let timesteps = all.toReversed();
  let levels: Float64Array = timesteps.map((t) => noise.sigmaAt(t));
  if (ramp) {
    levels = ramp(count, noise.sigmas[0]!, noise.sigmas.at(-1)!).reverse();
    timesteps = levels.map((sigma) => noise.timestepOf(sigma)).map(options.use_karras_sigmas ? roundHalfEven : Math.trunc);
  }
  return { sigmas: Float64Array.of(...levels, Math.max(noise.sigmas[kept - 1]!, levels.at(-1)!)), timesteps };
}

/**
 * Levels of a flow s = σ/(1+σ) as the solvers with use_flow_sigmas choose them, shifted towards noise.
 * @see Esser et al. 2024, arXiv:2403.03206, eq. 23
 */
export function solverFlowLevels({ options, sampler, steps, run }: LevelsRequest): Levels {
  if (risingSamplers.has(sampler)) throw new RangeError(`plan: ${sampler} has no levels of a flow; leave use_flow_sigmas out`);
  const count = requireSteps(steps);
  const { num_train_timesteps: trained } = options;
  const shift = options.use_dynamic_shifting && run.mu !== undefined ? Math.exp(run.mu) : options.flow_shift;
  const shares = Float64Array.from({ length: count }, (_, i) => {
    const s = ((1 - 1 / trained) * (count - i)) / count;
    return (shift * s) / (1 + (shift - 1) * s);
  });
  const levels = shares.map((s) => s / (1 - s));
  const final = endsAtLowest(sampler, options) ? levels.at(-1)! : 0;
  return { sigmas: withFinal(levels, final), timesteps: shares.map((s) => Math.trunc(s * trained)) };
}

/**
 * Every so many of the timesteps that a student was distilled on, of the lowest of them where a picture is noised to a strength.
 * @see Luo et al. 2023, arXiv:2310.04378
 */
function distilled({ options, noise, sampler, steps, run: { strength } }: LevelsRequest): Levels {
  const { original_inference_steps: original } = options;
  const isShortened = strength !== undefined && typeof steps === "number";
  let timesteps: Float64Array;
  if (typeof steps === "number") {
    const known = Math.floor(original * (strength ?? 1));
    if (steps > known && isShortened)
      throw new RangeError(
        `plan: strength ${strength} leaves ${known} of ${original} levels, too few for ${steps} steps; raise it or take fewer`,
      );
    requireSteps(steps, original);
    const stride = Math.floor(noise.sigmas.length / original);
    timesteps = Float64Array.from({ length: steps }, (_, i) => (known - Math.floor((i * known) / steps)) * stride - 1);
  } else {
    timesteps = trainedTimesteps(steps, noise);
  }
  const levels = timesteps.map((t) => noise.sigmaAt(t));
  if (sampler !== "tcd") return { sigmas: withFinal(levels, 0), timesteps, isShortened };
  return { sigmas: withFinal(levels, noise.sigmas[0]!), timesteps, isShortened, settings: { sigmaAt: noise.sigmaAt } };
}

/** From σ = 0, or the lowest trained level, up; each step is predicted as at the timestep it leads to. */
function inverse({ options, noise, steps, run }: LevelsRequest): Levels {
  const count = requireSteps(steps);
  const { fixedPointIterations: iterations = 0 } = run;
  if (!Number.isSafeInteger(iterations) || iterations < 0)
    throw new RangeError(`plan: fixedPointIterations must be a whole number ≥ 0, got ${iterations}`);
  const timesteps = spaced(count, options, noise.sigmas.length).map(roundHalfEven).reverse();
  const stride = Math.floor(noise.sigmas.length / count);
  const start = options.set_alpha_to_one ? 0 : noise.sigmas[0]!;
  const takeoffs = timesteps.map((t) => (t >= stride ? noise.sigmaAt(t - stride) : start));
  const sigmas = Float64Array.of(takeoffs[0]!, ...timesteps.map((t) => noise.sigmaAt(t)));
  if (iterations === 0) return { sigmas, timesteps, settings: { takeoffs } };
  // The network is asked at the level that each step leads to.
  return { sigmas, timesteps, settings: { takeoffs: sigmas.subarray(1), fixedPointIterations: iterations } };
}

function spaced(steps: number, { timestep_spacing, steps_offset }: SchedulerOptions, trained: number): Float64Array {
  return spacedTimesteps(steps, { spacing: timestep_spacing, trained, offset: steps_offset });
}

function trainedTimesteps(steps: readonly number[], noise: NoiseSchedule): Float64Array {
  return customTimesteps(steps, noise.sigmas.length);
}

function withFinal(levels: Float64Array, final: number): Float64Array {
  return Float64Array.of(...levels, Math.min(final, levels.at(-1)!));
}

function endsAtLowest(sampler: SamplerName, options: SchedulerOptions): boolean {
  return sampler === "deis" || sampler === "sa-solver" || options.final_sigmas_type === "sigma_min";
}

/** The ramp that the options ask for. Even steps in λ are even steps in log σ. */
export function rampOf(options: SchedulerOptions): SigmaRamp | undefined {
  if (options.use_karras_sigmas) return karrasSigmas;
  if (options.use_lu_lambdas || options.use_exponential_sigmas) return exponentialSigmas;
  return options.use_beta_sigmas ? betaSigmas : undefined;
}
