import type { PredictionType, TimestepLookup } from "../adapters.js";
import type { Clip } from "../clip.js";
import type { SamplerName, SamplerSettings } from "../samplers/index.js";
import { alphasCumprod, type BetaSchedule, betas, rescaleZeroTerminalSnr } from "./betas.js";
import { type NoiseSchedule, noiseSchedule } from "./noise-schedule.js";
import { betaSigmas, exponentialSigmas, karrasSigmas, type SigmaRamp } from "./sigma-ramps.js";
import { roundHalfEven, spacedTimesteps, type TimestepSpacing } from "./spacing.js";

/** A `scheduler_config.json` as Diffusers writes it. */
export type SchedulerConfig = Readonly<Record<string, unknown>>;

/** The noise levels of one run: what a sampler and a denoiser adapter need to know. */
export interface SamplingPlan extends TimestepLookup {
  /** steps + 1 falling noise levels. */
  readonly sigmas: Float64Array;
  /** The timestep of each level but the last. */
  readonly timesteps: Float64Array;
  /** Standard normal noise times this is where the run starts. */
  readonly initialScale: number;
  /** Options for the sampler that follow from the configuration. */
  readonly settings: SamplerSettings;
}

/** How a model was trained and is meant to be sampled. */
export interface DiffusionSchedule {
  readonly sampler: SamplerName;
  readonly predictionType: PredictionType;
  readonly noise: NoiseSchedule;
  /** @param steps how many steps, or the timesteps themselves from high to low */
  plan(steps: number | readonly number[]): SamplingPlan;
}

/** The sampler of each variance-preserving scheduler class; where a class is not implemented, its nearest relative. */
const samplerOf: Readonly<Record<string, SamplerName>> = {
  DDIMScheduler: "ddim",
  DDPMScheduler: "ddpm",
  DEISMultistepScheduler: "dpmpp-2m",
  DPMSolverMultistepScheduler: "dpmpp-2m",
  DPMSolverSinglestepScheduler: "dpmpp-2m",
  EulerAncestralDiscreteScheduler: "euler-ancestral",
  EulerDiscreteScheduler: "euler",
  HeunDiscreteScheduler: "heun",
  KDPM2AncestralDiscreteScheduler: "euler-ancestral",
  KDPM2DiscreteScheduler: "heun",
  LMSDiscreteScheduler: "euler",
  PNDMScheduler: "ddim",
  UniPCMultistepScheduler: "dpmpp-2m",
};

/** Options whose other values would change the result and are not implemented. */
const onlySupported: Readonly<Record<string, readonly unknown[]>> = {
  prediction_type: ["epsilon", "v_prediction", "sample"],
  algorithm_type: ["dpmsolver++", "deis"],
  solver_type: ["midpoint", "logrho", "bh2", "bh1"],
  interpolation_type: ["linear"],
  timestep_type: ["discrete"],
  variance_type: [null, "fixed_small", "fixed_small_log", "fixed_large", "fixed_large_log"],
  use_lu_lambdas: [false],
  use_flow_sigmas: [false],
};

interface Options {
  trained: number;
  spacing: TimestepSpacing;
  offset: number;
  ramp: SigmaRamp | undefined;
  sigmaMin: number | undefined;
  sigmaMax: number | undefined;
  finalSigma: number;
  lambdaMin: number;
  settings: SamplerSettings;
}

/**
 * The schedule that a `scheduler_config.json` describes. Options that are absent have the defaults of the class that the
 * file names.
 * @param sampler another sampler than the class's own, run on the same training schedule
 * @throws RangeError if the class is not variance-preserving or an option has a value that is not implemented
 * @see https://huggingface.co/docs/diffusers/api/schedulers/overview
 */
export function scheduleFromConfig(config: SchedulerConfig, sampler?: SamplerName): DiffusionSchedule {
  const className = read(config, "_class_name", "string", "DDIMScheduler");
  const ownSampler = samplerOf[className];
  if (!ownSampler) {
    throw new RangeError(
      `scheduleFromConfig: ${className} is not supported; expected one of ${Object.keys(samplerOf).join(", ")}`,
    );
  }
  for (const [option, supported] of Object.entries(onlySupported)) {
    if (config[option] !== undefined && !supported.includes(config[option])) {
      throw new RangeError(
        `scheduleFromConfig: ${option} = ${JSON.stringify(config[option])} is not supported; expected one of ${JSON.stringify(supported)}`,
      );
    }
  }
  const noise = trainedNoise(config, className);
  const name = sampler ?? ownSampler;
  const options = samplingOptions(config, className, name, noise);
  return {
    sampler: name,
    predictionType: read(config, "prediction_type", "string", "epsilon") as PredictionType,
    noise,
    plan: (steps) => samplingPlan(name, noise, options, steps),
  };
}

function trainedNoise(config: SchedulerConfig, className: string): NoiseSchedule {
  const isHeun = className === "HeunDiscreteScheduler";
  const trained = config.trained_betas;
  let beta = Array.isArray(trained)
    ? Float64Array.from(trained, Number)
    : betas({
        schedule: read(config, "beta_schedule", "string", "linear") as BetaSchedule,
        count: read(config, "num_train_timesteps", "number", 1000),
        start: read(config, "beta_start", "number", isHeun ? 0.00085 : 0.0001),
        end: read(config, "beta_end", "number", isHeun ? 0.012 : 0.02),
      });
  if (read(config, "rescale_betas_zero_snr", "boolean", false)) beta = rescaleZeroTerminalSnr(beta);
  return noiseSchedule(alphasCumprod(beta));
}

function samplingOptions(config: SchedulerConfig, className: string, sampler: SamplerName, noise: NoiseSchedule): Options {
  const isDdimOrDdpm = className === "DDIMScheduler" || className === "DDPMScheduler";
  const isPndm = className === "PNDMScheduler";
  const ramps: [string, SigmaRamp][] = [
    ["use_karras_sigmas", karrasSigmas],
    ["use_exponential_sigmas", exponentialSigmas],
    ["use_beta_sigmas", betaSigmas],
  ];
  const endsAtLowest: Partial<Record<SamplerName, boolean>> = {
    ddim: !read(config, "set_alpha_to_one", "boolean", !isPndm),
    euler: read(config, "final_sigmas_type", "string", "zero") === "sigma_min",
    "dpmpp-2m": read(config, "final_sigmas_type", "string", "zero") === "sigma_min",
  };
  const clip: Clip | undefined = read(config, "thresholding", "boolean", false)
    ? {
        quantile: read(config, "dynamic_thresholding_ratio", "number", 0.995),
        max: read(config, "sample_max_value", "number", 1),
      }
    : read(config, "clip_sample", "boolean", isDdimOrDdpm)
      ? { range: read(config, "clip_sample_range", "number", 1) }
      : undefined;
  return {
    trained: noise.sigmas.length,
    spacing: read(config, "timestep_spacing", "string", isDdimOrDdpm || isPndm ? "leading" : "linspace") as TimestepSpacing,
    offset: read(config, "steps_offset", "number", 0),
    ramp: ramps.find(([option]) => read(config, option, "boolean", false))?.[1],
    sigmaMin: optionalNumber(config, "sigma_min"),
    sigmaMax: optionalNumber(config, "sigma_max"),
    finalSigma: endsAtLowest[sampler] ? noise.sigmas[0]! : 0,
    lambdaMin: optionalNumber(config, "lambda_min_clipped") ?? Number.NEGATIVE_INFINITY,
    settings: {
      ...(clip && { clip }),
      variance: String(config.variance_type).startsWith("fixed_large") ? "fixed_large" : "fixed_small",
      lowerOrderFinal: read(config, "lower_order_final", "boolean", true),
    },
  };
}

function samplingPlan(
  sampler: SamplerName,
  noise: NoiseSchedule,
  options: Options,
  steps: number | readonly number[],
): SamplingPlan {
  let timesteps: Float64Array =
    typeof steps === "number" ? chosenTimesteps(sampler, noise, options, steps) : customTimesteps(steps, options.trained);
  let levels: Float64Array = timesteps.map((t) => noise.sigmaAt(t));
  if (options.ramp && sampler !== "ddim" && sampler !== "ddpm") {
    // DPM-Solver spans all trained levels, the others those of the chosen timesteps.
    const span = sampler === "dpmpp-2m" ? noise.sigmas.toReversed() : levels;
    levels = options.ramp(levels.length, options.sigmaMin ?? span.at(-1)!, options.sigmaMax ?? span[0]!);
    timesteps = levels.map((sigma) => noise.timestepOf(sigma));
    // Diffusers' DPM-Solver rounds the timesteps of Karras levels and cuts off the fractions of others.
    if (sampler === "dpmpp-2m") timesteps = timesteps.map(options.ramp === karrasSigmas ? roundHalfEven : Math.trunc);
  }
  const sigmas = Float64Array.of(...levels, Math.min(options.finalSigma, levels.at(-1)!));
  const landings = sampler === "ddim" && typeof steps === "number" ? ddimLandings(noise, options, timesteps) : undefined;
  const timestepBySigma = new Map(Array.from(timesteps, (t, i) => [levels[i]!, t]));
  // Euler and Heun start at noise of σ₀ where the first level is the highest; the others from a unit-variance state.
  const isVarianceExploding = ["euler", "euler-ancestral", "heun"].includes(sampler) && options.spacing !== "leading";
  return {
    sigmas,
    timesteps,
    initialScale: isVarianceExploding ? levels[0]! : Math.sqrt(1 + levels[0]! ** 2),
    settings: { ...options.settings, timesteps, ...(landings && { landings }) },
    timestepOf: (sigma) => timestepBySigma.get(sigma) ?? noise.timestepOf(sigma),
  };
}

function chosenTimesteps(sampler: SamplerName, noise: NoiseSchedule, options: Options, steps: number): Float64Array {
  const { trained, spacing, offset } = options;
  const ofSteps = (count: number, upTo: number): Float64Array => spacedTimesteps(count, { spacing, trained: upTo, offset });
  if (sampler === "ddim" || sampler === "ddpm") return ofSteps(steps, trained).map(roundHalfEven);
  if (sampler !== "dpmpp-2m") return ofSteps(steps, trained);
  // Levels with λ = −log σ below the bound are left out at the noisy end.
  const kept = noise.sigmas.filter((sigma) => -Math.log(sigma) >= options.lambdaMin).length;
  // DPM-Solver spaces one step more and leaves out the cleanest.
  return (spacing === "trailing" ? ofSteps(steps, kept) : ofSteps(steps + 1, kept).subarray(0, steps)).map(roundHalfEven);
}

function customTimesteps(timesteps: readonly number[], trained: number): Float64Array {
  const isFalling = timesteps.every((t, i) => t >= 0 && t < trained && (i === 0 || t < timesteps[i - 1]!));
  if (timesteps.length === 0 || !isFalling) {
    throw new RangeError(`plan: expected falling timesteps below ${trained}, got [${timesteps.join(", ")}]`);
  }
  return Float64Array.from(timesteps);
}

/** Diffusers' DDIM steps to t − ⌊T / steps⌋, which is not always the next timestep. */
function ddimLandings(noise: NoiseSchedule, options: Options, timesteps: Float64Array): Float64Array | undefined {
  const stride = Math.floor(options.trained / timesteps.length);
  const isRegular = timesteps.every((t, i) => i === 0 || t === timesteps[i - 1]! - stride);
  if (isRegular && timesteps.at(-1)! < stride) return undefined;
  return timesteps.map((t) => (t >= stride ? noise.sigmas[t - stride]! : options.finalSigma));
}

interface OptionTypes {
  boolean: boolean;
  number: number;
  string: string;
}

function read<K extends keyof OptionTypes>(
  config: SchedulerConfig,
  option: string,
  type: K,
  fallback: OptionTypes[K],
): OptionTypes[K] {
  const value = config[option];
  if (value === undefined || value === null) return fallback;
  if (typeof value === type) return value as OptionTypes[K];
  throw new TypeError(`scheduleFromConfig: ${option} must be a ${type}, got ${JSON.stringify(value)}`);
}

/** A number, or undefined where the file has none or writes an infinity as text. */
function optionalNumber(config: SchedulerConfig, option: string): number | undefined {
  const value = config[option];
  return typeof value === "number" ? value : undefined;
}
