export * from "./hub/index.js";
export { type LoadOptions, load } from "./load.js";
export { ModelFolderError } from "./model-folder-error.js";
export { type FamilyName, type PipelineClass, pipelineClasses } from "./pipeline-classes.js";
export * from "./tokenizers/index.js";
