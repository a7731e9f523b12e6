export * from "./codec/index.js";
export * from "./graph.js";
export * from "./infer/index.js";
export * from "./passes/index.js";
