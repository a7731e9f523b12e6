import type { Tensor } from "../tensor/index.js";

/** How well and how sparsely an SAE explains activations it was given. */
export interface SaeMetrics {
  /** Vectors evaluated; dead features and firing rates refer to this many. */
  readonly tokens: number;
  /** Fraction of variance unexplained: Σ‖x − x̂‖² / Σ‖x − μ‖², μ the mean over all these vectors. */
  readonly fvu: number;
  /** 1 − FVU. */
  readonly explainedVariance: number;
  /** Mean squared error per number. */
  readonly mse: number;
  /** Mean number of features firing (code > 0) per vector. */
  readonly l0: number;
  /** Features firing, vector by vector. */
  readonly l0PerToken: Float32Array;
  /** Share of features that never fired in these `tokens` vectors. */
  readonly deadFraction: number;
  /** Share of vectors on which each feature fires [F]. */
  readonly firingRates: Float64Array;
  readonly density: DensityHistogram;
}

/** How often features fire, on a logarithmic scale. */
export interface DensityHistogram {
  /** Edges of the bins in log10 of the firing rate, one more than there are bins; the last is 0 (always). */
  readonly edges: Float64Array;
  /** Features per bin. */
  readonly counts: Uint32Array;
  /** Features that never fired, which have no logarithm. */
  readonly dead: number;
}

/** log10 firing rates in bins, from one firing in `tokens` up to always. */
export function densityHistogram(firingRates: ArrayLike<number>, tokens: number, binsPerDecade = 5): DensityHistogram {
  const decades = Math.max(1, Math.ceil(Math.log10(tokens)));
  const bins = decades * binsPerDecade;
  const counts = new Uint32Array(bins);
  let dead = 0;
  for (let f = 0; f < firingRates.length; f++) {
    const rate = firingRates[f]!;
    if (rate <= 0) dead++;
    else counts[Math.min(bins - 1, Math.max(0, Math.floor((Math.log10(rate) + decades) * binsPerDecade)))]!++;
  }
  return { edges: Float64Array.from({ length: bins + 1 }, (_, i) => i / binsPerDecade - decades), counts, dead };
}

/**
 * Sums from which the variance left unexplained follows. The mean is that of all vectors to be added, known before.
 * Everything is summed in float64, vector by vector; the mean is kept at float32 like any prediction, so that
 * predicting it scores an explained variance of exactly 0.
 */
export class UnexplainedVariance {
  private readonly mean: Float32Array;
  private residual = 0;
  private total = 0;
  private numbers = 0;

  constructor(mean: Float32Array) {
    this.mean = mean;
  }

  /** @param x vectors [n, d] @param prediction of the same shape */
  add(x: Tensor<"float32">, prediction: Tensor<"float32">): void {
    const d = this.mean.length;
    if (x.shape[1] !== d || prediction.shape.join() !== x.shape.join())
      throw new RangeError(`UnexplainedVariance.add: expected two [n, ${d}] of one shape, got ${x} and ${prediction}`);
    for (let i = 0; i < x.size; i++) {
      this.residual += (x.data[i]! - prediction.data[i]!) ** 2;
      this.total += (x.data[i]! - this.mean[i % d]!) ** 2;
    }
    this.numbers += x.size;
  }

  /** NaN when the vectors do not vary. */
  get fvu(): number {
    return this.total === 0 ? Number.NaN : this.residual / this.total;
  }

  get mse(): number {
    return this.residual / this.numbers;
  }
}

/**
 * Fraction of variance unexplained by predictions of vectors, both [n, d]: Σ‖x − x̂‖² / Σ‖x − μ‖² with μ the
 * per-dimension mean over all n. The mean predictor scores exactly 1.
 */
export function fvu(x: Tensor<"float32">, prediction: Tensor<"float32">): number {
  const sums = new UnexplainedVariance(columnMeans([x]));
  sums.add(x, prediction);
  return sums.fvu;
}

/** Mean of each column over matrices [m, d] with the same columns, summed in float64. */
export function columnMeans(parts: Iterable<Tensor<"float32">>): Float32Array {
  const sums = new ColumnSums();
  for (const part of parts) sums.add(part);
  return sums.means;
}

/** Running sums of columns. */
export class ColumnSums {
  private sums = new Float64Array(0);
  private count = 0;

  add({ data, shape }: Tensor<"float32">): void {
    const d = shape[1]!;
    if (this.count === 0) this.sums = new Float64Array(d);
    for (let i = 0; i < data.length; i++) this.sums[i % d]! += data[i]!;
    this.count += shape[0]!;
  }

  get means(): Float32Array {
    return Float32Array.from(this.sums, (s) => s / this.count);
  }
}
