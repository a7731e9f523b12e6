export {
  Attribution,
  type AttributionManifest,
  type AttributionMethod,
  type Completeness,
  type PointAttribution,
} from "./attribution.js";
export {
  type AttributionOptions,
  attributionPatching,
  type Baseline,
  gradients,
  gradientTimesActivation,
  type IntegratedGradientsOptions,
  integratedGradients,
} from "./gradients.js";
export { type NetworkCall, type NetworkCallOptions, networkCall, type PipelineCall } from "./network-call.js";
export {
  type PatchingMetric,
  type PatchingRun,
  type PatchingSweepOptions,
  patchingSweep,
  type StepWindows,
} from "./patching-sweep.js";
export { type PatchingDirection, type PatchingManifest, PatchingSweep, type StepWindow } from "./patching-sweep-result.js";
export type { QuadratureRule } from "./quadrature.js";
export {
  classifierLogit,
  denoisedOf,
  innerProduct,
  meanOf,
  type NetworkValues,
  ofPicture,
  type Region,
  type Scalar,
  squaredDistance,
  squaredNorm,
} from "./scalars.js";
export { type WordAttentionOptions, wordAttention } from "./word-attention.js";
export { type MapOptions, type Word, WordAttention } from "./word-attention-result.js";
