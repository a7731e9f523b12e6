export * from "./check-device.js";
export * from "./checkpoint.js";
export * from "./losses.js";
export * from "./optimizers/index.js";
export * from "./run-training.js";
export * from "./schedule.js";
export * from "./trainer.js";
export { type StepResult, type TrainingSpec, trainingGraph } from "./training-graph.js";
