import type { Tensor } from "../../tensor/index.js";
import type { Denoiser, SamplerOptions, Step } from "../contracts.js";
import { adamsBashforth } from "./multistep.js";
import { Trajectory } from "./trajectory.js";

export interface PndmOptions extends SamplerOptions {
  /** Starts with three Runge–Kutta steps of four calls; default false, one step of Heun's kind (PLMS). */
  readonly rungeKutta?: boolean;
  /** What is averaged over calls: ε̂ (default) or v, as a network that predicts v makes Diffusers do, which is of order 1. */
  readonly averaged?: "epsilon" | "v";
  /** Where a schedule does not step from each level to the next one, as Diffusers' does not with linspace spacing. */
  readonly grid?: PndmGrid;
}

/** The levels between timesteps. The variance-preserving state x/√(1+σ²) is carried from one level to another as it is. */
export interface PndmGrid {
  /** σ at a timestep, which may be below 0. */
  readonly sigmaAt: (timestep: number) => number;
  /** Timesteps of one step. */
  readonly stride: number;
}

/**
 * PNDM: the DDIM step with ε̂ averaged over the last four calls by Adams–Bashforth's weights (PLMS); errors fall as h².
 * One model call a step, one more in the first, or four in each of the first three with Runge–Kutta.
 * @see Liu et al. 2022, arXiv:2202.09778
 */
export async function* pndm(
  denoiser: Denoiser,
  x: Tensor<"float32">,
  sigmas: Float64Array,
  options: PndmOptions = {},
): AsyncGenerator<Step, void, undefined> {
  const path = new Trajectory(denoiser, x, sigmas, options);
  const { state } = path;
  const { averaged = "epsilon", grid, timesteps } = options;
  const steps = sigmas.length - 1;
  const level = (index: number, strides: number, otherwise: number): number =>
    grid && timesteps ? grid.sigmaAt(timesteps[index]! - Math.floor(strides * grid.stride)) : otherwise;
  let slopes: Float64Array[] = [];

  const predictAt = async (sigma: number, at: Float64Array) => {
    const denoised = await path.denoise(sigma, at);
    const epsilon = path.slope(denoised, sigma, at);
    if (averaged === "epsilon") return { denoised, slope: epsilon };
    return { denoised, slope: epsilon.map((e, i) => (e - sigma * denoised.data[i]!) / Math.sqrt(1 + sigma ** 2)) };
  };
  /** DDIM from `from` at `sigma` to `sigmaNext` with averaged slopes. */
  const transfer = (
    from: Float64Array,
    sigma: number,
    sigmaNext: number,
    terms: readonly Float64Array[],
    weights: readonly number[],
  ): Float64Array => {
    const slope = path.combine(0, terms, weights, { from, to: new Float64Array(from.length) });
    if (averaged === "v") {
      slope.forEach((v, i) => {
        slope[i] = v / Math.sqrt(1 + sigma ** 2) + (sigma * from[i]!) / (1 + sigma ** 2);
      });
    }
    return from.map((value, i) => value + (sigmaNext - sigma) * slope[i]!);
  };
  const carried = (from: Float64Array, sigma: number, to: number): Float64Array => {
    const factor = Math.sqrt((1 + to ** 2) / (1 + sigma ** 2));
    return factor === 1 ? from : from.map((value) => factor * value);
  };

  for (const interval of path.intervals()) {
    const { index, sigma, sigmaNext } = interval;
    const { denoised, slope } = await predictAt(sigma, state);
    slopes = [slope, ...slopes].slice(0, 4);
    const landing = level(index, 1, sigmaNext);
    if (options.rungeKutta && index < 3 && steps > 3) {
      const middle = level(index, 1 / 2, Math.sqrt(sigma * sigmaNext));
      const second = (await predictAt(middle, transfer(state, sigma, middle, [slope], [1]))).slope;
      const third = (await predictAt(middle, transfer(state, sigma, middle, [second], [1]))).slope;
      const fourth = (await predictAt(landing, transfer(state, sigma, landing, [third], [1]))).slope;
      const next = transfer(state, sigma, landing, [slope, second, third, fourth], [1 / 6, 1 / 3, 1 / 3, 1 / 6]);
      state.set(carried(next, landing, sigmaNext));
    } else if (index === 0 && steps > 1) {
      const ahead = carried(transfer(state, sigma, landing, [slope], [1]), landing, sigmaNext);
      const second = (await predictAt(sigmaNext, ahead)).slope;
      const takeoff = level(1, -1, sigma);
      state.set(transfer(carried(state, sigma, takeoff), takeoff, sigmaNext, [slope, second], [1 / 2, 1 / 2]));
    } else {
      state.set(carried(transfer(state, sigma, landing, slopes, adamsBashforth[slopes.length - 1]!), landing, sigmaNext));
    }
    yield path.step(interval, denoised);
  }
}
