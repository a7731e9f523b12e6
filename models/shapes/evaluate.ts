import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { load } from "../../lib/diffusion/formats/index.js";
import { writeFileAtomic } from "../../lib/tensor/index.js";
import { type CardParts, renderCard } from "./card.js";
import { openClip } from "./clip.js";
import { trainingCurves } from "./curves.js";
import { contactSheet, evaluate } from "./evaluation.js";
import { shapesFolder } from "./folder.js";
import { openJudge } from "./judge.js";

async function writeText(path: string, text: string): Promise<void> {
  await writeFileAtomic(path, [new TextEncoder().encode(text)]);
}

/** `npm run evaluate`: writes metrics.json, card.md, curves.svg and samples.png beside the models. */
async function main(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      model: { type: "string", default: shapesFolder },
      prompts: { type: "string", default: "600" },
      steps: { type: "string", default: "20" },
      guidance: { type: "string", default: "4" },
      out: { type: "string", default: shapesFolder },
      "card-only": { type: "boolean", default: false },
    },
  });
  const metricsFile = join(values.out, "metrics.json");
  if (!values["card-only"]) {
    await using pipe = await load(values.model);
    await using judge = await openJudge();
    await using clip = await openClip();
    const sampling = { steps: Number(values.steps), guidanceScale: Number(values.guidance) };
    const { metrics, sheet } = await evaluate(pipe, { judge, clip }, Number(values.prompts), sampling);
    await writeText(metricsFile, `${JSON.stringify(metrics, null, 2)}\n`);
    await writeFileAtomic(join(values.out, "samples.png"), [contactSheet(sheet)]);
  }
  const read = <T>(...path: string[]): T | undefined =>
    existsSync(join(...path)) ? (JSON.parse(readFileSync(join(...path), "utf8")) as T) : undefined;
  const parts: CardParts = {
    evaluation: read(metricsFile),
    judge: read(shapesFolder, "judge", "config.json"),
    shortcut: read(shapesFolder, "shortcut", "config.json"),
    clip: read(shapesFolder, "clip", "config.json"),
  };
  await writeText(join(values.out, "curves.svg"), trainingCurves(shapesFolder).toSvg());
  await writeText(join(values.out, "card.md"), renderCard(parts));
}

await main(process.argv.slice(2));
