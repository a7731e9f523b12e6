export type { Ablation } from "./ablate.js";
export { at, type EditTarget } from "./at.js";
export { type ActivationCallback, CallbackError } from "./call.js";
export { type Branch, branchesOf, type Edit, expectBranch, identityOf, type StepContext } from "./edit.js";
export { type Input, limitedEdit, type UnlimitedEdit } from "./limited-edit.js";
export type { EditOptions, Schedule } from "./limits.js";
export type { LowRankMatrices } from "./low-rank.js";
export type { Operand, Strength } from "./operand.js";
export type { PatchOptions } from "./patch.js";
export {
  type EditMaker,
  type EditRecipe,
  editFromRecipe,
  registerEditKind,
  relabelled,
  withRecipe,
} from "./recipe.js";
export type { Region } from "./region.js";
