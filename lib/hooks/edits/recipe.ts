import { fromPlain, type Json, NotPlainError, type Tensor, toPlain } from "../../tensor/index.js";
import type { Edit } from "./edit.js";
import * as kinds from "./kinds.js";

/** An edit as data: JSON, and tensors beside it. `editFromRecipe` makes it again. */
export interface EditRecipe {
  /** The method of `at(pattern)`, or a kind that was registered. */
  readonly kind: string;
  readonly pattern: string;
  /** The method's arguments; a tensor stands as `{ $tensor: name }`. */
  readonly arguments: readonly Json[];
  /** The edit's label, where it is not the kind's own. */
  readonly label?: string;
  readonly tensors: Readonly<Record<string, Tensor>>;
}

/** Makes an edit of a kind from a pattern and plain arguments. */
export type EditMaker = (pattern: string, ...rest: never[]) => Edit;

const registered = new Map<string, EditMaker>();

/** Teaches `editFromRecipe` a kind of edit that is not a method of `at(pattern)`. */
export function registerEditKind(kind: string, make: EditMaker): void {
  registered.set(kind, make);
}

/** The edit with a recipe of its arguments, if they are plain data; a label that says so if not. */
export function withRecipe(kind: string, pattern: string, rest: readonly unknown[], edit: Edit): Edit {
  const tensors: Record<string, Tensor> = {};
  try {
    return { ...edit, recipe: { kind, pattern, arguments: rest.map((value, i) => toPlain(value, String(i), tensors)), tensors } };
  } catch (error) {
    if (!(error instanceof NotPlainError)) throw error;
    return { ...edit, label: `${edit.label} [holds a function: no recipe]` };
  }
}

/** The edit under another label, which its recipe keeps. */
export function relabelled(edit: Edit, label: string): Edit {
  return { ...edit, label, ...(edit.recipe && { recipe: { ...edit.recipe, label } }) };
}

/**
 * The edit that a recipe describes, with the same label and recipe.
 * @throws RangeError on a kind that is not known, TypeError on a tensor that is missing
 */
export function editFromRecipe(recipe: EditRecipe): Edit {
  const { kind, pattern, tensors, label } = recipe;
  const make = registered.get(kind) ?? (Object.hasOwn(kinds, kind) ? (kinds as Record<string, unknown>)[kind] : undefined);
  if (typeof make !== "function") {
    const known = [...Object.keys(kinds), ...registered.keys()].join(", ");
    throw new RangeError(`editFromRecipe: "${kind}" is no kind of edit; known are ${known}`);
  }
  const rest = recipe.arguments.map((value) => (value === null ? undefined : fromPlain(value, tensors)));
  const edit = withRecipe(kind, pattern, rest, (make as (...all: unknown[]) => Edit)(pattern, ...rest));
  return label === undefined ? edit : relabelled(edit, label);
}
