export { Embedding, embeddingOf } from "./embedding.js";
export { type FeatureColours, featureColours } from "./feature-colours.js";
export { type Metric, type Neighbours, type NeighboursOptions, nearestNeighbours } from "./nearest-neighbours.js";
export { Pca, type PcaOptions, pca } from "./pca.js";
export { continuity, type RankQualityOptions, trustworthiness } from "./rank-quality.js";
export { DegenerateInputError } from "./rows.js";
export { type UmapOptions, umap } from "./umap.js";
