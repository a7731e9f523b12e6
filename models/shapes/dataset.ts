import { fileURLToPath } from "node:url";
import { loadTokenizer, type PromptTokenizer } from "../../lib/diffusion/formats/tokenizers/index.js";
import { Rng } from "../../lib/tensor/random.js";
import type { Tensor } from "../../lib/tensor/tensor.js";
import { captionOf } from "./caption.js";
import { renderBatch } from "./render.js";
import { type Scene, type SceneOptions, sampleScene } from "./scene.js";

/**
 * Disjoint streams of scenes: generators and encoders learn on `train`, the classifiers that judge them on `judge`,
 * choices are made on `validation`, and reported numbers come from `test`. The split is part of every scene's random
 * key, so no seed of one can give a scene of another.
 */
export const splits = ["train", "validation", "test", "judge"] as const;
export type Split = (typeof splits)[number];

export interface StreamOptions {
  /** Default "train". */
  readonly split?: Split;
  readonly scene?: SceneOptions;
}

/** A scene with one caption of it. */
export interface Example {
  readonly scene: Scene;
  readonly caption: string;
}

/** A minibatch of the world. */
export interface SceneBatch {
  /** float32 [n, 3, 64, 64] in −1…1 */
  readonly images: Tensor<"float32">;
  readonly captions: readonly string[];
  /** int64 [n, 24] */
  readonly tokens: Tensor<"int64">;
  readonly scenes: readonly Scene[];
}

/** Example `index` of the endless stream of `seed`; it depends on nothing drawn before. */
export function exampleAt(seed: number, index: number, options: StreamOptions = {}): Example {
  const rng = new Rng([splits.indexOf(options.split ?? "train"), seed, index]);
  const scene = sampleScene(rng.fork("scene"), options.scene);
  return { scene, caption: captionOf(scene, rng.fork("caption")) };
}

/**
 * Minibatch `step` of a stream: examples step · n … step · n + n − 1. Any step can be made again without the ones
 * before it, so training resumes exactly from (seed, step).
 * @throws RangeError if n is not a whole number ≥ 1
 */
export async function sceneBatch(seed: number, step: number, n: number, options: StreamOptions = {}): Promise<SceneBatch> {
  if (!Number.isSafeInteger(n) || n < 1) throw new RangeError(`sceneBatch: n is a whole number ≥ 1, got ${n}`);
  const examples = Array.from({ length: n }, (_, i) => exampleAt(seed, step * n + i, options));
  const scenes = examples.map((example) => example.scene);
  const captions = examples.map((example) => example.caption);
  const tokenizer = await shapesTokenizer();
  return { images: renderBatch(scenes), captions, tokens: tokenizer.encodeBatch(captions), scenes };
}

let loading: Promise<PromptTokenizer> | undefined;

/** The tokenizer of the embedded world, loaded once. */
export function shapesTokenizer(): Promise<PromptTokenizer> {
  loading ??= loadTokenizer(fileURLToPath(new URL("tokenizer", import.meta.url)));
  return loading;
}
