/** A curve as pairs of equally long arrays, as fine as a screen shows (float32). */
export interface Curve {
  readonly x: Float32Array;
  readonly y: Float32Array;
}

/** Numbers in any of the forms callers have them. */
export type Numbers = Float32Array | Float64Array | Int32Array | readonly number[];

/**
 * At most about `limit` points of a curve that look like all of them: from each stretch its lowest and its highest point.
 * The ends stay; non-finite values are left out.
 */
export function downsample(x: Numbers, y: Numbers, limit = 1000): Curve {
  if (x.length !== y.length)
    throw new RangeError(`downsample: x has ${x.length} values and y has ${y.length}; they must be equally many`);
  const finite: number[] = [];
  for (let i = 0; i < y.length; i++) if (Number.isFinite(y[i]) && Number.isFinite(x[i])) finite.push(i);
  let kept = finite;
  if (finite.length > limit) {
    const stretches = Math.max(1, Math.floor((limit - 2) / 2));
    const chosen = new Set([finite[0]!, finite.at(-1)!]);
    for (let s = 0; s < stretches; s++) {
      const from = Math.floor((s * finite.length) / stretches);
      const to = Math.floor(((s + 1) * finite.length) / stretches);
      let low = from;
      let high = from;
      for (let i = from; i < to; i++) {
        if (y[finite[i]!]! < y[finite[low]!]!) low = i;
        if (y[finite[i]!]! > y[finite[high]!]!) high = i;
      }
      chosen.add(finite[low]!).add(finite[high]!);
    }
    kept = [...chosen].sort((a, b) => a - b);
  }
  return { x: Float32Array.from(kept, (i) => x[i]!), y: Float32Array.from(kept, (i) => y[i]!) };
}

/**
 * A weighted mean around each point, with weights that fall by `decay` per step of distance on both sides: it
 * does not lag behind the curve as a running mean does. Non-finite values are passed over.
 */
export function smooth(y: Numbers, decay: number): Float64Array {
  const sums = new Float64Array(y.length);
  const weights = new Float64Array(y.length);
  const sweep = (from: number, to: number, step: number): void => {
    let sum = 0;
    let weight = 0;
    for (let i = from; i !== to; i += step) {
      const present = Number.isFinite(y[i]) ? 1 : 0;
      const value = present === 1 ? y[i]! : 0;
      // The point itself is met on both sweeps: each gives it half its weight.
      sums[i]! += decay * sum + 0.5 * value;
      weights[i]! += decay * weight + 0.5 * present;
      sum = decay * sum + value;
      weight = decay * weight + present;
    }
  };
  sweep(0, y.length, 1);
  sweep(y.length - 1, -1, -1);
  return sums.map((sum, i) => (weights[i]! > 0 ? sum / weights[i]! : Number.NaN));
}

/** Counts of values in `bins` equal bins over `range`; values outside go to the nearest end. */
export interface Histogram {
  readonly counts: Float64Array;
  /** Bin centres. */
  readonly centers: Float64Array;
  readonly width: number;
}

export function histogram(values: Numbers, bins: number, range?: readonly [number, number]): Histogram {
  let [low, high] = range ?? [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  if (range === undefined) {
    for (const v of values) {
      if (!Number.isFinite(v)) continue;
      low = Math.min(low, v);
      high = Math.max(high, v);
    }
    if (low > high) [low, high] = [0, 1];
  }
  if (low === high) [low, high] = [low - 0.5, high + 0.5];
  const width = (high - low) / bins;
  const counts = new Float64Array(bins);
  for (const v of values) {
    if (Number.isFinite(v)) counts[Math.min(bins - 1, Math.max(0, Math.floor((v - low) / width)))]! += 1;
  }
  return { counts, centers: Float64Array.from({ length: bins }, (_, i) => low + (i + 0.5) * width), width };
}
