import type { Edit } from "./edit.js";
import * as kinds from "./kinds.js";
import { withRecipe } from "./recipe.js";

type Rest<F> = F extends (pattern: string, ...rest: infer A) => Edit ? (...rest: A) => Edit : never;

/** Edits of the activations a pattern names. */
export type EditTarget = { readonly [Kind in keyof typeof kinds]: Rest<(typeof kinds)[Kind]> };

/**
 * Names activations to edit: exact path, glob or value name, as `ModuleTree.find` takes them.
 * @example
 * import { at, load } from "tweedie";
 *
 * const pipe = await load("shapes");
 * const quiet = pipe.with(at("up_blocks.*").scale(0.5, { branch: "cond", timesteps: [500, 1000] }));
 * await quiet.generate("a red circle", { seed: 7 })
 */
export function at(pattern: string): EditTarget {
  const target = Object.entries(kinds).map(([kind, make]) => [
    kind,
    (...rest: never[]) =>
      withRecipe(kind, pattern, rest, (make as (pattern: string, ...rest: never[]) => Edit)(pattern, ...rest)),
  ]);
  return Object.fromEntries(target) as EditTarget;
}
