import type { Capture, Edit } from "../../hooks/index.js";
import type { Picture, Tensor } from "../../tensor/index.js";
import type { PredictionType } from "../adapters.js";
import type { ConditionOptions } from "../conditioning/index.js";
import type { Condition, Denoiser, Step } from "../contracts.js";
import type { SamplerName } from "../samplers/index.js";
import type { SamplingPlan, SchedulerConfig } from "../schedules/index.js";
import type { Control } from "./control.js";
import type { ModelCall } from "./generation.js";
import type { ImageInput } from "./start.js";

/** Tells how far a generation is. */
export interface StepReport extends Step {
  /** All steps of the run. */
  readonly steps: number;
  /** Seconds that the rest will take, at the speed so far. */
  readonly secondsLeft: number;
}

/** What a change of the denoiser may want to know of the run. */
export interface DenoiserContext {
  readonly plan: SamplingPlan;
  readonly predictionType: PredictionType;
}

/** A change of what the network predicts, after guidance by prompts: from a Denoiser to another. Classifier guidance is one. */
export type DenoiserChange = (denoiser: Denoiser, context: DenoiserContext) => Denoiser;

export interface GenerateOptions {
  /** Sampler steps, or the training timesteps themselves from high to low; default the pipeline's `defaults`. */
  readonly steps?: number | readonly number[];
  /** Default 0. The noise is that of `torch.Generator().manual_seed(seed)`, so the picture is the same as in Python. */
  readonly seed?: number;
  /** One seed per picture: with one prompt as many pictures of it. */
  readonly seeds?: readonly number[];
  /**
   * Default the pipeline's `defaults`. Up to 1 there is no guidance, as in Diffusers, and the unconditional branch is not
   * computed; networks that take the scale as an input are told it instead.
   */
  readonly guidanceScale?: number;
  /** How much the picture guides that InstructPix2Pix edits, default 1.5; below 1 there is no guidance, also not by the prompt. */
  readonly imageGuidanceScale?: number;
  /** How far guidance is kept from raising contrast, 0…1; default 0. */
  readonly guidanceRescale?: number;
  /** Timesteps outside which there is no guidance: low < t ≤ high. */
  readonly guidanceInterval?: readonly [low: number, high: number];
  readonly negativePrompt?: string | readonly string[];
  /** What else the conditioner is told: sizes, crop, score, layers left out, prompts for further text encoders. */
  readonly conditioning?: ConditionOptions;
  /** Of networks that take the guidance scale as an input: how much a negative prompt's branch counts besides; default 1, not at all. */
  readonly trueCfgScale?: number;
  /** Default the one the pipeline's scheduler names. */
  readonly sampler?: SamplerName;
  /** Options over the pipeline's scheduler configuration, under Diffusers' names (`timestep_spacing`, `use_karras_sigmas`, …). */
  readonly scheduler?: SchedulerConfig;
  /** Share of new noise in samplers that may add some, 0…1; default the sampler's own. */
  readonly eta?: number;
  /** Pixels; default what the network was made for. */
  readonly height?: number;
  readonly width?: number;
  /** Standard normal noise to start from, [item, channel, y, x], one for all pictures or one each, instead of the seeds'. */
  readonly noise?: Tensor<"float32">;
  /**
   * A picture to start from instead of pure noise: it is noised as far as `strength` says and drawn anew from there. A network
   * that edits pictures (InstructPix2Pix) sees it beside the state, which starts in pure noise; the prompt says what to change.
   */
  readonly image?: ImageInput;
  /** How much of the way to pure noise the picture goes, 0…1; default 0.8, with a mask 1: where the mask is, nothing is left of it. */
  readonly strength?: number;
  /**
   * Where the picture is drawn anew, white (≥ 0.5) as in Diffusers, and black where it is kept: a picture of the same size, or
   * [item, 1, y, x]. A network with channels for it sees the mask; with any other, what is kept is put back at every step.
   */
  readonly mask?: Picture | readonly Picture[] | Tensor<"float32">;
  /** Whether latents of `image` are drawn from the encoder's distribution, as Diffusers does, or its mean; default true. Seen beside the state they are the mean. */
  readonly sampleImage?: boolean;
  /** Pictures to follow, by ControlNets. */
  readonly control?: Control | readonly Control[];
  /** Changes of the prediction, in order: classifier guidance and the like. */
  readonly changes?: readonly DenoiserChange[];
  /** Inputs of the network instead of what the conditioner makes of the prompts, rows [item, …] by Diffusers' name. */
  readonly condition?: Condition;
  /** Text states of the unconditional branch at each step, [step, item, token, channel], as null-text inversion finds them. */
  readonly nullText?: Tensor<"float32">;
  /** With `ddim-inverse`: how often each step is iterated towards the exact reverse of DDIM's; default 0, Diffusers' one explicit step. */
  readonly fixedPointIterations?: number;
  /** Edits of h-space: they change x̂₀ and leave the direction back to x_t as it was. The sampler is `ddim`. */
  readonly asyrp?: AsyrpOptions;
  /** Activations of the network to keep. */
  readonly capture?: readonly Capture[];
  /** Model calls to keep them of; default all. */
  readonly captureAt?: (call: ModelCall) => boolean;
  /**
   * A prediction that is known already, [branch × item, …] as the network gives it before guidance: it is used for this
   * call instead of running the network, and nothing is captured. A run that shares its beginning with another starts so.
   */
  readonly recall?: (call: ModelCall) => Tensor<"float32"> | undefined;
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

/** @see Kwon et al. 2022, arXiv:2210.10960, §3.2 and §4 */
export interface AsyrpOptions {
  /** Usually of `mid_block`. */
  readonly edits: readonly Edit[];
  /** Timestep down to which the edits act, t_edit; default 0. */
  readonly until?: number;
  /** Timestep from which noise is added for quality, t_boost; default none. */
  readonly boostFrom?: number;
}
