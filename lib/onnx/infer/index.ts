export { readInitializer as knownElements } from "./contents.js";
export { type InferContext, type InferRule, type Inferred, maxKnownElements, ShapeError } from "./context.js";
export { type InferGraphOptions, inferGraph, inferNode } from "./infer-graph.js";
export { inferRules } from "./infer-node.js";
