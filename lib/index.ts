/**
 * tweedie: look inside diffusion models. What a notebook needs is here; each layer has the rest, as `tweedie/hooks`,
 * `tweedie/autodiff` and so on.
 */
export { Activations, collect, openActivations, replay } from "./activations/index.js";
export {
  Attribution,
  attributionPatching,
  classifierLogit,
  gradients,
  gradientTimesActivation,
  innerProduct,
  integratedGradients,
  meanOf,
  networkCall,
  ofPicture,
  PatchingSweep,
  patchingSweep,
  squaredDistance,
  squaredNorm,
  WordAttention,
  wordAttention,
} from "./attribution/index.js";
export { gradient, gradientThrough, UnsupportedOpError } from "./autodiff/index.js";
export {
  denoise,
  Film,
  type GenerateOptions,
  Generation,
  type GenerationManifest,
  gaussianDenoiser,
  load,
  ModelFolderError,
  mixtureDenoiser,
  Pipeline,
  type SamplerName,
  samplers,
  subspaceGaussianDenoiser,
} from "./diffusion/index.js";
export { type Proportion, proportion, proportionOf } from "./evaluate/index.js";
export {
  ablateFeatures,
  auroc,
  clampFeatures,
  conceptsOf,
  decileSamples,
  detection,
  featureExamples,
  imageCodes,
  maxActivating,
  scaleFeatures,
  searchFeatures,
  steer,
  typicalCode,
} from "./features/index.js";
export {
  activationMaps,
  arraySummary,
  attentionOverPicture,
  attributionOverPicture,
  audio,
  barsWithIntervals,
  confusionMatrix,
  denoisedOverTime,
  embeddingScatter,
  errorCurves,
  Figure,
  featureCard,
  heatmap,
  imageGrid,
  inversionError,
  latentsAndDenoised,
  lossCurve,
  moduleTree,
  noiseSchedule,
  patchingHeatmap,
  saeHealth,
  samplerComparison,
  scheduleComparison,
  steeringComparison,
  table,
} from "./figures/index.js";
export {
  type Activation,
  at,
  CallbackError,
  type Edit,
  type EditRecipe,
  editFromRecipe,
  type HookPoint,
  ModuleTree,
  select,
  UnknownHookPointError,
} from "./hooks/index.js";
export {
  clearOutput,
  currentSignal,
  featureBrowser,
  html,
  interact,
  live,
  md,
  progress,
  restoreFigures,
  show,
} from "./notebook/index.js";
export { loadModel, saveModel } from "./onnx/index.js";
export { embed, GraphBuilder, Value } from "./program/index.js";
export { Embedding, featureColours, nearestNeighbours, Pca, pca, umap } from "./reduction/index.js";
export { listDevices, MemoryBudgetError, openSession, RuntimeError, runtimeStats } from "./runtime/index.js";
export { loadSae, lossRecovered, Sae, saeBaselines, trainSae } from "./sae/index.js";
export {
  type DType,
  float32,
  int64,
  Rng,
  readSafetensors,
  Tensor,
  TorchGenerator,
  torchRandn,
  writeSafetensors,
} from "./tensor/index.js";
