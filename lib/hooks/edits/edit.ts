import type { Tensor } from "../../tensor/index.js";
import type { Activation } from "../activation.js";
import type { HookPoint } from "../hook-point.js";
import type { ActivationProgram } from "../program-splice.js";
import type { EditRecipe } from "./recipe.js";

/**
 * Which part of the guidance batch a row belongs to: what is told the prompt, what is told nothing, and, of a network that edits a
 * picture, what sees the picture without the prompt.
 */
export type Branch = "cond" | "uncond" | "imageCond";

/** The branches of a guided run in the order of its rows; of runs with fewer, the last ones that there are. */
export function branchesOf(count: number): readonly Branch[] {
  if (count === 3) return ["uncond", "imageCond", "cond"];
  return count === 2 ? ["uncond", "cond"] : ["cond"];
}

/**
 * @param where what asks for the branch, for the error
 * @throws RangeError if the rows of a run are none of any branch, or of a guided run that has no such one
 */
export function expectBranch(branch: Branch, branches: readonly Branch[] | undefined, where: string): void {
  if (branches === undefined)
    throw new RangeError(`${where}: branch "${branch}" needs a guided run; this one has no cond and uncond rows`);
  if (branch === "imageCond" && branches.includes("uncond") && !branches.includes(branch))
    throw new RangeError(`${where}: branch "imageCond" needs a network that edits a picture; this run has uncond and cond alone`);
}

/** Where a run stands in a trajectory; edits may depend on it. */
export interface StepContext {
  /** The sampler's step, counted from 0. */
  readonly step: number;
  /** The model call, counted from 0: samplers of second order make two in a step. Default `step`. */
  readonly call?: number;
  readonly timestep?: number;
  readonly sigma?: number;
  /** What the rows of the batch are; absent where there is no guidance. */
  readonly branches?: readonly Branch[];
  /** Which picture each row of the batch belongs to; by default they are counted from 0, within each branch. */
  readonly items?: readonly number[];
}

/** Which picture each row of the batch belongs to. @throws RangeError if neither items nor branches were told */
export function itemsOf({ items, branches }: StepContext, path: string): readonly number[] {
  if (items !== undefined) return items;
  if (branches === undefined) throw new RangeError(`edit at ${path}: it tells pictures apart; pass context.items, one per row`);
  return branches.map((branch, row) => branches.slice(0, row).filter((b) => b === branch).length);
}

/** A change of one or more activations. Numbers in it are fed at each run; only `structure` needs a new session. */
export interface Edit {
  readonly pattern: string;
  /** Edits of equal structure share compiled sessions. */
  readonly structure: string;
  /** For manifests: what was done, in one line. */
  readonly label: string;
  /** All that is needed to make it again; absent where a function is part of it. */
  readonly recipe?: EditRecipe;
  /** The program behind a hook point; `input` makes the name of each required input it declares. */
  program(point: HookPoint, input: (name: string) => string): ActivationProgram;
  /** Values of those inputs, under their short names; of an edit with `call`, all but `result`. */
  feeds(point: HookPoint, context: StepContext): Readonly<Record<string, Tensor>>;
  /**
   * Of an edit made in JavaScript: what the program's input `result` gets, float32 of the activation's shape; undefined
   * leaves the activation as it is. Its program names the activation, in float32, `input("activation")`, and the graph
   * is cut behind that value.
   */
  call?(activation: Activation<Tensor<"float32">>, context: StepContext): Promise<Tensor<"float32"> | undefined>;
}

const identities = new WeakMap<object, number>();
let identityCount = 0;

/** A number per object, so that a function can be part of a key. */
export function identityOf(object: object): number {
  const id = identities.get(object) ?? ++identityCount;
  identities.set(object, id);
  return id;
}
