export * from "./codec/index.js";
export * from "./graph.js";
export * from "./passes/index.js";
