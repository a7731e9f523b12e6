export { type DenoiseOptions, type Denoising, type DenoisingManifest, denoise } from "./denoising.js";
export { Film } from "./film.js";
export { Generation, type GenerationItem, type GenerationManifest, type ModelCall } from "./generation.js";
export { type GenerateOptions, type LatentSpace, Pipeline, type PipelineParts, type StepReport } from "./stable-diffusion.js";
