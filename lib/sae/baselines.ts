import { GraphBuilder } from "../program/index.js";
import { beginTask, openSession } from "../runtime/index.js";
import { float32, Rng, symmetricEigen, type Tensor } from "../tensor/index.js";
import { ColumnSums, type SaeMetrics, UnexplainedVariance } from "./metrics.js";
import type { Sae } from "./sae.js";
import { type TrainSaeOptions, trainSae, untrainedSae } from "./train-sae.js";
import { chunksOf, sampleVectors, type VectorSource, type Vectors, vectorSource } from "./vector-source.js";

/** What an SAE must beat before its numbers mean anything. */
export interface SaeBaseline {
  readonly name: string;
  /** Mean over the seeds. */
  readonly fvu: number;
  /** Numbers, or features, used per vector. */
  readonly l0: number;
  /** Share of features that never fired on the evaluation data; absent where there are no features. */
  readonly deadFraction?: number;
  /** One FVU per seed, where chance plays a part. */
  readonly fvuBySeed?: readonly number[];
}

export interface SaeBaselineOptions {
  /** How the SAE that is to be judged was, or will be, trained; the shuffled baseline is trained the same way. */
  readonly training: TrainSaeOptions;
  /** Seeds of the baselines that depend on chance; default [0, 1, 2]. */
  readonly seeds?: readonly number[];
  /** Whether to train SAEs on shuffled data, one per seed: as long as the SAE itself takes. Default true */
  readonly shuffled?: boolean;
  onProgress?(done: string): void;
}

/**
 * Scores of simpler things on the evaluation data:
 * the mean of that data (FVU 1 by definition); the k leading principal components of the training data; an untrained
 * TopK SAE with random weights; and an SAE trained on shuffled data, in which every coordinate was permuted over the
 * vectors: the same marginal distributions with no structure between coordinates.
 */
export async function saeBaselines(data: Vectors, evaluation: Vectors, options: SaeBaselineOptions): Promise<SaeBaseline[]> {
  const { training, seeds = [0, 1, 2], shuffled = true, onProgress } = options;
  if (seeds.length === 0) throw new RangeError("saeBaselines: seeds is empty; give at least one, better three");
  const source = await vectorSource(data);
  const judged = await vectorSource(evaluation);
  const k = Math.min(source.width, Math.round(training.k ?? Math.min(32, training.features)));
  using task = beginTask("saeBaselines", { total: shuffled ? 3 : 2, unit: "baselines", told: onProgress });
  const baselines: SaeBaseline[] = [{ name: "mean predictor", fvu: 1, l0: 0 }];

  baselines.push({ name: `PCA, ${k} components`, fvu: await pcaFvu(source, judged, k), l0: k });
  task.at(1);
  onProgress?.("PCA");
  const untrained = (seed: number): Promise<Sae> => untrainedSae(source, { ...training, variant: "topk", k, seed });
  baselines.push(await overSeeds("random weights", seeds, judged, untrained));
  task.at(2);
  onProgress?.("random weights");
  if (shuffled) {
    const { checkpoint: _none, onProgress: _quiet, ...same } = training;
    const onShuffled = async (seed: number): Promise<Sae> =>
      trainSae(await shuffledColumns(source, new Rng([seed, 0x73687566])), { ...same, seed });
    baselines.push(await overSeeds("shuffled data", seeds, judged, onShuffled));
    onProgress?.("shuffled data");
  }
  return baselines;
}

async function overSeeds(
  name: string,
  seeds: readonly number[],
  evaluation: VectorSource,
  make: (seed: number) => Promise<Sae>,
): Promise<SaeBaseline> {
  const all: SaeMetrics[] = [];
  for (const seed of seeds) {
    await using sae = await make(seed);
    all.push(await sae.metrics(evaluation));
  }
  const mean = (of: (m: SaeMetrics) => number): number => all.reduce((sum, m) => sum + of(m), 0) / all.length;
  return {
    name,
    fvu: mean((m) => m.fvu),
    l0: mean((m) => m.l0),
    deadFraction: mean((m) => m.deadFraction),
    fvuBySeed: all.map((m) => m.fvu),
  };
}

/** The source's vectors with every coordinate permuted over them, each on its own. At most 2¹⁷ vectors are taken. */
export async function shuffledColumns(source: VectorSource, rng: Rng): Promise<Tensor<"float32">> {
  const vectors = await sampleVectors(source, 2 ** 17, rng.fork("sample"));
  const [count, width] = vectors.shape as [number, number];
  const out = new Float32Array(vectors.size);
  for (let column = 0; column < width; column++) {
    const order = rng.fork(column).permutation(count);
    for (let i = 0; i < count; i++) out[i * width + column] = vectors.data[order[i]! * width + column]!;
  }
  return float32(out, vectors.shape);
}

/** FVU, on the evaluation data, of projecting on the k leading principal components of the training data. */
export async function pcaFvu(training: VectorSource, evaluation: VectorSource, k: number): Promise<number> {
  const { mean, scatter } = await scatterOf(training);
  const { vectors } = symmetricEigen(scatter);
  const d = training.width;
  const components = float32(Float32Array.from(vectors.subarray(0, k * d)), [k, d]);
  const g = new GraphBuilder({ name: "pca" });
  const centred = g.input("x", "float32", ["n", d]).sub(g.constant(mean));
  const directions = g.constant(components);
  g.output(g.gemm(g.gemm(centred, directions, { transB: true }), directions).add(g.constant(mean)), "y");
  await using session = await openSession(g.model());
  const means = new ColumnSums();
  for await (const part of chunksOf(evaluation, 8192)) means.add(part);
  const variance = new UnexplainedVariance(means.means);
  for await (const part of chunksOf(evaluation, 8192))
    variance.add(part, (await session.run({ x: part })).y as Tensor<"float32">);
  return variance.fvu;
}

/** Mean, and Σ(x − mean)(x − mean)ᵀ, of a source's vectors. */
async function scatterOf(source: VectorSource): Promise<{ mean: Tensor<"float32">; scatter: Float64Array }> {
  const sums = new ColumnSums();
  for await (const part of chunksOf(source, 8192)) sums.add(part);
  const mean = float32(sums.means);
  const g = new GraphBuilder({ name: "scatter" });
  const centred = g.input("x", "float32", ["n", source.width]).sub(g.constant(mean));
  g.output(g.gemm(centred, centred, { transA: true }), "y");
  await using session = await openSession(g.model());
  const scatter = new Float64Array(source.width ** 2);
  for await (const part of chunksOf(source, 8192)) {
    const { data } = (await session.run({ x: part })).y as Tensor<"float32">;
    for (let i = 0; i < scatter.length; i++) scatter[i]! += data[i]!;
  }
  return { mean, scatter };
}
