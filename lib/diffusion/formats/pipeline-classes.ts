/** A kind of pipeline: which parts it has, and how its network is told and fed. */
export type FamilyName =
  | "stable-diffusion"
  | "stable-diffusion-xl"
  | "latent-consistency"
  | "latent-diffusion"
  | "stable-diffusion-3"
  | "flux"
  | "pixart-alpha"
  | "pixart-sigma"
  | "dit"
  | "unconditional"
  | "score-sde";

/** A part of a pipeline that is a network; `network` is its U-Net or transformer. */
export type NetworkPart = "network" | "text_encoder" | "text_encoder_2" | "text_encoder_3" | "vae_decoder" | "vae_encoder";
export type TokenizerPart = "tokenizer" | "tokenizer_2" | "tokenizer_3";
export type Part = NetworkPart | TokenizerPart;

/** Folders in which a part may be, the first that exists; exporters have called them differently over time. */
export const partFolders: Readonly<Record<Part, readonly string[]>> = {
  network: ["unet", "transformer"],
  text_encoder: ["text_encoder", "bert"],
  text_encoder_2: ["text_encoder_2"],
  text_encoder_3: ["text_encoder_3"],
  tokenizer: ["tokenizer"],
  tokenizer_2: ["tokenizer_2"],
  tokenizer_3: ["tokenizer_3"],
  vae_decoder: ["vae_decoder", "vqvae_decoder", "vae", "vqvae"],
  vae_encoder: ["vae_encoder", "vqvae_encoder"],
};

/** A pipeline class of Diffusers. */
export interface PipelineClass {
  readonly family: FamilyName;
  /** Parts that it cannot do without. */
  readonly required: readonly Part[];
  /** Parts that it has where they are there. */
  readonly optional?: readonly Part[];
  /** That ControlNets belong to it, in `controlnet`, `controlnet_1`, … or inside the U-Net. */
  readonly controlled?: boolean;
  /** That the network may see a mask and a masked picture beside the state. */
  readonly inpaints?: boolean;
  /** That the network sees a picture beside the state, which it is told to edit. */
  readonly edits?: boolean;
  /** The scheduler class that Diffusers' pipeline makes of whatever it gets. */
  readonly scheduler?: string;
  /** Options that it sets on that scheduler, where it has them. */
  readonly schedulerOptions?: Readonly<Record<string, unknown>>;
  /** Steps of a run that says nothing of them, and guidance, as Diffusers has them. */
  readonly steps: number;
  readonly guidanceScale: number;
}

const vae = ["vae_decoder"] as const;
const encoder = ["vae_encoder"] as const;

// Twenty steps instead of Diffusers' fifty: what this library's notebooks and card were measured with.
const stableDiffusion: PipelineClass = {
  family: "stable-diffusion",
  required: ["network", "text_encoder", "tokenizer", ...vae],
  optional: encoder,
  steps: 20,
  guidanceScale: 7.5,
};
// Of these alone Diffusers corrects schedulers that were published with other values.
const corrected: PipelineClass = { ...stableDiffusion, schedulerOptions: { steps_offset: 1, clip_sample: false } };
const xl: PipelineClass = {
  family: "stable-diffusion-xl",
  required: ["network", "text_encoder_2", "tokenizer_2", ...vae],
  optional: ["text_encoder", "tokenizer", ...encoder],
  steps: 50,
  guidanceScale: 5,
};
const latentConsistency: PipelineClass = { ...stableDiffusion, family: "latent-consistency", steps: 4, guidanceScale: 8.5 };
const sd3: PipelineClass = {
  family: "stable-diffusion-3",
  required: ["network", "text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2", ...vae],
  optional: ["text_encoder_3", "tokenizer_3", ...encoder],
  steps: 28,
  guidanceScale: 7,
};
const flux: PipelineClass = {
  family: "flux",
  required: ["network", "text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2", ...vae],
  optional: encoder,
  steps: 28,
  guidanceScale: 3.5,
};
const pixart: PipelineClass = {
  family: "pixart-alpha",
  required: ["network", "text_encoder", "tokenizer", ...vae],
  optional: encoder,
  steps: 20,
  guidanceScale: 4.5,
};
/** One that edits pictures, which it has to encode. */
const editing = (kind: PipelineClass): PipelineClass => ({
  ...kind,
  edits: true,
  required: [...kind.required, ...encoder],
  steps: 100,
});
/** Networks in pixels or latents that are told nothing, or a class. */
export const unconditional: PipelineClass = { family: "unconditional", required: ["network"], steps: 50, guidanceScale: 1 };

/** Every pipeline class that opens, by Diffusers' name of it. Optimum puts ORT before it, Diffusers' own exports Onnx. */
export const pipelineClasses: Readonly<Record<string, PipelineClass>> = {
  ConsistencyModelPipeline: { ...unconditional, steps: 1 },
  DDIMPipeline: { ...unconditional, scheduler: "DDIMScheduler" },
  DDPMPipeline: { ...unconditional, steps: 1000 },
  DiTPipeline: { family: "dit", required: ["network", ...vae], optional: encoder, steps: 50, guidanceScale: 4 },
  FluxImg2ImgPipeline: flux,
  FluxInpaintPipeline: flux,
  FluxPipeline: flux,
  LatentConsistencyModelImg2ImgPipeline: latentConsistency,
  LatentConsistencyModelPipeline: latentConsistency,
  LDMPipeline: { ...unconditional, required: ["network", ...vae], optional: encoder },
  LDMTextToImagePipeline: { ...stableDiffusion, family: "latent-diffusion", steps: 50, guidanceScale: 1 },
  PixArtAlphaPipeline: pixart,
  PixArtSigmaPipeline: { ...pixart, family: "pixart-sigma" },
  PNDMPipeline: { ...unconditional, scheduler: "PNDMScheduler" },
  ScoreSdeVePipeline: { ...unconditional, family: "score-sde", steps: 2000 },
  StableDiffusion3Img2ImgPipeline: sd3,
  StableDiffusion3InpaintPipeline: sd3,
  StableDiffusion3Pipeline: sd3,
  StableDiffusionControlNetImg2ImgPipeline: { ...stableDiffusion, controlled: true },
  StableDiffusionControlNetInpaintPipeline: { ...stableDiffusion, controlled: true, inpaints: true },
  StableDiffusionControlNetPipeline: { ...stableDiffusion, controlled: true },
  StableDiffusionImg2ImgPipeline: corrected,
  StableDiffusionInpaintPipeline: { ...corrected, inpaints: true },
  StableDiffusionInstructPix2PixPipeline: editing(stableDiffusion),
  StableDiffusionPipeline: corrected,
  StableDiffusionXLControlNetImg2ImgPipeline: { ...xl, controlled: true },
  StableDiffusionXLControlNetInpaintPipeline: { ...xl, controlled: true, inpaints: true },
  StableDiffusionXLControlNetPipeline: { ...xl, controlled: true },
  StableDiffusionXLImg2ImgPipeline: xl,
  StableDiffusionXLInpaintPipeline: { ...xl, inpaints: true },
  StableDiffusionXLInstructPix2PixPipeline: editing(xl),
  StableDiffusionXLPipeline: xl,
};

/** The class without what exporters put before its name. */
export function plainClassName(name: string): string {
  return name.replace(/^(ORT|Onnx)/, "");
}
