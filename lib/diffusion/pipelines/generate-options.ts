import type { Capture, Edit } from "../../hooks/index.js";
import type { Tensor } from "../../tensor/index.js";
import type { Step } from "../contracts.js";
import type { SamplerName } from "../samplers/index.js";
import type { SchedulerConfig } from "../schedules/index.js";
import type { ModelCall } from "./generation.js";

/** Tells how far a generation is. */
export interface StepReport extends Step {
  /** All steps of the run. */
  readonly steps: number;
}

export interface GenerateOptions {
  /** Sampler steps, or the training timesteps themselves from high to low; default 20. */
  readonly steps?: number | readonly number[];
  /** Default 0. The noise is that of `torch.Generator().manual_seed(seed)`, so the picture is the same as in Python. */
  readonly seed?: number;
  /** One seed per picture: with one prompt as many pictures of it. */
  readonly seeds?: readonly number[];
  /** Default 7.5; up to 1 there is no guidance, as in Diffusers, and the unconditional branch is not computed. */
  readonly guidanceScale?: number;
  /** How far guidance is kept from raising contrast, 0…1; default 0. */
  readonly guidanceRescale?: number;
  /** Timesteps outside which there is no guidance: low < t ≤ high. */
  readonly guidanceInterval?: readonly [low: number, high: number];
  readonly negativePrompt?: string | readonly string[];
  /** Default the one the pipeline's scheduler names. */
  readonly sampler?: SamplerName;
  /** Options over the pipeline's scheduler configuration, under Diffusers' names (`timestep_spacing`, `use_karras_sigmas`, …). */
  readonly scheduler?: SchedulerConfig;
  /** Share of new noise in samplers that may add some, 0…1; default the sampler's own. */
  readonly eta?: number;
  /** Pixels; default what the network was made for. */
  readonly height?: number;
  readonly width?: number;
  /** Standard normal noise to start from, [item, channel, y, x], instead of the seeds'. */
  readonly noise?: Tensor<"float32">;
  /** Activations of the network to keep. */
  readonly capture?: readonly Capture[];
  /** Model calls to keep them of; default all. */
  readonly captureAt?: (call: ModelCall) => boolean;
  /** Edits of the network, after those of `with`. */
  readonly edits?: readonly Edit[];
  /** Most items in one run of a network; default 8. */
  readonly batchSize?: number;
  /** Whether latents become pictures; default true. */
  readonly decode?: boolean;
  readonly signal?: AbortSignal;
  /** Called after each step. */
  readonly onStep?: (report: StepReport) => void | Promise<void>;
}
