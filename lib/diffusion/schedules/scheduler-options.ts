import type { SamplerName } from "../samplers/index.js";
import type { BetaSchedule } from "./betas.js";
import type { TimestepSpacing } from "./spacing.js";

/**
 * The options of `scheduler_config.json` that change numbers, under Diffusers' names.
 * @see https://huggingface.co/docs/diffusers/api/schedulers/overview
 */
export interface SchedulerOptions {
  readonly num_train_timesteps: number;
  readonly beta_start: number;
  readonly beta_end: number;
  readonly beta_schedule: BetaSchedule;
  readonly trained_betas: readonly number[] | null;
  readonly rescale_betas_zero_snr: boolean;
  readonly prediction_type: "epsilon" | "v_prediction" | "sample" | "flow_prediction";
  readonly timestep_spacing: TimestepSpacing;
  readonly steps_offset: number;
  readonly set_alpha_to_one: boolean;
  readonly variance_type: string | null;
  readonly clip_sample: boolean;
  readonly clip_sample_range: number;
  readonly clip_denoised: boolean;
  readonly thresholding: boolean;
  readonly dynamic_thresholding_ratio: number;
  readonly sample_max_value: number;
  readonly use_karras_sigmas: boolean;
  readonly use_exponential_sigmas: boolean;
  readonly use_beta_sigmas: boolean;
  readonly use_lu_lambdas: boolean;
  readonly use_flow_sigmas: boolean;
  readonly flow_shift: number;
  readonly final_sigmas_type: "zero" | "sigma_min";
  readonly interpolation_type: "linear" | "log_linear";
  readonly timestep_type: "discrete" | "continuous";
  readonly lambda_min_clipped: number;
  readonly sigma_min: number | null;
  readonly sigma_max: number | null;
  readonly sigma_data: number;
  readonly sigma_schedule: "karras" | "exponential";
  readonly rho: number;
  readonly s_noise: number;
  readonly solver_order: number;
  readonly solver_type: "midpoint" | "heun" | "logrho" | "bh1" | "bh2";
  readonly algorithm_type: string;
  readonly lower_order_final: boolean;
  readonly euler_at_final: boolean;
  readonly predict_x0: boolean;
  readonly disable_corrector: readonly number[];
  readonly solver_p: null;
  readonly predictor_order: number;
  readonly corrector_order: number;
  readonly tau_func: null;
  readonly skip_prk_steps: boolean;
  readonly original_inference_steps: number;
  readonly timestep_scaling: number;
  readonly shift: number;
  readonly use_dynamic_shifting: boolean;
  readonly time_shift_type: "exponential" | "linear";
  readonly base_shift: number;
  readonly max_shift: number;
  readonly base_image_seq_len: number;
  readonly max_image_seq_len: number;
  readonly shift_terminal: number | null;
  readonly invert_sigmas: boolean;
  readonly stochastic_sampling: boolean;
  readonly snr: number;
  readonly correct_steps: number;
  readonly sampling_eps: number;
}

/** What an option is where neither the file nor the class says anything. */
export const defaultOptions: SchedulerOptions = {
  num_train_timesteps: 1000,
  beta_start: 0.0001,
  beta_end: 0.02,
  beta_schedule: "linear",
  trained_betas: null,
  rescale_betas_zero_snr: false,
  prediction_type: "epsilon",
  timestep_spacing: "linspace",
  steps_offset: 0,
  set_alpha_to_one: true,
  variance_type: null,
  clip_sample: false,
  clip_sample_range: 1,
  clip_denoised: true,
  thresholding: false,
  dynamic_thresholding_ratio: 0.995,
  sample_max_value: 1,
  use_karras_sigmas: false,
  use_exponential_sigmas: false,
  use_beta_sigmas: false,
  use_lu_lambdas: false,
  use_flow_sigmas: false,
  flow_shift: 1,
  final_sigmas_type: "zero",
  interpolation_type: "linear",
  timestep_type: "discrete",
  lambda_min_clipped: Number.NEGATIVE_INFINITY,
  sigma_min: null,
  sigma_max: null,
  sigma_data: 0.5,
  sigma_schedule: "karras",
  rho: 7,
  s_noise: 1,
  solver_order: 2,
  solver_type: "midpoint",
  algorithm_type: "dpmsolver++",
  lower_order_final: true,
  euler_at_final: false,
  predict_x0: true,
  disable_corrector: [],
  solver_p: null,
  predictor_order: 2,
  corrector_order: 2,
  tau_func: null,
  skip_prk_steps: true,
  original_inference_steps: 50,
  timestep_scaling: 10,
  shift: 1,
  use_dynamic_shifting: false,
  time_shift_type: "exponential",
  base_shift: 0.5,
  max_shift: 1.15,
  base_image_seq_len: 256,
  max_image_seq_len: 4096,
  shift_terminal: null,
  invert_sigmas: false,
  stochastic_sampling: false,
  snr: 0.15,
  correct_steps: 1,
  sampling_eps: 1e-5,
};

/** The values an option may have. */
export const optionChoices: { readonly [K in keyof SchedulerOptions]?: readonly SchedulerOptions[K][] } = {
  beta_schedule: ["linear", "scaled_linear", "squaredcos_cap_v2", "exp", "laplace", "sigmoid"],
  prediction_type: ["epsilon", "v_prediction", "sample", "flow_prediction"],
  timestep_spacing: ["linspace", "leading", "trailing"],
  variance_type: [null, "fixed_small", "fixed_small_log", "fixed_large", "fixed_large_log", "learned", "learned_range"],
  final_sigmas_type: ["zero", "sigma_min"],
  interpolation_type: ["linear", "log_linear"],
  timestep_type: ["discrete", "continuous"],
  sigma_schedule: ["karras", "exponential"],
  solver_type: ["midpoint", "heun", "logrho", "bh1", "bh2"],
  algorithm_type: ["dpmsolver++", "dpmsolver", "sde-dpmsolver++", "sde-dpmsolver", "deis", "data_prediction", "noise_prediction"],
  time_shift_type: ["exponential", "linear"],
  solver_p: [null],
  tau_func: [null],
};

/** The least and the most that a number may be; the others may be any. */
export const optionLimits: { readonly [K in keyof SchedulerOptions]?: readonly [least: number, most: number] } = {
  num_train_timesteps: [1, 100_000],
  beta_start: [0, 1],
  beta_end: [0, 1],
  steps_offset: [0, 1000],
  clip_sample_range: [0, Number.MAX_VALUE],
  dynamic_thresholding_ratio: [0, 1],
  sample_max_value: [1, Number.MAX_VALUE],
  flow_shift: [1e-6, 1e6],
  shift: [1e-6, 1e6],
  sigma_min: [1e-9, 1e6],
  sigma_max: [1e-9, 1e6],
  sigma_data: [1e-9, 1e6],
  rho: [0.1, 1000],
  solver_order: [1, 3],
  predictor_order: [1, 4],
  corrector_order: [0, 4],
  original_inference_steps: [1, 100_000],
  shift_terminal: [0, 0.999],
  correct_steps: [0, 100],
};

/** Options that say nothing about numbers, or that only Diffusers' own code reads. */
export const ignoredOptions: ReadonlySet<string> = new Set([
  "tensor_format",
  "timestep_values",
  "noise_sampler_seed",
  "num_inference_steps",
]);

/** How a class's networks were trained: which process, and so which levels and input scale they know. */
export type TrainingProcess = "variance-preserving" | "flow" | "edm" | "angular" | "consistency" | "score" | "ipndm";

/** A scheduler class of Diffusers. */
export interface SchedulerClass {
  readonly sampler: SamplerName;
  readonly process: TrainingProcess;
  /** The options that the class has, with its defaults. */
  readonly options: Partial<SchedulerOptions>;
}

type OptionName = keyof SchedulerOptions;

/** Options by name with the common defaults. */
function own(...names: readonly OptionName[]): Partial<SchedulerOptions> {
  return Object.fromEntries(names.map((name) => [name, defaultOptions[name]]));
}

const process = own("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas", "prediction_type");
const training = { ...process, ...own("timestep_spacing", "steps_offset") };
const ramps = own("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas");
const thresholds = own("thresholding", "dynamic_thresholding_ratio", "sample_max_value");
const flows = own("use_flow_sigmas", "flow_shift");
const dynamic = own("use_dynamic_shifting", "time_shift_type");
const latentBetas = { beta_start: 0.00085, beta_end: 0.012 };
const discrete = { ...training, ...ramps };
const solver = { ...process, ...ramps, ...thresholds, ...flows, ...own("solver_order", "solver_type", "lower_order_final") };
const dpm = { ...solver, ...own("algorithm_type", "lambda_min_clipped", "variance_type") };
const clipped = {
  ...training,
  ...own("clip_sample_range", "rescale_betas_zero_snr"),
  clip_sample: true,
  timestep_spacing: "leading",
} as const;
const ancestor = { ...clipped, ...thresholds } as const;
const ddim = { ...ancestor, set_alpha_to_one: true } as const;
const latentConsistency = {
  ...ddim,
  ...latentBetas,
  ...own("original_inference_steps", "timestep_scaling"),
  beta_schedule: "scaled_linear",
  clip_sample: false,
} as const;
const edm = {
  ...own("num_train_timesteps", "prediction_type", "sigma_data", "sigma_schedule", "rho", "final_sigmas_type"),
  sigma_min: 0.002,
  sigma_max: 80,
} as const;

const variancePreserving = (sampler: SamplerName, options: Partial<SchedulerOptions>): SchedulerClass => ({
  sampler,
  process: "variance-preserving",
  options,
});

/** Every scheduler class that is understood, with its sampler and its defaults. */
export const schedulerClasses: Readonly<Record<string, SchedulerClass>> = {
  CMStochasticIterativeScheduler: {
    sampler: "consistency",
    process: "consistency",
    options: {
      ...own("sigma_data", "s_noise", "rho", "clip_denoised"),
      num_train_timesteps: 40,
      sigma_min: 0.002,
      sigma_max: 80,
    },
  },
  CosineDPMSolverMultistepScheduler: {
    sampler: "dpmpp-2m-sde",
    process: "angular",
    options: {
      ...edm,
      ...own("solver_order", "solver_type", "lower_order_final", "euler_at_final"),
      sigma_min: 0.3,
      sigma_max: 500,
      sigma_data: 1,
      sigma_schedule: "exponential",
      prediction_type: "v_prediction",
    },
  },
  DDIMInverseScheduler: variancePreserving("ddim-inverse", { ...clipped, set_alpha_to_one: true }),
  DDIMParallelScheduler: variancePreserving("ddim", { ...ddim }),
  DDIMScheduler: variancePreserving("ddim", { ...ddim }),
  DDPMParallelScheduler: variancePreserving("ddpm", { ...ancestor, variance_type: "fixed_small" }),
  DDPMScheduler: variancePreserving("ddpm", { ...ancestor, variance_type: "fixed_small" }),
  DEISMultistepScheduler: variancePreserving("deis", {
    ...training,
    ...solver,
    ...dynamic,
    algorithm_type: "deis",
    solver_type: "logrho",
  }),
  DPMSolverMultistepInverseScheduler: variancePreserving("dpmpp-2m-inverse", { ...training, ...dpm, ...own("euler_at_final") }),
  DPMSolverMultistepScheduler: variancePreserving("dpmpp-2m", {
    ...training,
    ...dpm,
    ...dynamic,
    ...own("euler_at_final", "final_sigmas_type", "use_lu_lambdas", "rescale_betas_zero_snr"),
  }),
  DPMSolverSDEScheduler: variancePreserving("dpmpp-sde", { ...discrete, ...latentBetas }),
  DPMSolverSinglestepScheduler: variancePreserving("dpmpp-2s", {
    ...dpm,
    ...dynamic,
    ...own("final_sigmas_type"),
    lower_order_final: false,
  }),
  EDMDPMSolverMultistepScheduler: {
    sampler: "dpmpp-2m",
    process: "edm",
    options: {
      ...edm,
      ...thresholds,
      ...own("solver_order", "solver_type", "algorithm_type", "lower_order_final", "euler_at_final"),
    },
  },
  EDMEulerScheduler: { sampler: "euler", process: "edm", options: edm },
  EulerAncestralDiscreteScheduler: variancePreserving("euler-ancestral", { ...training, ...own("rescale_betas_zero_snr") }),
  EulerDiscreteScheduler: variancePreserving("euler", {
    ...discrete,
    ...own("interpolation_type", "timestep_type", "sigma_min", "sigma_max", "rescale_betas_zero_snr", "final_sigmas_type"),
  }),
  FlowMatchEulerDiscreteScheduler: {
    sampler: "euler",
    process: "flow",
    options: {
      ...ramps,
      ...own("num_train_timesteps", "shift", "use_dynamic_shifting", "time_shift_type", "base_shift", "max_shift"),
      ...own("base_image_seq_len", "max_image_seq_len", "shift_terminal", "invert_sigmas", "stochastic_sampling"),
    },
  },
  FlowMatchHeunDiscreteScheduler: { sampler: "flow-heun", process: "flow", options: own("num_train_timesteps", "shift") },
  HeunDiscreteScheduler: variancePreserving("heun", { ...discrete, ...latentBetas, ...own("clip_sample", "clip_sample_range") }),
  IPNDMScheduler: { sampler: "ipndm", process: "ipndm", options: own("num_train_timesteps", "trained_betas") },
  KDPM2AncestralDiscreteScheduler: variancePreserving("dpm-2-ancestral", { ...discrete, ...latentBetas }),
  KDPM2DiscreteScheduler: variancePreserving("dpm-2", { ...discrete, ...latentBetas }),
  LCMScheduler: variancePreserving("lcm", { ...latentConsistency }),
  LMSDiscreteScheduler: variancePreserving("lms", discrete),
  PNDMScheduler: variancePreserving("pndm", {
    ...training,
    timestep_spacing: "leading",
    set_alpha_to_one: false,
    skip_prk_steps: false,
  }),
  SASolverScheduler: variancePreserving("sa-solver", {
    ...training,
    ...ramps,
    ...thresholds,
    ...flows,
    ...own("predictor_order", "corrector_order", "tau_func", "lower_order_final", "lambda_min_clipped", "variance_type"),
    algorithm_type: "data_prediction",
  }),
  ScoreSdeVeScheduler: {
    sampler: "predictor-corrector",
    process: "score",
    options: {
      ...own("snr", "correct_steps", "sampling_eps"),
      num_train_timesteps: 2000,
      sigma_min: 0.01,
      sigma_max: 1348,
    },
  },
  TCDScheduler: variancePreserving("tcd", { ...latentConsistency }),
  UniPCMultistepScheduler: variancePreserving("unipc", {
    ...training,
    ...solver,
    ...dynamic,
    ...own("predict_x0", "disable_corrector", "solver_p", "final_sigmas_type", "rescale_betas_zero_snr"),
    solver_type: "bh2",
  }),
};
