export { type DenoiseOptions, type Denoising, type DenoisingManifest, denoise } from "./denoising.js";
export { Film } from "./film.js";
export type { GenerateOptions, StepReport } from "./generate-options.js";
export { Generation, type GenerationItem, type GenerationManifest, type ModelCall } from "./generation.js";
export { type LatentSpace, Pipeline, type PipelineParts } from "./pipeline.js";
