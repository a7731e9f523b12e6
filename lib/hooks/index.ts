export { type Activation, select } from "./activation.js";
export { type AttentionPart, type AttentionSite, attentionsOf } from "./attention.js";
export { axesOf, positionAxes } from "./axes.js";
export type { Capture } from "./capture.js";
export * from "./edits/index.js";
export { type Axis, type HookPoint, type HookPointKind, type Layout, UnknownHookPointError } from "./hook-point.js";
export {
  HookedModel,
  type HookedModelOptions,
  type HookedRun,
  type HookedRunOptions,
  type HookedSession,
  type Hooks,
  hookedSession,
} from "./hooked-model.js";
export { type ModuleScope, moduleScopesOf } from "./module-path.js";
export { type Module, ModuleTree, type ModuleTreeOptions, type ModuleValue, moduleTree } from "./module-tree.js";
export type { ActivationProgram } from "./program-splice.js";
export type { CustomReduction, Pooling, Reduction, ReductionStep } from "./reduction.js";
