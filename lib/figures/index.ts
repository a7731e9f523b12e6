export { type ActivationMapsOptions, activationMaps } from "./activation-maps.js";
export { type ArrayFacts, arrayFacts, arraySummary, typedArraySummary } from "./array-summary.js";
export {
  type AttentionOverPicture,
  type AttentionOverPictureOptions,
  attentionOverPicture,
} from "./attention-over-picture.js";
export {
  type AttributionOverPicture,
  type AttributionOverPictureOptions,
  attributionOverPicture,
} from "./attribution-over-picture.js";
export { Audio, audio } from "./audio.js";
export { type BarSeries, type BarsOptions, barsWithIntervals, type Estimate } from "./bars-with-intervals.js";
export { type ConfusionMatrixOptions, confusionMatrix } from "./confusion-matrix.js";
export { type DenoisedOverTimeOptions, type DenoisingFilm, denoisedOverTime } from "./denoised-over-time.js";
export {
  type Displayable,
  Displayed,
  type DisplayedObject,
  jupyterDisplay,
  type MimeBundle,
  withoutLibrary,
} from "./document.js";
export { type Curve, downsample, type Histogram, histogram, type Numbers, smooth } from "./downsample.js";
export { type EmbeddingScatterOptions, embeddingScatter } from "./embedding-scatter.js";
export { convergenceOrder, type ErrorCurve, type ErrorCurvesOptions, errorCurves } from "./error-curves.js";
export { escapeHtml, hoverText, plotText, scriptJson } from "./escape.js";
export { type FeatureCard, type FeatureCardOptions, type FeatureExample, featureCard } from "./feature-card.js";
export { type Behaviour, Figure, type FigureSpec, stillOf } from "./figure.js";
export { type HeatmapOptions, heatmap } from "./heatmap.js";
export { HtmlBlock } from "./html-block.js";
export { type ImageGridOptions, imageGrid } from "./image-grid.js";
export { type InversionErrors, inversionError } from "./inversion-error.js";
export { type DenoisingTrajectory, type LatentsAndDenoisedOptions, latentsAndDenoised } from "./latents-and-denoised.js";
export { type LossCurveOptions, type LossSeries, lossCurve } from "./loss-curve.js";
export { type ModuleNode, type ModuleTreeOptions, moduleTree } from "./module-tree.js";
export { type NoiseScheduleOptions, noiseSchedule } from "./noise-schedule.js";
export { type ColorScale, cividis, classStyle, okabeIto, signed, viridis } from "./palette.js";
export { type PatchingEffects, type PatchingHeatmapOptions, patchingHeatmap } from "./patching-heatmap.js";
export {
  heatOverlay,
  type Picture,
  type Pictures,
  picturesOf,
  pngUri,
  resizePicture,
  type SpriteSheet,
  spriteSheet,
} from "./picture.js";
export { type Json, type PlotArray, type PlotObject, type PlotValue, plotJson, type Trace } from "./plot-value.js";
export { type SaeHealth, type SaeHealthOptions, saeHealth } from "./sae-health.js";
export {
  type SamplerComparison,
  type SamplerComparisonOptions,
  type SamplerRow,
  samplerComparison,
} from "./sampler-comparison.js";
export {
  type NamedSchedule,
  type ScheduleComparisonOptions,
  scheduleComparison,
  type VisitedTimesteps,
} from "./schedule-comparison.js";
export {
  type SteeringComparison,
  type SteeringComparisonOptions,
  type SteeringCurve,
  type SteeringRow,
  steeringComparison,
} from "./steering-comparison.js";
export type { StepSeries } from "./stepper.js";
export { type Cell, type Column, type ColumnSource, type TableOptions, table } from "./table.js";
export { countText, numberText, percentText } from "./text.js";
