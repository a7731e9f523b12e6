export * from "./betas.js";
export * from "./noise-schedule.js";
export * from "./scheduler-config.js";
export * from "./sigma-ramps.js";
export * from "./spacing.js";
