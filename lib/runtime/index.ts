export type {
  Backend,
  BackendOptions,
  BackendRun,
  BackendSession,
  Feeds,
  GraphOptimizationLevel,
  ModelSource,
  RuntimeStats,
} from "./backend.js";
export type { Device } from "./devices.js";
export { type Environment, environment } from "./environment.js";
export { MemoryBudgetError, RuntimeError } from "./errors.js";
export { availableMemoryBytes } from "./memory.js";
export { onnxruntime } from "./onnxruntime.js";
export { ResidentTensor } from "./resident.js";
export {
  closeRuntime,
  defaultDevice,
  listDevices,
  openSession,
  type RunOptions,
  runtimeStats,
  Session,
  type SessionOptions,
  uploadTensor,
} from "./session.js";
export { beginTask, currentSignal, type Task, type TaskOptions, type TaskWatcher, taskWatcher } from "./task.js";
