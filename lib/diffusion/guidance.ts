import { type DType, type DTypeArrays, Tensor } from "../tensor/index.js";
import type { Condition } from "./contracts.js";

export interface GuidanceOptions {
  /** The weight g: 1 is the conditional prediction alone, 0 the unconditional. */
  readonly scale: number;
  /** What the unconditional branch sees (the empty or negative prompt), shaped like the condition; a function is asked at every call. */
  readonly unconditional: Condition | (() => Condition);
  /** Share of the guided prediction that is brought back to the conditional one's standard deviation, 0…1; default 0. */
  readonly rescale?: number;
  /** Levels (σ or timestep, whichever the guided function takes) outside which only the condition is used: low < level ≤ high. */
  readonly interval?: readonly [low: number, high: number];
}

/** A Denoiser (the level is σ) or a Predictor (the level is a timestep). */
export type ConditionalPrediction = (x: Tensor<"float32">, level: number, condition?: Condition) => Promise<Tensor<"float32">>;

/**
 * Classifier-free guidance: unconditional + g·(conditional − unconditional), both branches in one call with the
 * unconditional half of the batch first. Guiding a Denoiser or the Predictor under it is the same but for `rescale`,
 * which matches its paper on the Predictor.
 * @throws RangeError if the two conditions differ in names, dtypes or shapes; TypeError if no condition is passed
 * @see Ho & Salimans 2022, arXiv:2207.12598, eq. 6; rescale: Lin et al. 2023, arXiv:2305.08891, eq. 14–16;
 *   interval: Kynkäänniemi et al. 2024, arXiv:2404.07724
 */
export function guide(predict: ConditionalPrediction, options: GuidanceOptions): ConditionalPrediction {
  const { scale, unconditional, rescale = 0, interval } = options;
  if (!Number.isFinite(scale)) throw new RangeError(`guide: scale must be a finite number, got ${scale}`);
  if (!(rescale >= 0 && rescale <= 1)) throw new RangeError(`guide: rescale must be 0…1, got ${rescale}`);
  let stackedLast: { readonly negative: Condition; readonly condition: Condition; readonly both: Condition } | undefined;
  /** The same two are stacked step after step. */
  const stackOnce = (negative: Condition, condition: Condition): Condition => {
    if (stackedLast?.negative !== negative || stackedLast.condition !== condition)
      stackedLast = { negative, condition, both: stackConditions(negative, condition) };
    return stackedLast.both;
  };
  return async (x, level, condition) => {
    if (!condition) throw new TypeError("guide: there is no condition to guide towards; pass one to the sampler");
    const isGuided = interval === undefined || (interval[0] < level && level <= interval[1]);
    if (!isGuided || scale === 1) return predict(x, level, condition);
    const negative = typeof unconditional === "function" ? unconditional() : unconditional;
    const both = await predict(stack(x, x), level, stackOnce(negative, condition));
    const items = x.shape[0] ?? 1;
    const [perItem, n] = [x.size / items, both.size / 2];
    if (n !== x.size && n !== 2 * x.size)
      throw new RangeError(`guide: expected a prediction for ${stack(x, x)}, or with twice the channels, got ${both}`);
    const without = both.data.subarray(0, n);
    const withCondition = both.data.subarray(n);
    // A learned variance doubles the channels. It describes the conditional process and is not guided.
    const stride = n / items;
    const guided = withCondition.slice();
    for (let start = 0; start < n; start += stride) {
      for (let i = start; i < start + perItem; i++) guided[i] = without[i]! + scale * (withCondition[i]! - without[i]!);
    }
    if (rescale > 0) matchDeviation(guided, withCondition, rescale, items);
    return new Tensor("float32", guided, [items, ...both.shape.slice(1)]);
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

function stackConditions(first: Condition, second: Condition): Condition {
  const names = Object.keys(second);
  if (names.length !== Object.keys(first).length || !names.every((name) => name in first)) {
    throw new RangeError(`guide: the conditions have other inputs: ${Object.keys(first).join(", ")} and ${names.join(", ")}`);
  }
  return Object.fromEntries(names.map((name) => [name, stack(first[name]!, second[name]!)]));
}

/** Two tensors one after the other along the batch. */
function stack<D extends DType>(first: Tensor<D>, second: Tensor<D>): Tensor<D> {
  const [batch, ...rest] = second.shape;
  if (batch === undefined || first.dtype !== second.dtype || first.shape.join() !== second.shape.join()) {
    throw new RangeError(`guide: expected two tensors of the same shape [batch, …], got ${first} and ${second}; pad the prompts`);
  }
  const data = new (second.data.constructor as new (n: number) => DTypeArrays[D])(2 * second.size);
  const target = new Tensor(second.dtype, data, [2 * batch, ...rest]);
  target.bytes.set(first.bytes);
  target.bytes.set(second.bytes, first.byteLength);
  return target;
}
