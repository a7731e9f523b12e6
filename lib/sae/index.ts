export * from "./matching.js";
export { type DensityHistogram, densityHistogram, fvu, type SaeMetrics } from "./metrics.js";
export { Sae, type TopActivations, type TrainingHistory } from "./sae.js";
export { SparseCodes } from "./sparse-codes.js";
export { type SaeProgress, type TrainSaeOptions, trainSae } from "./train-sae.js";
export type { SaeConfig, SaeTrainingConfig, SaeValues, SaeVariant, SaeWeights } from "./variant.js";
export { type VariantName, variants } from "./variants/index.js";
export type { VectorSource, Vectors } from "./vector-source.js";
