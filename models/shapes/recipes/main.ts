import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { clipRecipe } from "./clip.js";
import { exportRecipe } from "./export.js";
import type { Recipe } from "./harness.js";
import { judgeRecipe } from "./judge.js";
import { shortcutRecipe } from "./shortcut.js";
import { unetRecipe } from "./unet.js";
import { vaeRecipe } from "./vae.js";

/** Recipes by name, in the order in which they depend on one another. */
export const recipes: readonly Recipe[] = [vaeRecipe, unetRecipe, judgeRecipe, shortcutRecipe, clipRecipe, exportRecipe];

const usage = `usage: npm run train -- shapes/<recipe> [--threads N]

${recipes.map((r) => `  shapes/${r.name.padEnd(14)} ${r.about}`).join("\n")}

A training goes on from its checkpoint in .cache/checkpoints/shapes; one thread leaves a shared machine usable.
`;

/** `npm run train -- shapes/<recipe>`: trains one model, resuming from its checkpoint. */
export async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { threads: { type: "string" }, help: { type: "boolean" } },
  });
  const wanted = positionals[0]?.replace(/^shapes\//, "");
  const recipe = recipes.find((r) => r.name === wanted);
  const threads = values.threads === undefined ? undefined : Number(values.threads);
  if (recipe === undefined || (threads !== undefined && !(Number.isInteger(threads) && threads > 0))) {
    process.stderr.write(usage);
    return wanted === undefined || values.help ? 0 : 2;
  }
  const interrupt = new AbortController();
  process.once("SIGINT", () =>
    interrupt.abort(new Error("interrupted; run the same command again to go on from the checkpoint")),
  );
  try {
    await recipe.run({
      checkpoints: resolve(".cache/checkpoints/shapes"),
      signal: interrupt.signal,
      ...(threads === undefined ? {} : { threads }),
    });
    return 0;
  } catch (error) {
    process.stderr.write(`${recipe.name}: ${error instanceof Error ? error.message : error}\n`);
    return 1;
  }
}

process.exitCode = await main(process.argv.slice(2));
