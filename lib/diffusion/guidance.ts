import { type DType, Tensor } from "../tensor/index.js";
import { concatRows } from "./batches.js";
import type { Condition } from "./contracts.js";

export interface GuidanceOptions {
  /** The weight g: 1 is the conditional prediction alone, 0 the unconditional. */
  readonly scale: number;
  /** What the unconditional branch sees (the empty or negative prompt), shaped like the condition; a function is asked at every call. */
  readonly unconditional: Condition | (() => Condition);
  /**
   * The weight g_I of a picture that the network sees beside the state. A branch between the two then sees the picture and is
   * told what the unconditional one is, which does not see it.
   */
  readonly imageScale?: number | undefined;
  /** Share of the guided prediction that is brought back to the conditional one's standard deviation, 0…1; default 0. */
  readonly rescale?: number;
  /** Levels (σ or timestep, whichever the guided function takes) outside which only the condition is used: low < level ≤ high. */
  readonly interval?: readonly [low: number, high: number];
}

/** A Denoiser (the level is σ) or a Predictor (the level is a timestep). */
export type ConditionalPrediction = (x: Tensor<"float32">, level: number, condition?: Condition) => Promise<Tensor<"float32">>;

/**
 * Classifier-free guidance: unconditional + g·(conditional − unconditional), both branches in one call with the
 * unconditional half of the batch first; with a picture unconditional + g_I·(picture − unconditional) + g·(conditional −
 * picture), in that order. Guiding a Denoiser or the Predictor under it is the same but for `rescale`,
 * which matches its paper on the Predictor.
 * @throws RangeError if the two conditions differ in names, dtypes or shapes; TypeError if no condition is passed
 * @see Ho & Salimans 2022, arXiv:2207.12598, eq. 6; rescale: Lin et al. 2023, arXiv:2305.08891, eq. 14–16;
 *   interval: Kynkäänniemi et al. 2024, arXiv:2404.07724; picture: Brooks et al. 2022, arXiv:2211.09800, eq. 3
 */
export function guide(predict: ConditionalPrediction, options: GuidanceOptions): ConditionalPrediction {
  const { scale, unconditional, imageScale, rescale = 0, interval } = options;
  for (const [name, weight] of Object.entries({ scale, imageScale: imageScale ?? 1 }))
    if (!Number.isFinite(weight)) throw new RangeError(`guide: ${name} must be a finite number, got ${weight}`);
  if (!(rescale >= 0 && rescale <= 1)) throw new RangeError(`guide: rescale must be 0…1, got ${rescale}`);
  const weights = imageScale === undefined ? [scale] : [imageScale, scale];
  let stackedLast: { readonly negative: Condition; readonly condition: Condition; readonly all: Condition } | undefined;
  /** The same are stacked step after step. */
  const stackOnce = (negative: Condition, condition: Condition): Condition => {
    if (stackedLast?.negative !== negative || stackedLast.condition !== condition)
      stackedLast = { negative, condition, all: stackConditions([...weights.map(() => negative), condition]) };
    return stackedLast.all;
  };
  return async (x, level, condition) => {
    if (!condition) throw new TypeError("guide: there is no condition to guide towards; pass one to the sampler");
    const isGuided = interval === undefined || (interval[0] < level && level <= interval[1]);
    if (!isGuided || weights.every((weight) => weight === 1)) return predict(x, level, condition);
    const negative = typeof unconditional === "function" ? unconditional() : unconditional;
    const states = stack([...weights.map(() => x), x]);
    const all = await predict(states, level, stackOnce(negative, condition));
    const items = x.shape[0] ?? 1;
    const [perItem, n] = [x.size / items, all.size / (weights.length + 1)];
    if (n !== x.size && n !== 2 * x.size)
      throw new RangeError(`guide: expected a prediction for ${states}, or with twice the channels, got ${all}`);
    const branches = Array.from({ length: weights.length + 1 }, (_, b) => all.data.subarray(b * n, (b + 1) * n));
    const [first, conditional] = [branches[0]!, branches.at(-1)!];
    // A learned variance doubles the channels. It describes the conditional process and is not guided.
    const stride = n / items;
    const guided = conditional.slice();
    for (let start = 0; start < n; start += stride) {
      guided.set(first.subarray(start, start + perItem), start);
      for (const [b, weight] of weights.entries()) {
        const [from, to] = [branches[b]!, branches[b + 1]!];
        for (let i = start; i < start + perItem; i++) guided[i] = guided[i]! + weight * (to[i]! - from[i]!);
      }
    }
    if (rescale > 0) matchDeviation(guided, conditional, rescale, items);
    return new Tensor("float32", guided, [items, ...all.shape.slice(1)]);
  };
}

/** Scales each item of the batch towards the standard deviation of its conditional prediction. */
function matchDeviation(guided: Float32Array, conditional: Float32Array, share: number, batch: number): void {
  const perItem = guided.length / batch;
  for (let start = 0; start < guided.length; start += perItem) {
    const item = guided.subarray(start, start + perItem);
    const ratio = deviation(conditional.subarray(start, start + perItem)) / deviation(item);
    const factor = share * ratio + (1 - share);
    for (let i = 0; i < perItem; i++) item[i] = item[i]! * factor;
  }
}

function deviation(values: Float32Array): number {
  let mean = 0;
  for (const value of values) mean += value / values.length;
  let squares = 0;
  for (const value of values) squares += (value - mean) ** 2;
  return Math.sqrt(squares);
}

function stackConditions(conditions: readonly Condition[]): Condition {
  const [first, ...rest] = conditions as readonly [Condition, ...Condition[]];
  const names = Object.keys(first);
  for (const other of rest) {
    if (names.length !== Object.keys(other).length || !names.every((name) => name in other)) {
      throw new RangeError(`guide: the conditions have other inputs: ${names.join(", ")} and ${Object.keys(other).join(", ")}`);
    }
  }
  return Object.fromEntries(names.map((name) => [name, stack(conditions.map((condition) => condition[name]!))]));
}

/** Tensors below each other along the batch. */
function stack<D extends DType>(tensors: readonly Tensor<D>[]): Tensor<D> {
  const [first] = tensors as readonly [Tensor<D>];
  const other = tensors.find((t) => t.dtype !== first.dtype || t.shape.join() !== first.shape.join());
  if (first.shape.length === 0 || other !== undefined) {
    throw new RangeError(
      `guide: expected tensors of the same shape [batch, …], got ${first} and ${other ?? first}; pad the prompts`,
    );
  }
  return concatRows(tensors);
}
