export { type Activation, select } from "./activation.js";
export { axesOf, positionAxes } from "./axes.js";
export * from "./edits/index.js";
export { type Axis, type HookPoint, type HookPointKind, UnknownHookPointError } from "./hook-point.js";
export {
  type Capture,
  HookedModel,
  type HookedModelOptions,
  type HookedRun,
  type HookedRunOptions,
  type HookedSession,
  type Hooks,
  hookedSession,
} from "./hooked-model.js";
export { type ModuleScope, moduleScopesOf } from "./module-path.js";
export { type Module, type ModuleOutput, ModuleTree, type ModuleTreeOptions, moduleTree } from "./module-tree.js";
export type { ActivationProgram } from "./program-splice.js";
export type { CustomReduction, Reduction } from "./reduction.js";
