import type { Tensor } from "../tensor/index.js";
import type { Clip } from "./clip.js";

/** What a network is conditioned on: its extra inputs by name, each with the batch first (`encoder_hidden_states`, …). */
export type Condition = Readonly<Record<string, Tensor>>;

/**
 * A network as it was trained: its input, a timestep and a condition give its prediction (ε, v, x₀, a velocity, …),
 * all float32 [batch, …]. `denoiserFrom` makes a Denoiser of it.
 */
export type Predictor = (input: Tensor<"float32">, timestep: number, condition?: Condition) => Promise<Tensor<"float32">>;

/** x̂₀, and what a network that learns the reverse variance says of it: as many numbers, in its own terms. */
export type Denoised = Tensor<"float32"> & { readonly variance?: Tensor<"float32"> };

/**
 * The one seam between models and samplers: x̂₀ = E[x₀ | x, σ] for a state x = x₀ + σε, float32 [batch, …].
 * @see Karras et al. 2022, arXiv:2206.00364, eq. 2–3
 */
export interface Denoiser {
  (x: Tensor<"float32">, sigma: number, condition?: Condition): Promise<Denoised>;
  /** ε̂ = (x − x̂₀)/σ, where the network gives it without dividing by σ; inversion from σ = 0 needs it. */
  readonly epsilon?: (x: Tensor<"float32">, sigma: number, condition?: Condition) => Promise<Tensor<"float32">>;
}

/** Where a sampler's noise comes from; an `Rng` or a `TorchGenerator`. */
export interface NoiseSource {
  normals(n: number): Float32Array;
}

export interface SamplerOptions {
  /** Passed to the denoiser. */
  readonly condition?: Condition;
  /** Stops the sampler before its next model call, with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Keeps x̂₀ in range. */
  readonly clip?: Clip;
  /** The discrete timestep of each sigma but the last, to label the steps with. */
  readonly timesteps?: Float64Array;
  /** Has the last word on the state after each step, before it is reported and before the next one: inpainting puts back what is known. */
  readonly revise?: (x: Tensor<"float32">, interval: Interval) => Tensor<"float32">;
}

/** One interval of the noise levels. */
export interface Interval {
  readonly index: number;
  readonly sigma: number;
  readonly sigmaNext: number;
}

/** One step of a sampler, from `sigma` to `sigmaNext`. */
export interface Step extends Interval {
  readonly timestep?: number;
  /** The state after the step, x₀ + sigmaNext·ε. */
  readonly x: Tensor<"float32">;
  /** x̂₀ as predicted at `sigma`. */
  readonly denoised: Tensor<"float32">;
}

/**
 * Walks a state from sigmas[0] down to the last sigma, one Step per interval; the last step's `x` is the sample.
 * `x` is x₀ + sigmas[0]·ε, or pure noise of that scale, and is not changed.
 */
export type Sampler<Options extends SamplerOptions = SamplerOptions> = (
  denoiser: Denoiser,
  x: Tensor<"float32">,
  sigmas: Float64Array,
  options: Options,
) => AsyncGenerator<Step, void, undefined>;
