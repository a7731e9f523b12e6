import { resolve } from "node:path";
import { clipRecipe } from "./clip.js";
import { exportRecipe } from "./export.js";
import type { Recipe } from "./harness.js";
import { judgeRecipe } from "./judge.js";
import { shortcutRecipe } from "./shortcut.js";
import { unetRecipe } from "./unet.js";
import { vaeRecipe } from "./vae.js";

/** Recipes by name, in the order in which they depend on one another. */
export const recipes: readonly Recipe[] = [vaeRecipe, unetRecipe, judgeRecipe, shortcutRecipe, clipRecipe, exportRecipe];

/** `npm run train -- shapes/<recipe>`: trains one model, resuming from its checkpoint. */
export async function main(args: readonly string[]): Promise<number> {
  const wanted = args[0]?.replace(/^shapes\//, "");
  const recipe = recipes.find((r) => r.name === wanted);
  if (recipe === undefined) {
    process.stderr.write(`usage: npm run train -- shapes/<recipe>\n\n${recipes.map((r) => `  shapes/${r.name.padEnd(14)} ${r.about}`).join("\n")}\n`);
    return wanted === undefined || wanted === "--help" ? 0 : 2;
  }
  const interrupt = new AbortController();
  process.once("SIGINT", () => interrupt.abort(new Error("interrupted; run the same command again to go on from the checkpoint")));
  try {
    await recipe.run({ checkpoints: resolve(".cache/checkpoints/shapes"), signal: interrupt.signal });
    return 0;
  } catch (error) {
    process.stderr.write(`${recipe.name}: ${error instanceof Error ? error.message : error}\n`);
    return 1;
  }
}

process.exitCode = await main(process.argv.slice(2));
