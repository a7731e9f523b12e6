import { join } from "node:path";
import { Rng } from "../../../lib/tensor/index.js";
import { cosineRate, type StepFeeds, withWarmup } from "../../../lib/train/index.js";
import { judgeConfig } from "../config.js";
import { exampleAt, type Split } from "../dataset.js";
import { shapesFolder } from "../folder.js";
import { renderBatch } from "../render.js";
import type { Scene, SceneOptions } from "../scene.js";
import { accuraciesOn, answerFeeds, type ClassifierPlan, classifierSpec, exportClassifier } from "./classifier.js";
import { disturbPictures, disturbScene } from "./disturb.js";
import { type Recipe, trainLogged } from "./harness.js";

const plan: ClassifierPlan = {
  net: judgeConfig,
  heads: ["shape", "colour", "background", "count", "size", "texture", "pairs"],
  batch: 64,
};
const steps = 5000;
const learningRate = 3e-3;
const seed = 401;

/** Scenes `start … start + n − 1` of a split; `mistakes` is the share of those with several objects that are disturbed. */
export function scenesOf(split: Split, start: number, n: number, options: SceneOptions = {}, mistakes = 0): Scene[] {
  return Array.from({ length: n }, (_, i) => {
    const { scene } = exampleAt(seed, start + i, { split, scene: { combinations: "any", ...options } });
    const rng = new Rng([seed, start + i]).fork("mistake");
    return rng.uniform() < mistakes ? disturbScene(scene, rng) : scene;
  });
}

export const judgeRecipe: Recipe = {
  name: "judge",
  about: "classifiers of shape, colour, background, count, size, texture and coloured shapes",
  async run(options) {
    const { checkpoints } = options;
    const trainer = await trainLogged(options, "judge", classifierSpec(plan), {
      seed,
      steps,
      learningRate: withWarmup(50, cosineRate(learningRate, steps)),
      checkpoint: join(checkpoints, "judge.safetensors"),
      checkpointEvery: 200,
      batch(step): StepFeeds {
        const scenes = scenesOf("judge", step * plan.batch, plan.batch, {}, 0.4);
        return { images: disturbPictures(renderBatch(scenes), new Rng([seed, step])), ...answerFeeds(plan, scenes) };
      },
    });
    const weights = await trainer.weights("ema");
    await trainer.close();
    const metrics = await exportClassifier(join(shapesFolder, "judge"), plan, weights, async (classifier) => ({
      test: await accuraciesOn(classifier, scenesOf("test", 0, 3000)),
      // with the mistakes that generators make
      test_mistakes: await accuraciesOn(classifier, scenesOf("test", 3000, 2000, { kinds: ["relation", "count"] }, 1)),
    }));
    process.stderr.write(`${JSON.stringify(metrics, null, 1)}\n`);
  },
};
