import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type Proportion, proportionOf } from "../../../lib/evaluate/index.js";
import { saveModel } from "../../../lib/onnx/codec/index.js";
import { toFloat16 } from "../../../lib/onnx/passes/index.js";
import { Classifier } from "../../../lib/predictors/index.js";
import {
  type ConvNetConfig,
  convNetDetector,
  convNetReadout,
  convNetStages,
  GraphBuilder,
  linear,
  type Value,
} from "../../../lib/program/index.js";
import { float32, int64, type Tensor, writeFileAtomic } from "../../../lib/tensor/index.js";
import { adamw, binaryCrossEntropy, crossEntropy, type StepFeeds, type TrainingSpec } from "../../../lib/train/index.js";
import { answersOf, type Question, questions } from "../questions.js";
import { renderBatch } from "../render.js";
import { canvasSize, type Scene } from "../scene.js";

/** A classifier to train: one trunk, one linear head per question. */
export interface ClassifierPlan {
  readonly net: ConvNetConfig;
  readonly heads: readonly Question[];
  readonly batch: number;
}

/** Weights of the losses. Texture shows in one picture of eight; `pairs` is a sum over its labels. */
const lossWeights: Readonly<Partial<Record<Question, number>>> = { texture: 3, pairs: 0.3 };

/**
 * The features of the trunk and the logits of each head. Independent labels are looked for at each position: that a
 * colour and a shape belong together shows only where they are.
 */
export function classifierNet(g: GraphBuilder, plan: ClassifierPlan, images: Value): { features: Value; logits: Value[] } {
  const stages = convNetStages(g, plan.net, images);
  const features = convNetReadout(g, plan.net, stages);
  const head = (name: Question): Value => {
    const { labels, multiLabel } = questions[name];
    return multiLabel ? convNetDetector(g, name, stages, labels.length) : linear(g, name, features, labels.length);
  };
  return { features, logits: g.scope("heads", () => plan.heads.map(head)) };
}

/** Cross-entropy of each head over the scenes to which its question applies, binary cross-entropy where labels are independent. */
export function classifierSpec(plan: ClassifierPlan): TrainingSpec {
  const heads = plan.heads.map((name) => questions[name]);
  const inputs: Record<string, TrainingSpec["inputs"][string]> = {
    images: { dtype: "float32", shape: [plan.batch, 3, canvasSize, canvasSize] },
  };
  for (const { name, labels, multiLabel } of heads) {
    inputs[`${name}_answer`] = multiLabel
      ? { dtype: "float32", shape: [plan.batch, labels.length] }
      : { dtype: "int64", shape: [plan.batch] };
    if (!multiLabel) inputs[`${name}_applies`] = { dtype: "float32", shape: [plan.batch] };
  }
  return {
    inputs,
    optimizer: adamw({ beta2: 0.99, weightDecay: 0.01 }),
    clipNorm: 1,
    emaDecay: 0.99,
    loss(g, feeds) {
      const { logits } = classifierNet(g, plan, feeds.images!);
      const losses = heads.map(({ name, labels, multiLabel }, i) => {
        const answer = feeds[`${name}_answer`]!;
        if (!multiLabel) return crossEntropy(g, logits[i]!, answer, feeds[`${name}_applies`]);
        return binaryCrossEntropy(g, logits[i]!, answer).mul(labels.length);
      });
      const weighted = losses.map((loss, i) => loss.mul(lossWeights[plan.heads[i]!] ?? 1));
      return { loss: g.op("Sum", weighted), metrics: Object.fromEntries(plan.heads.map((name, i) => [name, losses[i]!])) };
    },
  };
}

/** The right answers about a batch of scenes, as the training graph takes them. */
export function answerFeeds(plan: ClassifierPlan, scenes: readonly Scene[]): StepFeeds {
  const feeds: Record<string, Tensor> = {};
  for (const name of plan.heads) {
    const head = questions[name];
    const answers = scenes.map((scene) => answersOf(name, scene));
    if (head.multiLabel) {
      const width = head.labels.length;
      const present = new Float32Array(scenes.length * width);
      answers.forEach((labels, i) => {
        for (const label of labels) present[i * width + label] = 1;
      });
      feeds[`${name}_answer`] = float32(present, [scenes.length, width]);
    } else {
      feeds[`${name}_answer`] = int64(answers.map(([label]) => label ?? 0));
      feeds[`${name}_applies`] = float32(answers.map(({ length }) => length));
    }
  }
  return feeds;
}

/** How well each question is answered: every label of the picture right, among the scenes to which the question applies. */
export type Accuracies = Readonly<Partial<Record<Question, Proportion>>>;

/** Answers about renders of known scenes, compared with the truth. */
export async function accuraciesOn(classifier: Classifier, scenes: readonly Scene[], batch = 250): Promise<Accuracies> {
  const right = Object.fromEntries(classifier.heads.map((name) => [name, [] as boolean[]]));
  for (let start = 0; start < scenes.length; start += batch) {
    const some = scenes.slice(start, start + batch);
    const results = await classifier.classify(renderBatch(some));
    for (const [name, { head, probabilities }] of Object.entries(results) as [Question, (typeof results)[string]][]) {
      const outcomes = right[name]!;
      some.forEach((scene, i) => {
        const expected = answersOf(name, scene);
        if (expected.length === 0) return;
        const row = probabilities.row(i).data;
        const said = head.multiLabel ? indicesAbove(row, 0.5) : [row.indexOf(Math.max(...row))];
        outcomes.push(said.length === expected.length && expected.every((label) => said.includes(label)));
      });
    }
  }
  return Object.fromEntries(Object.entries(right).map(([name, outcomes]) => [name, proportionOf(outcomes)]));
}

function indicesAbove(values: Float32Array, threshold: number): number[] {
  return [...values.keys()].filter((i) => values[i]! > threshold);
}

/**
 * Writes `model.onnx` (weights stored as float16) and `config.json` into a folder, then measures what was written.
 * @param measure gives the accuracies to keep in `config.json`
 */
export async function exportClassifier(
  folder: string,
  plan: ClassifierPlan,
  weights: Readonly<Record<string, Tensor>>,
  measure: (classifier: Classifier) => Promise<Readonly<Record<string, unknown>>>,
): Promise<Readonly<Record<string, unknown>>> {
  const g = new GraphBuilder({ name: "classifier" });
  const { features, logits } = classifierNet(g, plan, g.input("images", "float32", ["batch", 3, canvasSize, canvasSize]));
  logits.forEach((value, i) => void g.output(value, plan.heads[i]!));
  g.output(features, "features");
  const model = g.model({ weights });
  await mkdir(folder, { recursive: true });
  await saveModel({ ...model, graph: toFloat16(model.graph) }, join(folder, "model.onnx"));
  const config = {
    architecture: "convnet",
    ...plan.net,
    image_size: canvasSize,
    heads: plan.heads.map((name) => questions[name]),
  };
  await writeJson(join(folder, "config.json"), config);
  const classifier = await Classifier.open(folder);
  try {
    const metrics = await measure(classifier);
    await writeJson(join(folder, "config.json"), { ...config, metrics });
    return metrics;
  } finally {
    await classifier.release();
  }
}

/** Indented JSON that others see whole or not at all. */
export async function writeJson(path: string, value: unknown): Promise<void> {
  await writeFileAtomic(path, [new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`)]);
}
