import { SparseCodes } from "../sae/index.js";
import type { Tensor } from "../tensor/index.js";

/** Codes of n items over F features: dense float32 [n, F], or only those that are not 0. */
export type Codes = Tensor<"float32"> | SparseCodes;

/** For each item whether it is a positive: booleans, or numbers of which 0 means no. */
export type Labels = ArrayLike<boolean | number>;

/**
 * Area under the ROC curve: the chance that a positive scores above a negative, ties counting half. NaN without
 * positives or without negatives.
 * @throws RangeError if scores and labels differ in length
 * @see Hanley & McNeil 1982, doi:10.1148/radiology.143.1.7063747
 */
export function auroc(scores: ArrayLike<number>, labels: Labels): number {
  expectLabels("auroc", labels, scores.length);
  const order = Uint32Array.from({ length: scores.length }, (_, i) => i).sort((a, b) => scores[a]! - scores[b]!);
  return areaUnder(order, (i) => scores[i]!, labels, 0);
}

/**
 * AUROC of every feature as a detector of the labels, [F]. Codes of 0 are never looked at one by one: they are one
 * large tie, so the cost follows the number of codes that are not 0.
 * @throws RangeError if there is not one label per item
 */
export function featureAuroc(codes: Codes, labels: Labels): Float64Array {
  return featureAurocs(codes, [labels])[0]!;
}

/** The same for several sets of labels, with each feature's codes sorted once. */
export function featureAurocs(codes: Codes, labelSets: readonly Labels[]): Float64Array[] {
  const { count, features, start, item, value } = columnsOf(codes);
  for (const labels of labelSets) expectLabels("featureAuroc", labels, count);
  const out = labelSets.map(() => new Float64Array(features));
  for (let f = 0; f < features; f++) {
    const entries = Uint32Array.from({ length: start[f + 1]! - start[f]! }, (_, i) => start[f]! + i);
    entries.sort((a, b) => value[a]! - value[b]!);
    labelSets.forEach((labels, l) => {
      out[l]![f] = areaUnder(
        entries,
        (e) => value[e]!,
        labels,
        count - entries.length,
        (e) => item[e]!,
      );
    });
  }
  return out;
}

/**
 * Interval of an AUROC: all areas whose own standard error, by Hanley and McNeil's formula, does not rule out the
 * one that was found. Unlike estimate ± error it stays within 0…1 and does not shrink to a point at 1.
 * @param z standard normal quantile; 1.96 for 95 %
 * @see Newcombe 2006, doi:10.1002/sim.2324 (method 5)
 */
export function aurocInterval(
  area: number,
  positives: number,
  negatives: number,
  z = 1.959963984540054,
): { readonly low: number; readonly high: number } {
  if (Number.isNaN(area) || positives < 1 || negatives < 1) return { low: 0, high: 1 };
  const n = (positives + negatives) / 2 - 1;
  const reaches = (a: number): boolean => {
    const variance = (a * (1 - a) * (1 + (n * (1 - a)) / (2 - a) + (n * a) / (1 + a))) / (positives * negatives);
    return Math.abs(a - area) <= z * Math.sqrt(variance);
  };
  const edge = (outside: number): number => {
    if (outside === area) return area;
    let [far, near] = [outside, area];
    for (let i = 0; i < 60; i++) {
      const middle = (far + near) / 2;
      if (reaches(middle)) near = middle;
      else far = middle;
    }
    return near;
  };
  return { low: edge(0), high: edge(1) };
}

/**
 * Mann–Whitney's U over positives·negatives, from entries in ascending order; `zeros` further items all score 0.
 * @param itemOf the item of an entry; default the entry itself
 */
function areaUnder(
  entries: Uint32Array,
  scoreOf: (entry: number) => number,
  labels: Labels,
  zeros: number,
  itemOf: (entry: number) => number = (e) => e,
): number {
  let positives = 0;
  for (let i = 0; i < labels.length; i++) if (labels[i]) positives++;
  let positiveZeros = positives;
  for (const e of entries) if (labels[itemOf(e)]) positiveZeros--;

  let wins = 0;
  let negativesBelow = 0;
  const tie = (p: number, q: number): void => {
    wins += p * (negativesBelow + q / 2);
    negativesBelow += q;
  };
  let zerosDone = zeros === 0;
  for (let i = 0; i < entries.length; ) {
    const score = scoreOf(entries[i]!);
    if (!zerosDone && score > 0) {
      tie(positiveZeros, zeros - positiveZeros);
      zerosDone = true;
    }
    let [p, q] = [0, 0];
    for (; i < entries.length && scoreOf(entries[i]!) === score; i++) {
      if (labels[itemOf(entries[i]!)]) p++;
      else q++;
    }
    tie(p, q);
  }
  if (!zerosDone) tie(positiveZeros, zeros - positiveZeros);
  const negatives = labels.length - positives;
  return positives === 0 || negatives === 0 ? Number.NaN : wins / (positives * negatives);
}

interface Columns {
  readonly count: number;
  readonly features: number;
  /** Entries start[f]…start[f + 1] − 1 belong to feature f. */
  readonly start: Uint32Array;
  readonly item: Uint32Array;
  readonly value: Float32Array;
}

/** The codes that are not 0, feature by feature. */
function columnsOf(codes: Codes): Columns {
  if (codes instanceof SparseCodes) {
    const { start, vector, value } = codes.byFeature();
    return { count: codes.count, features: codes.features, start, item: vector, value };
  }
  if (codes.shape.length !== 2) throw new RangeError(`featureAuroc: expected codes [n, features], got ${codes}`);
  const [count, features] = codes.shape as [number, number];
  const start = new Uint32Array(features + 1);
  for (let i = 0; i < codes.size; i++) if (codes.data[i] !== 0) start[(i % features) + 1]!++;
  for (let f = 0; f < features; f++) start[f + 1]! += start[f]!;
  const item = new Uint32Array(start[features]!);
  const value = new Float32Array(start[features]!);
  const next = start.slice(0, -1);
  for (let i = 0; i < codes.size; i++) {
    if (codes.data[i] === 0) continue;
    const to = next[i % features]!++;
    item[to] = Math.floor(i / features);
    value[to] = codes.data[i]!;
  }
  return { count, features, start, item, value };
}

function expectLabels(callee: string, labels: Labels, count: number): void {
  if (labels.length !== count) throw new RangeError(`${callee}: expected ${count} labels, one per item, got ${labels.length}`);
}
