export { Activations, type OpenActivationsOptions, openActivations } from "./activations.js";
export { type CollectionProgress, type CollectOptions, collect } from "./collect.js";
export type { CollectedImage, CollectedPoint, CollectionPlan, CollectionSettings, GivenPictures } from "./plan.js";
export { branchNames, type Provenance } from "./provenance.js";
export { type Replay, type ReplayOptions, replay } from "./replay.js";
export { ActivationsFolderError, type CollectionManifest, type Shard } from "./shard-folder.js";
