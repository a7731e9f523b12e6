export * from "./betas.js";
export * from "./noise-schedule.js";
export type { RunOptions, SamplingPlan } from "./sampling-plan.js";
export * from "./scheduler-config.js";
export { type SchedulerClass, type SchedulerOptions, schedulerClasses, type TrainingProcess } from "./scheduler-options.js";
export * from "./sigma-ramps.js";
export * from "./spacing.js";
