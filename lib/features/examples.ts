import { type Activations, replay } from "../activations/index.js";
import type { Pipeline } from "../diffusion/index.js";
import { type Branch, select } from "../hooks/index.js";
import type { Sae } from "../sae/index.js";
import { float32, type Picture, Rng, type Tensor } from "../tensor/index.js";

/** A picture by its number, with a feature's code on it. */
export interface RankedImage {
  readonly image: number;
  readonly activation: number;
}

/** Pictures on which a feature is active, most active first. @param codes [images, F], see `imageCodes` */
export function maxActivating(codes: Tensor<"float32">, feature: number, count = 8): RankedImage[] {
  return activeImages(codes, feature).slice(0, count);
}

/**
 * Pictures from each tenth of a feature's activations, weakest first: the strongest alone show only what a feature
 * means at its strongest. Fewer where the feature is active on fewer than ten pictures.
 */
export function decileSamples(
  codes: Tensor<"float32">,
  feature: number,
  { perDecile = 1, seed = 0 }: { readonly perDecile?: number; readonly seed?: number } = {},
): (RankedImage & { readonly decile: number })[] {
  const ascending = activeImages(codes, feature).reverse();
  const rng = new Rng(seed).fork(feature);
  return Array.from({ length: 10 }, (_, decile) => {
    const part = ascending.slice(
      Math.floor((decile * ascending.length) / 10),
      Math.floor(((decile + 1) * ascending.length) / 10),
    );
    const drawn = [...rng.permutation(part.length)].slice(0, perDecile).sort((a, b) => a - b);
    return drawn.map((i) => ({ ...part[i]!, decile }));
  }).flat();
}

function activeImages(codes: Tensor<"float32">, feature: number): RankedImage[] {
  const [n, features] = codes.shape as [number, number];
  if (!(feature >= 0 && feature < features))
    throw new RangeError(`maxActivating: features are 0…${features - 1}, got ${feature}`);
  return Array.from({ length: n }, (_, image) => ({ image, activation: codes.data[image * features + feature]! }))
    .filter((r) => r.activation > 0)
    .sort((a, b) => b.activation - a.activation || a.image - b.image);
}

/** A picture with a feature's codes laid over it. */
export interface FeatureExample {
  readonly image: number;
  readonly picture: Picture;
  readonly caption: string;
  readonly seed: number;
  /** The feature's largest code at any place and captured step. */
  readonly activation: number;
  /** Codes at the step where the largest one is, [y, x]. */
  readonly heat: Tensor<"float32">;
  /** Codes at every captured step, [step, y, x]. */
  readonly maps: Tensor<"float32">;
  /** Sampler steps of `maps`. */
  readonly steps: readonly number[];
}

export interface FeatureExamplesOptions {
  /** Default the collection's first. */
  readonly hookPoint?: string;
  /** Default "cond". */
  readonly branch?: Branch;
  /** Pictures generated at once; default 8. */
  readonly batchSize?: number;
  readonly signal?: AbortSignal;
}

/**
 * Runs pictures of a collection again and encodes every place of them, in the order in which they were asked for.
 * @param images what `maxActivating` or `decileSamples` gave, or numbers of pictures
 */
export async function featureExamples(
  pipe: Pipeline,
  sae: Sae,
  acts: Activations,
  feature: number,
  images: readonly (number | RankedImage)[],
  options: FeatureExamplesOptions = {},
): Promise<FeatureExample[]> {
  const { batchSize = 8, branch = "cond", signal } = options;
  const { plan } = acts;
  if (!Number.isInteger(feature) || feature < 0 || feature >= sae.config.features)
    throw new RangeError(`featureExamples: features are 0…${sae.config.features - 1}, got ${feature}`);
  const point = plan.hookPoints.find((p) => p.path === (options.hookPoint ?? plan.hookPoints[0]!.path));
  if (point === undefined) throw new RangeError(`featureExamples: the collection has no hook point "${options.hookPoint}"`);
  const height = point.positions / point.columns;
  const numbers = images.map((i) => (typeof i === "number" ? i : i.image));
  const examples: FeatureExample[] = [];
  for (let start = 0; start < numbers.length; start += batchSize) {
    const batch = numbers.slice(start, start + batchSize);
    const run = await replay(pipe, plan, batch, { batchSize, pictures: acts.pictures, ...(signal && { signal }) });
    for (const [item, image] of batch.entries()) {
      const vectors = select(run.activations[point.path]!, { branch: run.branches.indexOf(branch), item }).tensor;
      const codes = (await sae.encodeSparse(vectors.reshape([-1, plan.channels]))).column(feature);
      const maps = float32(codes, [plan.captureSteps.length, height, point.columns]);
      const largest = codes.reduce((best, code, i) => (code > codes[best]! ? i : best), 0);
      const { prompt, seed } = acts.images[image]!;
      examples.push({
        image,
        picture: run.images[item]!,
        caption: prompt,
        seed,
        activation: codes[largest]!,
        heat: maps.row(Math.floor(largest / point.positions)),
        maps,
        steps: plan.captureSteps,
      });
    }
  }
  return examples;
}
