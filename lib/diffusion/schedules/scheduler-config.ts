import { nearestNames } from "../../runtime/feeds.js";
import type { PredictionType } from "../adapters.js";
import type { Clip } from "../clip.js";
import { type DpmAlgorithm, type SamplerName, type SamplerSettings, samplers } from "../samplers/index.js";
import { alphasCumprod, betas, rescaleZeroTerminalSnr } from "./betas.js";
import {
  angularNoise,
  consistencyLevels,
  consistencyNoise,
  edmLevels,
  edmNoise,
  ipndmLevels,
  ipndmNoise,
  scoreLevels,
  scoreNoise,
} from "./continuous-levels.js";
import { flowLevels, flowNoise } from "./flow-levels.js";
import { type NoiseSchedule, noiseSchedule } from "./noise-schedule.js";
import { checkedOption } from "./option-checks.js";
import { type Levels, planOf, type RunOptions, type SamplingPlan } from "./sampling-plan.js";
import {
  defaultOptions,
  ignoredOptions,
  type SchedulerClass,
  type SchedulerOptions,
  schedulerClasses,
} from "./scheduler-options.js";
import { solverFlowLevels, variancePreservingLevels } from "./variance-preserving-levels.js";

/** A `scheduler_config.json` as Diffusers writes it. */
export type SchedulerConfig = Readonly<Record<string, unknown>>;

/** How a model was trained and is meant to be sampled. */
export interface DiffusionSchedule {
  readonly sampler: SamplerName;
  readonly predictionType: PredictionType;
  readonly noise: NoiseSchedule;
  /** @param steps how many steps, or the timesteps themselves from high to low */
  plan(steps: number | readonly number[], run?: RunOptions): SamplingPlan;
}

/**
 * The schedule that a `scheduler_config.json` describes. Options that are absent have the defaults of the class that the
 * file names; options of other classes are left aside, as Diffusers does.
 * @param sampler another sampler than the class's own, run on the same training process; it takes the options of any class
 * @param overrides options over those of the file, which the class must have
 * @throws RangeError if the class, the sampler or an option is unknown, or an option has a value that is not implemented;
 *   TypeError if it has another type
 * @see https://huggingface.co/docs/diffusers/api/schedulers/overview
 */
export function scheduleFromConfig(
  config: SchedulerConfig,
  sampler?: SamplerName,
  overrides: SchedulerConfig = {},
): DiffusionSchedule {
  const className = String(config._class_name ?? "DDIMScheduler");
  if (!Object.hasOwn(schedulerClasses, className)) throw unknown("scheduler class", className, Object.keys(schedulerClasses));
  if (sampler !== undefined && !Object.hasOwn(samplers, sampler)) throw unknown("sampler", sampler, Object.keys(samplers));
  const known = schedulerClasses[className]!;
  const options = readOptions(config, overrides, className, sampler !== undefined);
  const name = sampler ?? ownSampler(known, options);
  const noise = trainedNoise(name, known, options);
  const settings = samplerSettings(name, known, options);
  // How a network of this kind sees a state, beside its timesteps.
  const scales = { sigmaData: options.sigma_data, ...(options.sigma_min !== null && { sigmaMin: options.sigma_min }) };
  const isFlow = known.process === "flow" || options.use_flow_sigmas;
  const chooseLevels = (steps: number | readonly number[], run: RunOptions): Levels => {
    switch (known.process) {
      case "variance-preserving": {
        const request = { options, noise, sampler: name, steps, run };
        return options.use_flow_sigmas ? solverFlowLevels(request) : variancePreservingLevels[name](request);
      }
      case "flow":
        return flowLevels(options, steps, run);
      case "edm":
      case "angular":
        return edmLevels(options, steps, noise.timestepOf);
      case "consistency":
        return consistencyLevels(options, steps);
      case "score":
        return scoreLevels(options, steps);
      case "ipndm":
        return ipndmLevels(steps);
    }
  };
  return {
    sampler: name,
    predictionType: predictionType(known, options),
    noise,
    plan: (steps, run = {}) => planOf(chooseLevels(steps, run), { ...noise, ...scales, isFlow }, settings),
  };
}

function unknown(what: string, name: string, names: readonly string[]): RangeError {
  const near = nearestNames(name, names);
  const hint = near.length > 0 ? `did you mean ${near.join(" or ")}?` : `expected one of ${names.join(", ")}`;
  return new RangeError(`scheduleFromConfig: there is no ${what} "${name}"; ${hint}`);
}

/** Checks the file's options and the overrides, and completes them with the defaults of the file's class. */
function readOptions(
  config: SchedulerConfig,
  overrides: SchedulerConfig,
  className: string,
  takesAll: boolean,
): SchedulerOptions {
  const { options: own } = schedulerClasses[className]!;
  const options: Record<string, unknown> = { ...defaultOptions, ...own };
  for (const [name, value] of [...Object.entries(config), ...Object.entries(overrides)]) {
    if (name.startsWith("_") || ignoredOptions.has(name)) continue;
    // What prediction_type was called before Diffusers 0.11.
    if (name === "predict_epsilon") options.prediction_type = value === false ? "sample" : options.prediction_type;
    else if (!Object.hasOwn(defaultOptions, name)) throw unknown("scheduler option", name, Object.keys(defaultOptions));
    else if (takesAll || name in own) options[name] = checkedOption(name as keyof SchedulerOptions, value, options[name]);
    else if (name in overrides) {
      throw new RangeError(`scheduleFromConfig: ${className} has no option ${name}; choose a sampler that has it`);
    }
  }
  return options as unknown as SchedulerOptions;
}

/**
 * Samplers that start in pure noise where a schedule ends in it. For the others Diffusers' classes leave 2⁻²⁴ of the
 * signal's variance, σ = 4096, so that ramps have a highest level to start from.
 */
const startsInPureNoise: ReadonlySet<SamplerName> = new Set<SamplerName>([
  "consistency",
  "ddim",
  "ddim-inverse",
  "ddpm",
  "few-step",
  "lcm",
  "pndm",
  "tcd",
]);

function trainedNoise(sampler: SamplerName, { process }: SchedulerClass, options: SchedulerOptions): NoiseSchedule {
  if (process === "flow" || options.use_flow_sigmas) return flowNoise(options);
  if (process === "edm") return edmNoise(options);
  if (process === "angular") return angularNoise(options);
  if (process === "consistency") return consistencyNoise(options);
  if (process === "score") return scoreNoise(options);
  if (process === "ipndm") return ipndmNoise(options);
  const { trained_betas: trained, num_train_timesteps: count, beta_schedule: schedule } = options;
  const plain = trained
    ? Float64Array.from(trained)
    : betas({ schedule, count, start: options.beta_start, end: options.beta_end });
  const beta = options.rescale_betas_zero_snr ? rescaleZeroTerminalSnr(plain) : plain;
  return noiseSchedule(alphasCumprod(beta), startsInPureNoise.has(sampler) ? undefined : 2 ** -24);
}

function predictionType({ process }: SchedulerClass, options: SchedulerOptions): PredictionType {
  const { prediction_type: type } = options;
  switch (process) {
    case "flow":
      return options.invert_sigmas ? "reversed_flow_prediction" : "flow_prediction";
    case "edm":
    case "angular":
      if (type === "epsilon") return "edm";
      if (type === "v_prediction") return "edm_v_prediction";
      throw new RangeError(`scheduleFromConfig: an EDM network predicts "epsilon" or "v_prediction", got "${type}"`);
    case "consistency":
      return "consistency";
    case "score":
      return "score";
    case "ipndm":
      return "v_prediction";
    case "variance-preserving":
      return type;
  }
}

/** The class's sampler; an option may make another of it. */
function ownSampler({ sampler, process }: SchedulerClass, options: SchedulerOptions): SamplerName {
  if (sampler === "dpmpp-2m" && options.algorithm_type.startsWith("sde-")) return "dpmpp-2m-sde";
  return process === "flow" && options.stochastic_sampling ? "consistency" : sampler;
}

/** The sampler's own options. */
function samplerSettings(name: SamplerName, { process }: SchedulerClass, options: SchedulerOptions): SamplerSettings {
  const { solver_type: solverType, algorithm_type: algorithm, prediction_type: predicts } = options;
  const isSde = algorithm.startsWith("sde-");
  const isDpm = algorithm.includes("dpmsolver") && (name === "dpmpp-2s" || isSde === (name === "dpmpp-2m-sde"));
  if (isDpm && !algorithm.endsWith("++") && options.final_sigmas_type === "zero" && /^dpmpp-2[ms]/.test(name)) {
    throw new RangeError(
      `scheduleFromConfig: algorithm_type "${algorithm}" divides by the last level; set final_sigmas_type to "sigma_min"`,
    );
  }
  const clip = clipOf(process, options);
  // Diffusers' TCD and UniPC on ε do not clip.
  const isClipped = clip !== undefined && name !== "tcd" && (name !== "unipc" || options.predict_x0);
  return {
    ...(isClipped && { clip }),
    variance: varianceOf(options.variance_type),
    ...(name !== "lms" && { order: options.solver_order }),
    ...(isDpm && { algorithm: algorithm as DpmAlgorithm }),
    solverType: solverType === "heun" ? "heun" : "midpoint",
    variant: solverType === "bh1" ? "bh1" : "bh2",
    lowerOrderFinal: options.lower_order_final,
    eulerAtFinal: options.euler_at_final,
    predictX0: name === "sa-solver" ? algorithm !== "noise_prediction" : options.predict_x0,
    disableCorrector: options.disable_corrector,
    predictorOrder: options.predictor_order,
    correctorOrder: options.corrector_order,
    // SA-Solver is stochastic in the middle of the timesteps alone, unless told otherwise.
    tau: (timestep) => (timestep !== undefined && timestep >= 200 && timestep <= 800 ? 1 : 0),
    rungeKutta: !options.skip_prk_steps,
    averaged: predicts === "v_prediction" ? "v" : "epsilon",
    noiseScale: options.s_noise,
    correctorSteps: options.correct_steps,
    snr: options.snr,
    ...(name === "lcm" && { timestepScaling: options.timestep_scaling }),
  };
}

/** The reverse variance; its log and itself are the same to a sampler. */
function varianceOf(type: string | null): NonNullable<SamplerSettings["variance"]> {
  if (type === "learned" || type === "learned_range") return type;
  return type?.startsWith("fixed_large") ? "fixed_large" : "fixed_small";
}

function clipOf(process: SchedulerClass["process"], options: SchedulerOptions): Clip | undefined {
  if (process === "consistency") return options.clip_denoised ? { range: 1 } : undefined;
  if (options.thresholding) return { quantile: options.dynamic_thresholding_ratio, max: options.sample_max_value };
  return options.clip_sample ? { range: options.clip_sample_range } : undefined;
}
