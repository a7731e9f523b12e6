import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Edit, type EditRecipe, editFromRecipe } from "../../hooks/index.js";
import {
  fromPlain,
  type Json,
  NotPlainError,
  readSafetensors,
  type Tensor,
  toPlain,
  writeFileAtomic,
  writeSafetensors,
} from "../../tensor/index.js";
import type { GenerateOptions } from "./generate-options.js";

/** All that a run was asked for, as data: JSON, and the tensors that it names. `Pipeline.replay` makes the run again. */
export interface RunRecipe {
  readonly prompts: readonly string[];
  readonly options: Json;
  /** Every edit in force, those of the pipeline's view first. */
  readonly edits: readonly Omit<EditRecipe, "tensors">[];
  /** Those of h-space, where the run was an asymmetric one. */
  readonly asyrpEdits?: readonly Omit<EditRecipe, "tensors">[];
  /** Options that hold functions or networks, which are to be given again. */
  readonly given: readonly (keyof GenerateOptions)[];
  readonly tensors: Readonly<Record<string, Tensor>>;
}

/** They change how a run is watched, not what it gives. */
const watching: ReadonlySet<string> = new Set(["signal", "onStep", "recall"]);

/** What a run was asked for, written down. */
export function recipeOf(prompts: readonly string[], options: GenerateOptions, edits: readonly Edit[]): RunRecipe {
  const tensors: Record<string, Tensor> = {};
  const given: (keyof GenerateOptions)[] = [];
  const plain: Record<string, Json> = {};
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || watching.has(name) || name === "edits") continue;
    // Edits are functions with a recipe beside them.
    const plainly = name === "asyrp" ? { ...options.asyrp, edits: undefined } : value;
    try {
      plain[name] = toPlain(plainly, name, tensors);
    } catch (error) {
      if (!(error instanceof NotPlainError)) throw error;
      given.push(name as keyof GenerateOptions);
    }
  }
  const recipes = written(edits, "edits", tensors);
  if (recipes === undefined) given.push("edits");
  const asyrpEdits = options.asyrp && written(options.asyrp.edits, "asyrp", tensors);
  if (options.asyrp && asyrpEdits === undefined) given.push("asyrp");
  return { prompts, options: plain, edits: recipes ?? [], ...(asyrpEdits && { asyrpEdits }), given, tensors };
}

/** The options of a recipe, completed by those that are given again. @throws RangeError if one is still missing */
export function optionsOf(recipe: RunRecipe, again: GenerateOptions): GenerateOptions {
  const missing = recipe.given.filter((name) => again[name] === undefined);
  if (missing.length > 0) {
    throw new RangeError(
      `replay: ${missing.join(", ")} held functions or networks, which no recipe keeps; give the same ones again, as options`,
    );
  }
  const options = fromPlain(recipe.options, recipe.tensors) as GenerateOptions;
  const { edits, asyrpEdits, tensors } = recipe;
  return {
    ...options,
    edits: revived(edits, "edits", tensors),
    ...(asyrpEdits && { asyrp: { ...options.asyrp, edits: revived(asyrpEdits, "asyrp", tensors) } }),
    ...again,
  };
}

/** Writes `recipe.json` and, where there are tensors, `recipe.safetensors` into a folder. */
export async function writeRecipe(recipe: RunRecipe, folder: string): Promise<void> {
  const { tensors, ...json } = recipe;
  if (Object.keys(tensors).length > 0) await writeSafetensors(join(folder, "recipe.safetensors"), tensors);
  await writeFileAtomic(join(folder, "recipe.json"), [new TextEncoder().encode(`${JSON.stringify(json, undefined, 2)}\n`)]);
}

/** The recipe that `Generation.save` wrote. @throws TypeError if the folder holds none */
export async function readRecipe(folder: string): Promise<RunRecipe> {
  const file = join(folder, "recipe.json");
  const { json, text } = await readSaved<Omit<RunRecipe, "tensors">>(file);
  const isSound = [json?.prompts, json?.edits, json?.given].every(Array.isArray) && typeof json.options === "object";
  if (!isSound) throw new TypeError(`replay: ${file} holds no recipe: expected prompts, options, edits and given`);
  const tensors = /"\$(tensor|bytes)"/.test(text) ? readSafetensors(join(folder, "recipe.safetensors")).tensors : {};
  return { ...json, tensors };
}

/** The manifest that `Generation.save` wrote. */
export async function readManifest(folder: string): Promise<{ readonly model?: unknown }> {
  return (await readSaved<{ readonly model?: unknown }>(join(folder, "manifest.json"))).json;
}

async function readSaved<T>(file: string): Promise<{ readonly json: T; readonly text: string }> {
  const text = await readFile(file, "utf8").catch(() => undefined);
  if (text === undefined) throw new TypeError(`replay: there is no ${file}; give a folder that Generation.save wrote`);
  try {
    return { json: JSON.parse(text) as T, text };
  } catch (error) {
    throw new TypeError(`replay: ${file} is not JSON (${(error as Error).message}); save the run again`);
  }
}

/** Recipes of edits with their tensors put beside, or undefined where one holds a function. */
function written(
  edits: readonly Edit[],
  name: string,
  tensors: Record<string, Tensor>,
): Omit<EditRecipe, "tensors">[] | undefined {
  if (edits.some((edit) => edit.recipe === undefined)) return undefined;
  return edits.map((edit, i) => {
    const { tensors: own, ...recipe } = edit.recipe!;
    for (const [key, tensor] of Object.entries(own)) tensors[`${name}.${i}.${key}`] = tensor;
    return recipe;
  });
}

function revived(
  recipes: readonly Omit<EditRecipe, "tensors">[],
  name: string,
  tensors: Readonly<Record<string, Tensor>>,
): Edit[] {
  return recipes.map((recipe, i) => {
    const prefix = `${name}.${i}.`;
    const own = Object.entries(tensors).filter(([key]) => key.startsWith(prefix));
    return editFromRecipe({
      ...recipe,
      tensors: Object.fromEntries(own.map(([key, tensor]) => [key.slice(prefix.length), tensor])),
    });
  });
}
