import { Rng, Tensor } from "../tensor/index.js";
import { auroc, aurocInterval, featureAurocs, type Labels } from "./auroc.js";

/** Something that is or is not in a picture. */
export interface Concept {
  readonly name: string;
  /** One per picture. */
  readonly present: Labels;
}

/** One concept per value of each factor: `conceptsOf({ colour: ["red", "blue", …] })` → "colour = blue", "colour = red". */
export function conceptsOf(factors: Readonly<Record<string, readonly string[]>>): Concept[] {
  return Object.entries(factors).flatMap(([factor, values]) =>
    [...new Set(values)].sort().map((value) => ({ name: `${factor} = ${value}`, present: values.map((v) => v === value) })),
  );
}

export interface SearchFeaturesOptions {
  /** Codes of the pictures, [images, F]: see `imageCodes`. */
  readonly codes: Tensor<"float32">;
  readonly concepts: readonly Concept[];
  /** Numbers of the pictures on which features are selected, all others being scored on; default drawn by the three options below. */
  readonly selectOn?: readonly number[];
  /** What must not be torn apart by the split, one per picture, such as its prompt; default every picture for itself. */
  readonly groups?: readonly (string | number)[];
  /** Share of the groups on which features are selected; default 0.5. */
  readonly trainShare?: number;
  /** Of the split; default 0. */
  readonly seed?: number;
  /** Best features listed per concept; default 5. */
  readonly candidates?: number;
  /** Standard normal quantile of the intervals; default 1.96, for 95 %. */
  readonly z?: number;
}

/** A feature with its AUROC on the pictures it was selected on, and on the others. */
export interface Candidate {
  readonly feature: number;
  readonly trainAuroc: number;
  readonly auroc: number;
}

/** How well a feature tells pictures with a concept from those without. */
export interface Detection {
  readonly auroc: number;
  /** Interval of `auroc`. */
  readonly low: number;
  readonly high: number;
  /** Pictures with and without the concept. */
  readonly positives: number;
  readonly negatives: number;
}

/** The feature that detects a concept best; its `Detection` is that on the held-out pictures. */
export interface FoundFeature extends Candidate, Detection {
  readonly concept: string;
  /** The best features on the training pictures, best first; the first is this one. */
  readonly candidates: readonly Candidate[];
  /** Held-out AUROC of this feature for every concept: what else it detects. */
  readonly perConcept: readonly { readonly name: string; readonly auroc: number }[];
}

/**
 * For each concept the one feature that detects it best. Features are selected on one part of the pictures and scored
 * on the other, which had no part in the choice. AUROC is NaN where one of the parts lacks positives or negatives.
 * @throws RangeError if labels, groups and codes are not of equally many pictures
 */
export function searchFeatures(options: SearchFeaturesOptions): FoundFeature[] {
  const { codes, concepts, groups, trainShare = 0.5, seed = 0, candidates = 5, z } = options;
  const [n, features] = codes.shape as [number, number];
  for (const { name, present } of concepts) {
    if (present.length !== n) throw new RangeError(`searchFeatures: ${name} has ${present.length} labels for ${n} pictures`);
  }
  const { train, heldOut } = options.selectOn
    ? apart(options.selectOn, n)
    : split(groups ?? Array.from({ length: n }, (_, i) => i), n, trainShare, seed);
  const scores = featureAurocs(
    rowsOf(codes, train),
    concepts.map(({ present }) => train.map((i) => Boolean(present[i]))),
  );
  const heldOutAuroc = (feature: number, concept: Concept): number =>
    detection(codes, feature, concept, { images: heldOut, z }).auroc;
  return concepts.map((concept, c): FoundFeature => {
    const order = Array.from({ length: features }, (_, f) => f).sort(
      (a, b) => worth(scores[c]![b]!) - worth(scores[c]![a]!) || a - b,
    );
    const best = order
      .slice(0, candidates)
      .map((feature): Candidate => ({ feature, trainAuroc: scores[c]![feature]!, auroc: heldOutAuroc(feature, concept) }));
    const first = best[0]!;
    return {
      concept: concept.name,
      ...first,
      ...detection(codes, first.feature, concept, { images: heldOut, z }),
      candidates: best,
      perConcept: concepts.map((other) => ({ name: other.name, auroc: heldOutAuroc(first.feature, other) })),
    };
  });
}

/**
 * How well one feature detects a concept.
 * @param codes [images, F] @param options `images` to look at, default all; `z` as in `searchFeatures`
 */
export function detection(
  codes: Tensor<"float32">,
  feature: number,
  { name, present }: Concept,
  options: { readonly images?: readonly number[]; readonly z?: number | undefined } = {},
): Detection {
  const [n, features] = codes.shape as [number, number];
  if (present.length !== n) throw new RangeError(`detection: ${name} has ${present.length} labels for ${n} pictures`);
  if (!(feature >= 0 && feature < features)) throw new RangeError(`detection: features are 0…${features - 1}, got ${feature}`);
  const images = options.images ?? Array.from({ length: n }, (_, i) => i);
  const labels = images.map((i) => Boolean(present[i]));
  const area = auroc(
    images.map((i) => codes.data[i * features + feature]!),
    labels,
  );
  const positives = labels.filter(Boolean).length;
  const negatives = labels.length - positives;
  return { auroc: area, ...aurocInterval(area, positives, negatives, options.z), positives, negatives };
}

/** NaN counts as chance. */
function worth(area: number): number {
  return Number.isNaN(area) ? 0.5 : area;
}

function apart(selectOn: readonly number[], n: number): { train: number[]; heldOut: number[] } {
  const chosen = new Set(selectOn);
  const wrong = selectOn.find((i) => !Number.isInteger(i) || i < 0 || i >= n);
  if (wrong !== undefined || chosen.size === 0 || chosen.size === n) {
    throw new RangeError(
      `searchFeatures: selectOn must hold some but not all of the pictures 0…${n - 1}, got ${wrong ?? `${chosen.size} of ${n}`}`,
    );
  }
  const all = Array.from({ length: n }, (_, i) => i);
  return { train: all.filter((i) => chosen.has(i)), heldOut: all.filter((i) => !chosen.has(i)) };
}

function split(
  groups: readonly (string | number)[],
  n: number,
  trainShare: number,
  seed: number,
): { train: number[]; heldOut: number[] } {
  if (groups.length !== n) throw new RangeError(`searchFeatures: expected ${n} groups, one per picture, got ${groups.length}`);
  const distinct = [...new Set(groups)];
  const trained = Math.round(trainShare * distinct.length);
  if (!(trained >= 1 && trained < distinct.length)) {
    throw new RangeError(
      `searchFeatures: trainShare ${trainShare} of ${distinct.length} groups leaves nothing to ${trained < 1 ? "select" : "score"} on`,
    );
  }
  const order = new Rng(seed).permutation(distinct.length);
  const chosen = new Set(Array.from(order.subarray(0, trained), (i) => distinct[i]!));
  const all = groups.map((_, i) => i);
  return { train: all.filter((i) => chosen.has(groups[i]!)), heldOut: all.filter((i) => !chosen.has(groups[i]!)) };
}

function rowsOf(codes: Tensor<"float32">, rows: readonly number[]): Tensor<"float32"> {
  const features = codes.shape[1]!;
  const out = new Float32Array(rows.length * features);
  rows.forEach((row, i) => {
    out.set(codes.data.subarray(row * features, (row + 1) * features), i * features);
  });
  return new Tensor("float32", out, [rows.length, features]);
}
