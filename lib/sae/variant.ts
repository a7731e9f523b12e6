import type { GraphBuilder, Value } from "../program/index.js";
import type { Tensor } from "../tensor/index.js";
import type { StepResult, TrainingSpec } from "../train/index.js";

/** What a sparse autoencoder is: enough, with its weights, to run it. */
export interface SaeConfig {
  /** Name of the variant, see `variants`. */
  readonly variant: string;
  /** Length of an activation vector, d. */
  readonly width: number;
  /** Number of features, F. */
  readonly features: number;
  /** Features kept per vector (TopK), or per vector on average (BatchTopK). */
  readonly k?: number;
  /**
   * Activations were multiplied by this for training, so that E‖x‖² = d. The weights have it folded in: they take and
   * give activations in their own units.
   */
  readonly scale: number;
}

/** What training needs to know beyond that. */
export interface SaeTrainingConfig extends SaeConfig {
  /** Weight α of the auxiliary loss; 0 leaves it out. */
  readonly auxCoefficient: number;
  /** What dead features' pre-activations pass through in the auxiliary loss: "relu" as in the paper, "linear" as in sparsify. */
  readonly auxActivation: "relu" | "linear";
  /** A feature is dead when it has not fired in this many vectors. */
  readonly deadAfter: number;
  /** Weight of the sparsity penalty (ReLU). */
  readonly sparsityCoefficient: number;
  /** Steps over which that weight rises from 0. */
  readonly sparsityWarmup: number;
}

/**
 * Weights by the names SAELens uses. Both matrices have one row per feature: row f of W_enc reads feature f from an
 * activation, row f of W_dec is the direction it writes. (In files W_enc is [d, F].)
 */
export interface SaeWeights {
  /** [F, d] */
  readonly W_enc: Tensor<"float32">;
  /** [F] */
  readonly b_enc: Tensor<"float32">;
  /** [F, d] */
  readonly W_dec: Tensor<"float32">;
  /** [d] */
  readonly b_dec: Tensor<"float32">;
  /** [F]; codes not above it are 0 (variants that threshold). */
  readonly threshold?: Tensor<"float32">;
}

/** The same weights as values of a graph. */
export type SaeValues = { readonly [name in keyof SaeWeights]: Value };

/** Values carried through training beside the weights. */
export type Carried = Readonly<Record<string, Value>>;

/**
 * One kind of sparse autoencoder. All share the decoder x̂ = z·W_dec + b_dec; a variant says how codes arise and how
 * they are trained. To add one: a file in `variants/` and its line in `variants/index.ts`.
 */
export interface SaeVariant {
  /** Architecture name in SAELens' configuration files. */
  readonly architecture: string;
  /** Norm of the decoder's rows at the start. */
  readonly decoderNorm: number;
  /** Whether the decoder's rows keep that norm: gradients along them are removed, rows rescaled after each update. */
  readonly fixedNorm: boolean;
  /** @throws RangeError if the configuration lacks what the variant needs */
  check(config: SaeConfig): void;
  /** Codes [n, F] of activations [n, d], in plain operators: runs anywhere, differentiable everywhere. */
  encode(g: GraphBuilder, x: Value, weights: SaeValues, config: SaeConfig): Value;
  /** State of training beside the weights, by name. */
  carried(config: SaeTrainingConfig): NonNullable<TrainingSpec["carried"]>;
  /** Loss of one step on activations [batch, d], with metrics `mse`, `l0`, `dead` (share) at least, and the carried values moved on. */
  step(g: GraphBuilder, x: Value, weights: SaeValues, carried: Carried, config: SaeTrainingConfig): StepResult;
  /** Further weights that inference needs, from what training carried. */
  finish?(carried: Readonly<Record<string, Tensor>>, config: SaeConfig): Pick<SaeWeights, "threshold">;
}

/** W_enc·(x − b_dec) + b_enc: pre-activations [n, F] of activations [n, d]. */
export function preActivations(g: GraphBuilder, x: Value, { W_enc, b_enc, b_dec }: SaeValues): Value {
  return g.gemm(x.sub(b_dec), W_enc, { transB: true, c: b_enc });
}

/** z·W_dec + b_dec: activations [n, d] from codes [n, F]. */
export function decode(g: GraphBuilder, codes: Value, { W_dec, b_dec }: SaeValues): Value {
  return g.gemm(codes, W_dec, { c: b_dec });
}

/** @throws RangeError unless k is a whole number within the features (or any number, where it is an average) */
export function checkK({ variant, k, features }: SaeConfig, whole = true): void {
  if (k === undefined || !(k > 0 && k <= features) || (whole && !Number.isInteger(k)))
    throw new RangeError(`${variant} SAE: k must be ${whole ? "a whole number " : ""}in 1…${features}, got ${k}`);
}
