import { Tensor } from "../../tensor/index.js";
import { clipDenoised } from "../clip.js";
import type { Denoised, Denoiser, Interval, NoiseSource, SamplerOptions, Step } from "../contracts.js";

/** What every sampler has: a state kept in float64 between model calls, checked noise levels, a way to stop. */
export class Trajectory {
  /** x₀ + σε at the current noise level. */
  readonly state: Float64Array;
  readonly #denoiser: Denoiser;
  readonly #shape: readonly number[];
  readonly #sigmas: Float64Array;
  readonly #options: SamplerOptions;

  /** @throws RangeError unless the noise levels are monotonic in the direction asked for and only the cleanest is 0 */
  constructor(
    denoiser: Denoiser,
    x: Tensor<"float32">,
    sigmas: Float64Array,
    options: SamplerOptions,
    direction: "falling" | "rising" = "falling",
  ) {
    const falling = direction === "falling" ? sigmas : sigmas.toReversed();
    const isMonotonic = falling.every((sigma, i) => i === 0 || sigma <= falling[i - 1]!);
    const isPositive = falling.every(
      (sigma, i) => Number.isFinite(sigma) && (sigma > 0 || (sigma === 0 && i === falling.length - 1)),
    );
    if (sigmas.length < 2 || !isMonotonic || !isPositive) {
      throw new RangeError(
        `sampler: expected two or more ${direction} noise levels, only the cleanest one 0, got [${sigmas.join(", ")}]`,
      );
    }
    this.state = Float64Array.from(x.data);
    this.#denoiser = denoiser;
    this.#shape = x.shape;
    this.#sigmas = sigmas;
    this.#options = options;
  }

  *intervals(): Generator<Interval> {
    for (let index = 0; index + 1 < this.#sigmas.length; index++) {
      yield { index, sigma: this.#sigmas[index]!, sigmaNext: this.#sigmas[index + 1]! };
    }
  }

  /** The denoiser's x̂₀ for `state` at `sigma`, before clipping. */
  async predict(sigma: number, state: Float64Array = this.state): Promise<Denoised> {
    this.#options.signal?.throwIfAborted();
    const denoised = await this.#denoiser(this.#tensor(state), sigma, this.#options.condition);
    if (denoised.size === state.length) return denoised;
    throw new RangeError(`sampler: the denoiser returned ${denoised} for a state of shape [${this.#shape.join(", ")}]`);
  }

  /** x̂₀ kept in range as the options say. */
  clip(denoised: Tensor<"float32">): Tensor<"float32"> {
    return this.#options.clip ? clipDenoised(denoised, this.#options.clip) : denoised;
  }

  async denoise(sigma: number, state?: Float64Array): Promise<Tensor<"float32">> {
    return this.clip(await this.predict(sigma, state));
  }

  /** ε̂ = (x − x̂₀)/σ, the slope dx/dσ of the probability flow. */
  slope(denoised: Tensor<"float32">, sigma: number, state: Float64Array = this.state): Float64Array {
    return state.map((value, i) => (value - denoised.data[i]!) / sigma);
  }

  /** ε̂ and x̂₀ at `sigma`, which may be 0 where the denoiser gives ε̂ itself. @throws RangeError where it does not */
  async epsilon(sigma: number): Promise<{ epsilon: ArrayLike<number>; denoised: Tensor<"float32"> }> {
    const { epsilon } = this.#denoiser;
    if (epsilon === undefined) {
      if (sigma === 0) {
        throw new RangeError("sampler: this denoiser gives no ε at σ = 0; start from a small positive level");
      }
      const predicted = await this.predict(sigma);
      return { epsilon: this.slope(predicted, sigma), denoised: this.clip(predicted) };
    }
    this.#options.signal?.throwIfAborted();
    const { data } = await epsilon(this.#tensor(this.state), sigma, this.#options.condition);
    return { epsilon: data, denoised: this.clip(this.#tensor(this.state.map((value, i) => value - sigma * data[i]!))) };
  }

  /** A linear step: `kept`·x + Σ weights[k]·terms[k], written to `state` if nothing else is given. */
  combine(
    kept: number,
    terms: readonly ArrayLike<number>[],
    weights: readonly number[],
    { from = this.state, to = this.state }: { readonly from?: Float64Array; readonly to?: Float64Array } = {},
  ): Float64Array {
    for (let i = 0; i < to.length; i++) {
      let value = kept === 0 ? 0 : kept * from[i]!;
      for (let k = 0; k < weights.length; k++) if (weights[k] !== 0) value += weights[k]! * terms[k]![i]!;
      to[i] = value;
    }
    return to;
  }

  /** Reports the step that has led to the current state, after `revise` has had its word. */
  step(interval: Interval, denoised: Tensor<"float32">): Step {
    const { timesteps, revise } = this.#options;
    const timestep = timesteps?.[interval.index];
    let x = this.#tensor(this.state);
    if (revise) {
      x = revise(x, interval);
      this.state.set(x.data);
    }
    return { ...interval, ...(timestep !== undefined && { timestep }), x, denoised };
  }

  /** Gaussian noise for every element of the state. @throws TypeError if no source was passed */
  noise(rng: NoiseSource | undefined): Float32Array {
    if (rng) return rng.normals(this.state.length);
    throw new TypeError("sampler: this sampler draws noise; pass a seeded source as options.rng, such as new Rng(seed)");
  }

  #tensor(state: Float64Array): Tensor<"float32"> {
    return new Tensor("float32", Float32Array.from(state), this.#shape);
  }
}

/**
 * σ' split into the part `down` that the old noise fills and the part `up` that new noise fills: down² + up² = σ'².
 * At eta = 1 the step samples the posterior q(x' | x, x̂₀); at 0 it is deterministic.
 */
export function splitNoise(sigma: number, sigmaNext: number, eta: number): { down: number; up: number } {
  const up = eta * sigmaNext * Math.sqrt(1 - (sigmaNext / sigma) ** 2);
  return { down: Math.sqrt(Math.max(sigmaNext ** 2 - up ** 2, 0)), up };
}
