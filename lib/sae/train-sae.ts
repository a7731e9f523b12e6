import type { GraphBuilder } from "../program/index.js";
import { beginTask, type Device, defaultDevice, environment, type SessionOptions } from "../runtime/index.js";
import { float32, Rng, type Tensor, tensorDigest } from "../tensor/index.js";
import {
  adamw,
  cooldownRate,
  type Optimizer,
  runTraining,
  type Schedule,
  type StepReports,
  type TrainingSpec,
  withWarmup,
} from "../train/index.js";
import { Sae, type SaeManifest, type TrainingHistory } from "./sae.js";
import { geometricMedian, normalizingScale, startWeights } from "./start-weights.js";
import type { SaeTrainingConfig, SaeValues, SaeVariant, SaeWeights } from "./variant.js";
import { type VariantName, variantOf } from "./variants/index.js";
import { sampleVectors, shuffledBatches, type VectorSource, type Vectors, vectorSource } from "./vector-source.js";

/** What is known after a run of some steps. */
export interface SaeProgress {
  readonly step: number;
  readonly steps: number;
  readonly loss: number;
  /** Mean squared error per number, of normalised activations. */
  readonly mse: number;
  readonly l0: number;
  /** Share of features that have not fired in the last `deadAfter` vectors. */
  readonly dead: number;
  readonly msPerStep: number;
}

export interface TrainSaeOptions {
  /** Number of features, F. */
  readonly features: number;
  /** Features kept per vector; needed by "topk" (default 32) and "batch-topk". */
  readonly k?: number;
  /** Default "topk". */
  readonly variant?: VariantName;
  /** Steps, rounded up to whole runs of `stepsPerRun`; default 2 million vectors' worth. Or say `tokens`. */
  readonly steps?: number;
  /** Vectors to train on, counting repeats. */
  readonly tokens?: number;
  /** Vectors per step; default 1024, or all if there are fewer. */
  readonly batchSize?: number;
  /** Default 2e-4 / √(F / 2¹⁴). */
  readonly learningRate?: number;
  /** Steps over which the learning rate rises from 0; default 1000, at most a tenth of all. */
  readonly warmup?: number;
  /** Steps at the end over which it falls to 0; default a fifth of all. */
  readonly cooldown?: number;
  /** Norm to which gradients are clipped; default 1, 0 for none. */
  readonly clipNorm?: number;
  /** Default Adam with ε = 6.25e-10, as in arXiv:2406.04093: a rare feature's gradients are small. */
  readonly optimizer?: Optimizer;
  /** Weight of the loss that revives dead features; default 1/32. */
  readonly auxCoefficient?: number;
  /** What dead features' pre-activations pass through in it; default "relu". */
  readonly auxActivation?: "relu" | "linear";
  /** Vectors without firing after which a feature is dead; default 10 million, or the number of vectors if smaller. */
  readonly deadAfter?: number;
  /** λ of the L1 penalty ("relu"); default 5. */
  readonly sparsityCoefficient?: number;
  /** Factor on activations while training; default that which makes E‖x‖² = d. It is folded into the weights. */
  readonly scale?: number;
  /** Start weights, for normalised activations; default drawn from `seed`. */
  readonly start?: SaeWeights;
  readonly seed?: number;
  /** Vectors in the order they lie, epoch after epoch, instead of shuffled. */
  readonly inOrder?: boolean;
  /** Steps per run of the graph: between runs progress is told and an interrupt heard. Default 20 */
  readonly stepsPerRun?: number;
  /** File from which training goes on if it exists, written now and then and at the end. */
  readonly checkpoint?: string;
  readonly checkpointEvery?: number;
  readonly signal?: AbortSignal;
  onProgress?(progress: SaeProgress): void;
  readonly session?: SessionOptions;
}

/**
 * Trains a sparse autoencoder on activation vectors. The same data, options and seed give the same SAE, resumed or not.
 * @throws RangeError on impossible options; the signal's reason when interrupted, after the checkpoint was written
 * @example
 * import { collect, load, trainSae } from "tweedie";
 *
 * const acts = await collect(await load("shapes"), "a red circle", { at: "up_blocks.1", steps: 4 });
 * const sae = await trainSae(acts, { features: 64, k: 8, steps: 100, batchSize: 256, seed: 0 });
 * const { fvu, l0 } = await sae.metrics(acts);
 */
export async function trainSae(data: Vectors, options: TrainSaeOptions): Promise<Sae> {
  const plan = await planOf(await vectorSource(data), options);
  const { source, variant, config, batchSize, steps, rng } = plan;
  const order = options.inOrder
    ? (step: number) => Uint32Array.from({ length: batchSize }, (_, i) => (step * batchSize + i) % source.count)
    : shuffledBatches(source.count, batchSize, rng.fork("order"));
  const { checkpoint, checkpointEvery, signal, session = {} } = options;
  const curves = new Curves();
  using task = beginTask("trainSae", { total: steps, told: options.onProgress });
  const trainer = await runTraining(trainingSpec(variant, config, batchSize, options), {
    steps,
    learningRate: plan.learningRate,
    weights: { ...plan.start },
    session,
    batch: async (step) => ({ x: scaled(await source.rows(order(step)), config.scale) }),
    ...(checkpoint === undefined ? {} : { checkpoint }),
    ...(checkpointEvery === undefined ? {} : { checkpointEvery }),
    ...(signal === undefined ? {} : { signal }),
    onProgress({ step, reports, msPerStep }) {
      curves.add(step, reports);
      task.at(step, `loss ${curves.last.loss.toPrecision(3)}`);
      options.onProgress?.({ step, steps, ...curves.last, msPerStep });
    },
  });
  try {
    const trained = (await trainer.weights()) as Record<keyof SaeWeights, Tensor<"float32">>;
    const further = variant.finish?.(await trainer.carried(), config) ?? {};
    const { source: data, manifest: training } = plan;
    const manifest = manifestOf(data, training, trainer.device);
    return saeOf(config, { ...trained, ...further }, { history: curves.history(config.deadAfter), manifest }, session);
  } finally {
    await trainer.close();
  }
}

/** The SAE as it is before the first step of `trainSae` with the same options: random weights. TopK and ReLU only. */
export async function untrainedSae(data: Vectors, options: TrainSaeOptions): Promise<Sae> {
  const { source, config, start, manifest } = await planOf(await vectorSource(data), options);
  const untrained = { ...manifest, steps: 0 };
  return saeOf(config, start, { manifest: manifestOf(source, untrained, await defaultDevice()) }, options.session);
}

function saeOf(
  config: SaeTrainingConfig,
  weights: SaeWeights,
  origin: { readonly history?: TrainingHistory; readonly manifest: SaeManifest },
  session?: SessionOptions,
): Sae {
  const { variant, width, features, k, scale } = config;
  return new Sae(
    { variant, width, features, ...(k === undefined ? {} : { k }), scale },
    foldScale(weights, scale),
    origin,
    session,
  );
}

function manifestOf(
  { count, width, manifest: source }: VectorSource,
  training: SaeManifest["training"],
  device: Device,
): SaeManifest {
  const data = { count, width, ...(source === undefined ? {} : { source }) };
  return { data, training, environment: environment(device) };
}

const watched = ["loss", "mse", "l0", "dead"] as const;

/** Numbers reported step by step. */
class Curves {
  private firstStep: number | undefined;
  private readonly values: Record<(typeof watched)[number], number[]> = { loss: [], mse: [], l0: [], dead: [] };

  /** @param step steps done, the reported ones included */
  add(step: number, reports: StepReports): void {
    this.firstStep ??= step - reports.loss!.length;
    for (const name of watched) this.values[name].push(...reports[name]!);
  }

  get last(): Record<(typeof watched)[number], number> {
    const { loss, mse, l0, dead } = this.values;
    return { loss: loss.at(-1)!, mse: mse.at(-1)!, l0: l0.at(-1)!, dead: dead.at(-1)! };
  }

  history(deadAfter: number): TrainingHistory {
    const { loss, mse, l0, dead } = this.values;
    const curve = (values: readonly number[]): Float32Array => Float32Array.from(values);
    return { loss: curve(loss), mse: curve(mse), l0: curve(l0), dead: curve(dead), deadAfter, firstStep: this.firstStep ?? 0 };
  }
}

interface Plan {
  readonly source: VectorSource;
  readonly variant: SaeVariant;
  readonly config: SaeTrainingConfig;
  readonly batchSize: number;
  readonly steps: number;
  readonly learningRate: Schedule;
  /** For normalised activations. */
  readonly start: SaeWeights;
  readonly rng: Rng;
  /** All of this in plain JSON. */
  readonly manifest: SaeManifest["training"];
}

/** Fills in the defaults, from a look at the data where they depend on it. @throws RangeError on options that cannot be */
async function planOf(source: VectorSource, options: TrainSaeOptions): Promise<Plan> {
  const { count, width } = source;
  const { features, variant: name = "topk", batchSize = Math.min(1024, count) } = options;
  whole("features", features);
  whole("batchSize", batchSize);
  const variant = variantOf(name);
  const steps = options.steps ?? Math.ceil((options.tokens ?? 2_000_000) / batchSize);
  whole("steps", steps);
  const k = options.k ?? (name === "relu" ? undefined : Math.min(32, features));
  const { warmup = Math.min(1000, Math.ceil(steps / 10)), cooldown = Math.ceil(steps / 5) } = options;
  const { learningRate: peak = 2e-4 / Math.sqrt(features / 2 ** 14) } = options;
  const { seed = 0, clipNorm = 1, inOrder = false } = options;
  const rng = new Rng([seed, 0x736165]);
  const sample = await sampleVectors(source, 8192, rng.fork("sample"));
  const scale = options.scale ?? normalizingScale(sample);
  const config: SaeTrainingConfig = {
    variant: name,
    width,
    features,
    ...(k === undefined ? {} : { k }),
    scale,
    auxCoefficient: options.auxCoefficient ?? 1 / 32,
    auxActivation: options.auxActivation ?? "relu",
    deadAfter: options.deadAfter ?? Math.min(10_000_000, count),
    sparsityCoefficient: options.sparsityCoefficient ?? 5,
    sparsityWarmup: Math.ceil(steps / 20),
  };
  variant.check(config);
  const falling: Schedule = cooldown > 0 ? cooldownRate(peak, steps, cooldown) : () => peak;
  const learningRate = warmup > 0 ? withWarmup(warmup, falling) : falling;
  const start = options.start ?? startWeights(variant, features, geometricMedian(scaled(sample, scale)), rng.fork("start"));
  const manifest = {
    ...config,
    ...{ steps, batchSize, learningRate: peak, warmup, cooldown, clipNorm, inOrder, seed },
    ...(options.start === undefined ? {} : { start: tensorDigest(...Object.values(options.start)) }),
    ...(options.optimizer === undefined ? {} : { optimizer: options.optimizer.name }),
  };
  return { source, variant, config, batchSize, steps, learningRate, start, rng, manifest };
}

function whole(name: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 1)
    throw new RangeError(`trainSae: ${name} must be a whole number ≥ 1, got ${value}`);
}

/** The training graph's contents: the variant's step, and the decoder's rows held at their norm. */
export function trainingSpec(
  variant: SaeVariant,
  config: SaeTrainingConfig,
  batchSize: number,
  {
    optimizer = adamw({ epsilon: 6.25e-10 }),
    clipNorm = 1,
    stepsPerRun = 20,
  }: Pick<TrainSaeOptions, "optimizer" | "clipNorm" | "stepsPerRun"> = {},
): TrainingSpec {
  const { width, features } = config;
  const parameters = (g: GraphBuilder): SaeValues => {
    const declare = (name: string, shape: readonly number[]) => g.parameter(name, shape, { kind: "constant", value: 0 });
    return {
      W_enc: declare("W_enc", [features, width]),
      b_enc: declare("b_enc", [features]),
      W_dec: declare("W_dec", [features, width]),
      b_dec: declare("b_dec", [width]),
    };
  };
  return {
    inputs: { x: { dtype: "float32", shape: [batchSize, width] } },
    carried: variant.carried(config),
    loss: (g, { x }, carried) => variant.step(g, x!, parameters(g), carried, config),
    optimizer,
    stepsPerRun,
    ...(clipNorm > 0 ? { clipNorm } : {}),
    ...(variant.fixedNorm ? fixedDecoderNorm(width, variant.decoderNorm) : {}),
  };
}

/** Removes gradients along the decoder's rows and brings the rows back to their norm after each update. */
function fixedDecoderNorm(width: number, norm: number): Pick<TrainingSpec, "adjustGradient" | "project"> {
  return {
    adjustGradient: (_g, name, gradient, weight) =>
      name === "W_dec"
        ? gradient.sub(
            gradient
              .mul(weight)
              .sum([1], true)
              .mul(weight)
              .mul(1 / norm ** 2),
          )
        : gradient,
    // Dividing rows by their root mean square is the fastest way the runtime has to rescale them.
    project(g, name, weight) {
      if (name !== "W_dec") return weight;
      const gain = g.shared(`rowNorm:${norm}/${width}`, () => float32(new Float32Array(width).fill(norm / Math.sqrt(width))));
      return g.op("SimplifiedLayerNormalization", [weight, gain], { axis: -1, epsilon: { type: "float", value: 1e-12 } });
    },
  };
}

/** Weights for activations in their own units from weights for scaled ones; codes stay the same. */
function foldScale(weights: SaeWeights, scale: number): SaeWeights {
  return {
    ...weights,
    W_enc: scaled(weights.W_enc, scale),
    W_dec: scaled(weights.W_dec, 1 / scale),
    b_dec: scaled(weights.b_dec, 1 / scale),
  };
}

function scaled(tensor: Tensor<"float32">, factor: number): Tensor<"float32"> {
  return factor === 1
    ? tensor
    : float32(
        tensor.data.map((x) => x * factor),
        tensor.shape,
      );
}
