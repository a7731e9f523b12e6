import type { TimestepLookup } from "../adapters.js";

/** The noise levels a network was trained on, by timestep. */
export interface NoiseSchedule extends TimestepLookup {
  /** ᾱ_t for t = 0…T−1, the share of the signal's variance in the state that the network sees. */
  readonly alphasCumprod: Float64Array;
  /** σ_t, ascending: √((1 − ᾱ_t) / ᾱ_t) of a variance-preserving process. */
  readonly sigmas: Float64Array;
  /** σ at a timestep that may lie between two whole ones: linear in σ. */
  sigmaAt(timestep: number): number;
}

/** Stands in for σ = ∞, where a process ends in pure noise: 1e-7 of the signal is left, and float64 still sees x₀. */
export const almostPureNoise = 1e7;

/**
 * The schedule of given ᾱ_t.
 * @param noSignal stands in for ᾱ = 0 of a zero-terminal-SNR schedule, where σ would be infinite
 */
export function noiseSchedule(alphasCumprod: Float64Array, noSignal: number = almostPureNoise ** -2): NoiseSchedule {
  const alphaBar = alphasCumprod.map((a) => (a > 0 ? a : noSignal));
  const sigmas = alphaBar.map((a) => Math.sqrt((1 - a) / a));
  const logSigmas = sigmas.map(Math.log);
  const last = sigmas.length - 1;
  return {
    alphasCumprod: alphaBar,
    sigmas,
    sigmaAt(timestep) {
      const low = Math.min(Math.max(Math.floor(timestep), 0), last);
      const high = Math.min(low + 1, last);
      return sigmas[low]! + Math.min(Math.max(timestep - low, 0), 1) * (sigmas[high]! - sigmas[low]!);
    },
    /** The timestep of σ, fractional: linear in log σ between the trained levels, clamped to them. */
    timestepOf(sigma) {
      const logSigma = Math.log(sigma);
      let low = 0;
      let high = last;
      while (high - low > 1) {
        const middle = (low + high) >> 1;
        if (logSigmas[middle]! <= logSigma) low = middle;
        else high = middle;
      }
      const fraction = (logSigma - logSigmas[low]!) / (logSigmas[high]! - logSigmas[low]!);
      return low + Math.min(Math.max(fraction, 0), 1) * (high - low);
    },
  };
}

/** A schedule whose timesteps are a function of σ; its lists hold the levels of `timesteps`, which rise in σ. */
export function continuousNoise(
  timesteps: Float64Array,
  process: Pick<NoiseSchedule, "sigmaAt" | "timestepOf"> & { readonly signal: (sigma: number) => number },
): NoiseSchedule {
  const sigmas = timesteps.map(process.sigmaAt);
  return { ...process, sigmas, alphasCumprod: sigmas.map((sigma) => process.signal(sigma) ** 2) };
}
