import { join } from "node:path";
import { cosineRate, type StepFeeds, withWarmup } from "../../../lib/train/index.js";
import { shortcutConfig } from "../config.js";
import { shapesFolder } from "../folder.js";
import { renderBatch } from "../render.js";
import type { SceneOptions } from "../scene.js";
import { shortcut } from "../shortcut.js";
import { accuraciesOn, answerFeeds, type ClassifierPlan, classifierSpec, exportClassifier } from "./classifier.js";
import { type Recipe, trainLogged } from "./harness.js";
import { scenesOf } from "./judge.js";

const plan: ClassifierPlan = { net: shortcutConfig, heads: ["shape"], batch: 64 };
const steps = 300;
const correlated: SceneOptions = { kinds: ["single"], shortcut };

export const shortcutRecipe: Recipe = {
  name: "shortcut",
  about: "shape classifier that learned to look at colour",
  async run(options) {
    const { checkpoints } = options;
    const trainer = await trainLogged(options, "shortcut", classifierSpec(plan), {
      seed: 402,
      steps,
      learningRate: withWarmup(20, cosineRate(2e-3, steps)),
      checkpoint: join(checkpoints, "shortcut.safetensors"),
      batch(step): StepFeeds {
        const scenes = scenesOf("judge", step * plan.batch, plan.batch, correlated);
        return { images: renderBatch(scenes), ...answerFeeds(plan, scenes) };
      },
    });
    const weights = await trainer.weights("ema");
    await trainer.close();
    const metrics = await exportClassifier(join(shapesFolder, "shortcut"), plan, weights, async (classifier) => ({
      shortcut,
      test_correlated: await accuraciesOn(classifier, scenesOf("test", 0, 2000, correlated)),
      test_uncorrelated: await accuraciesOn(classifier, scenesOf("test", 0, 2000, { kinds: ["single"] })),
    }));
    process.stderr.write(`${JSON.stringify(metrics, null, 1)}\n`);
  },
};
