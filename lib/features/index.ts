export { auroc, aurocInterval, type Codes, featureAuroc, featureAurocs, type Labels } from "./auroc.js";
export {
  decileSamples,
  type FeatureExample,
  type FeatureExamplesOptions,
  featureExamples,
  maxActivating,
  type RankedImage,
} from "./examples.js";
export { type ImageCodesOptions, imageCodes } from "./image-codes.js";
export {
  type Candidate,
  type Concept,
  conceptsOf,
  type Detection,
  detection,
  type FoundFeature,
  type SearchFeaturesOptions,
  searchFeatures,
} from "./search.js";
export {
  ablateFeatures,
  clampFeatures,
  type FeatureEditOptions,
  type SteerOptions,
  scaleFeatures,
  steer,
  typicalCode,
} from "./steering.js";
