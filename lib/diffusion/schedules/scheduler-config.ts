import { nearestNames } from "../../runtime/feeds.js";
import type { PredictionType } from "../adapters.js";
import type { Clip } from "../clip.js";
import type { DpmAlgorithm, SamplerName, SamplerSettings } from "../samplers/index.js";
import { alphasCumprod, betas, rescaleZeroTerminalSnr } from "./betas.js";
import { type NoiseSchedule, noiseSchedule } from "./noise-schedule.js";
import {
  consistencyLevels,
  consistencyNoise,
  edmLevels,
  edmNoise,
  flowLevels,
  flowNoise,
  ipndmLevels,
  ipndmNoise,
} from "./other-levels.js";
import { planOf, type RunOptions, type SamplingPlan } from "./sampling-plan.js";
import {
  defaultOptions,
  ignoredOptions,
  optionChoices,
  type SchedulerClass,
  type SchedulerOptions,
  schedulerClasses,
} from "./scheduler-options.js";
import { variancePreservingLevels } from "./variance-preserving-levels.js";

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
 * @throws RangeError if the class or an option is unknown, or an option has a value that is not implemented; TypeError if
 *   it has another type
 * @see https://huggingface.co/docs/diffusers/api/schedulers/overview
 */
export function scheduleFromConfig(config: SchedulerConfig, sampler?: SamplerName): DiffusionSchedule {
  const className = String(config._class_name ?? "DDIMScheduler");
  const known = schedulerClasses[className];
  if (!known) {
    const near = nearestNames(className, Object.keys(schedulerClasses)).join(" or ");
    throw new RangeError(
      `scheduleFromConfig: the scheduler class ${className} is not supported; expected ${near || `one of ${Object.keys(schedulerClasses).join(", ")}`}`,
    );
  }
  const options = readOptions(config, known, sampler !== undefined);
  const name = sampler ?? ownSampler(known, options);
  const noise = trainedNoise(className, known, options);
  const settings = samplerSettings(name, known, options);
  const { sigma_data: sigmaData } = options;
  return {
    sampler: name,
    predictionType: predictionType(known, options),
    noise,
    plan: (steps, run = {}) => {
      switch (known.process) {
        case "flow":
          return planOf(flowLevels(options, steps, run), { ...noise, signal: flowSignal }, settings);
        case "edm":
          return planOf(edmLevels(options, steps), { ...noise, signal: () => 1, sigmaData }, settings);
        case "consistency": {
          const lookup = { ...noise, signal: () => 1, sigmaData, sigmaMin: options.sigma_min! };
          return planOf(consistencyLevels(options, steps), lookup, settings);
        }
        case "ipndm":
          return planOf(ipndmLevels(steps), noise, settings);
        case "variance-preserving": {
          const levels = variancePreservingLevels[name]({ options, noise, sampler: name, steps, run });
          return planOf(levels, isFlow(options) ? { ...flowNoise(options), signal: flowSignal } : noise, settings);
        }
      }
    },
  };
}

const flowSignal = (sigma: number): number => 1 / (1 + sigma);

/** Whether a solver runs a flow-matching network. */
function isFlow(options: SchedulerOptions): boolean {
  return options.use_flow_sigmas;
}

/** Checks the file's options and completes them with the defaults of its class. */
function readOptions(config: SchedulerConfig, { options: own }: SchedulerClass, takesAll: boolean): SchedulerOptions {
  const options: Record<string, unknown> = { ...defaultOptions, ...own };
  for (const [name, value] of Object.entries(config)) {
    if (name.startsWith("_") || ignoredOptions.has(name)) continue;
    if (name === "predict_epsilon") {
      // What prediction_type was called before Diffusers 0.11.
      if (value === false) options.prediction_type = "sample";
    } else if (!(name in defaultOptions)) {
      const near = nearestNames(name, Object.keys(defaultOptions)).join(" or ");
      throw new RangeError(
        `scheduleFromConfig: no scheduler has an option ${name}; ${near ? `did you mean ${near}` : "leave it out"}?`,
      );
    } else if (takesAll || name in own) {
      options[name] = checked(name as keyof SchedulerOptions, value, options[name]);
    }
  }
  return options as unknown as SchedulerOptions;
}

const infinities: Readonly<Record<string, number>> = {
  "-inf": Number.NEGATIVE_INFINITY,
  "-Infinity": Number.NEGATIVE_INFINITY,
  inf: Number.POSITIVE_INFINITY,
  Infinity: Number.POSITIVE_INFINITY,
};

/** The value of an option, of the type that its default has. */
function checked(name: keyof SchedulerOptions, given: unknown, fallback: unknown): unknown {
  // JSON has no infinity: it is written as text.
  const value = typeof given === "string" && given in infinities ? infinities[given] : given;
  const choices: readonly unknown[] | undefined = optionChoices[name];
  if (choices && !(value === null || value === undefined) && typeof value !== typeof choices.at(-1)) {
    throw new TypeError(`scheduleFromConfig: ${name} must be one of ${JSON.stringify(choices)}, got ${JSON.stringify(given)}`);
  }
  if (value === null || value === undefined) return fallback;
  if (choices) {
    if (choices.includes(value)) return value;
    throw new RangeError(
      `scheduleFromConfig: ${name} = ${JSON.stringify(given)} is not supported; expected one of ${JSON.stringify(choices)}`,
    );
  }
  const isNumbers = Array.isArray(value) && value.every((v) => typeof v === "number");
  const expected =
    Array.isArray(fallback) || name === "trained_betas" ? "list of numbers" : fallback === null ? "number" : typeof fallback;
  if (expected === "list of numbers" ? isNumbers : typeof value === expected) return value;
  throw new TypeError(`scheduleFromConfig: ${name} must be a ${expected}, got ${JSON.stringify(given)}`);
}

/** Classes that leave 2⁻²⁴ of the signal's variance where a schedule ends in pure noise; the others leave none. */
const leavesSignal = /^(Euler|DPMSolver|UniPC)/;

function trainedNoise(className: string, { process }: SchedulerClass, options: SchedulerOptions): NoiseSchedule {
  if (process === "flow") return flowNoise(options);
  if (process === "edm") return edmNoise();
  if (process === "consistency") return consistencyNoise();
  if (process === "ipndm") return ipndmNoise();
  const { trained_betas: trained, num_train_timesteps: count, beta_schedule: schedule } = options;
  const plain = trained
    ? Float64Array.from(trained)
    : betas({ schedule, count, start: options.beta_start, end: options.beta_end });
  const beta = options.rescale_betas_zero_snr ? rescaleZeroTerminalSnr(plain) : plain;
  return noiseSchedule(alphasCumprod(beta), leavesSignal.test(className) ? 2 ** -24 : undefined);
}

function predictionType({ process }: SchedulerClass, options: SchedulerOptions): PredictionType {
  const { prediction_type: type } = options;
  switch (process) {
    case "flow":
      return options.invert_sigmas ? "reversed_flow_prediction" : "flow_prediction";
    case "edm":
      if (type === "epsilon") return "edm";
      if (type === "v_prediction") return "edm_v_prediction";
      throw new RangeError(`scheduleFromConfig: an EDM network predicts "epsilon" or "v_prediction", got "${type}"`);
    case "consistency":
      return "consistency";
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
    variance: String(options.variance_type).startsWith("fixed_large") ? "fixed_large" : "fixed_small",
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
    ...(name === "lcm" && { timestepScaling: options.timestep_scaling }),
  };
}

function clipOf(process: SchedulerClass["process"], options: SchedulerOptions): Clip | undefined {
  if (process === "consistency") return options.clip_denoised ? { range: 1 } : undefined;
  if (options.thresholding) return { quantile: options.dynamic_thresholding_ratio, max: options.sample_max_value };
  return options.clip_sample ? { range: options.clip_sample_range } : undefined;
}
