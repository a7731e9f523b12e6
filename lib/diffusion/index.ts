export * from "./adapters.js";
export * from "./clip.js";
export * from "./contracts.js";
export * from "./exact.js";
export * from "./guidance.js";
export * from "./samplers/index.js";
export * from "./schedules/index.js";
