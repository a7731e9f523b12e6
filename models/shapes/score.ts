import { type Proportion, proportionOf } from "../../lib/evaluate/index.js";
import type { Classifier } from "../../lib/predictors/index.js";
import type { Tensor } from "../../lib/tensor/index.js";
import { type Asked, parseCaption } from "./caption.js";
import { judgePictures, type Verdict } from "./judge.js";
import { backgroundRgb, type Colour, canvasSize, colourRgb, type Relation, type Rgb } from "./scene.js";

/** What a picture was asked for and what of it is there; an aspect that was not asked for is absent. */
export type Score = Readonly<Partial<Record<Aspect, boolean>>>;

export type Aspect =
  | "shape"
  | "colour"
  | "size"
  | "texture"
  | "background"
  | "count"
  /** Two objects: both coloured shapes are there, and no other. */
  | "bound"
  /** Two objects: instead, each colour is on the other's shape. */
  | "swapped"
  /** Two objects: exactly one of the two coloured shapes is there. */
  | "half"
  /** Two objects, both there: they lie as asked. */
  | "relation";

/**
 * Compares a picture with what was asked for.
 * @param image float32 [3, 64, 64] in −1…1; decides where the two objects of a relation lie
 */
export function scoreOf(asked: Asked, verdict: Verdict, image: Tensor<"float32">): Score {
  const [first, second] = asked.objects;
  const common = {
    count: verdict.count === asked.count,
    ...(asked.background === undefined ? {} : { background: verdict.background === asked.background }),
  };
  if (second === undefined) {
    const aspects = (["shape", "colour", "size", "texture"] as const).filter((aspect) => first![aspect] !== undefined);
    return { ...common, ...Object.fromEntries(aspects.map((aspect) => [aspect, verdict[aspect] === first![aspect]])) };
  }
  // A vague "shape" or a missing colour leaves nothing to bind.
  if (!first!.shape || !first!.colour || !second.shape || !second.colour) return common;
  const right = [`${first!.colour} ${first!.shape}`, `${second.colour} ${second.shape}`];
  const swapped = [`${second.colour} ${first!.shape}`, `${first!.colour} ${second.shape}`];
  const present = right.filter((pair) => verdict.pairs.includes(pair)).length;
  const bound = present === 2 && verdict.pairs.length === 2;
  const seen = bound && asked.relation ? relationSeen(image, first!.colour, second.colour, verdict) : undefined;
  return {
    ...common,
    bound,
    swapped: verdict.pairs.length === 2 && swapped.every((pair) => verdict.pairs.includes(pair)),
    half: present === 1,
    ...(bound && asked.relation ? { relation: seen === asked.relation } : {}),
  };
}

/**
 * What of its prompt each picture shows, as the judge sees it.
 * @param images float32 [n, 3, 64, 64] in −1…1
 * @param prompts one per picture, sentences of the world's grammar
 */
export async function scorePictures(judge: Classifier, images: Tensor<"float32">, prompts: readonly string[]): Promise<Score[]> {
  const verdicts = await judgePictures(judge, images);
  return verdicts.map((verdict, i) => scoreOf(parseCaption(prompts[i]!), verdict, images.row(i)));
}

/** How often each aspect of the prompts was right, among the prompts that asked for it. */
export type Shares = Readonly<Partial<Record<Aspect, Proportion>>>;

/** How a set of pictures fared: the share of successes in each aspect, over the prompts that asked for it. */
export function sharesOf(scores: readonly Score[]): Shares {
  const outcomes = new Map<Aspect, boolean[]>();
  for (const score of scores)
    for (const [aspect, outcome] of Object.entries(score) as [Aspect, boolean][])
      outcomes.set(aspect, [...(outcomes.get(aspect) ?? []), outcome]);
  return Object.fromEntries([...outcomes].map(([aspect, all]) => [aspect, proportionOf(all)]));
}

/**
 * Where the object of one colour lies as seen from that of another: by the centroids of the pixels nearest to each
 * colour. Undefined where one of them is missing.
 */
export function relationSeen(
  image: Tensor<"float32">,
  a: Colour,
  b: Colour,
  { background }: Pick<Verdict, "background">,
): Relation | undefined {
  const paints: readonly Rgb[] = [colourRgb[a], colourRgb[b], backgroundRgb[background]];
  const plane = canvasSize * canvasSize;
  const sums = paints.map(() => ({ x: 0, y: 0, n: 0 }));
  for (let p = 0; p < plane; p++) {
    let nearest = 0;
    let least = Number.POSITIVE_INFINITY;
    for (let i = 0; i < paints.length; i++) {
      let distance = 0;
      for (let c = 0; c < 3; c++) distance += ((image.data[c * plane + p]! + 1) * 127.5 - paints[i]![c]!) ** 2;
      if (distance < least) {
        least = distance;
        nearest = i;
      }
    }
    const sum = sums[nearest]!;
    sum.x += p % canvasSize;
    sum.y += Math.floor(p / canvasSize);
    sum.n++;
  }
  const [first, second] = sums as [(typeof sums)[0], (typeof sums)[0]];
  // A stray edge of mixed colour has a few pixels, the smallest object more than a hundred.
  if (first.n < 40 || second.n < 40) return undefined;
  const dx = first.x / first.n - second.x / second.n;
  const dy = first.y / first.n - second.y / second.n;
  if (Math.abs(dx) > Math.abs(dy)) return dx < 0 ? "left of" : "right of";
  return dy < 0 ? "above" : "below";
}
