/** The names that `scheduler_config.json` gives to β schedules. */
export type BetaSchedule = "linear" | "scaled_linear" | "squaredcos_cap_v2" | "exp" | "laplace" | "sigmoid";

export interface BetaOptions {
  readonly schedule: BetaSchedule;
  /** Training timesteps, usually 1000. */
  readonly count: number;
  /** First and last β; the schedules that are given by ᾱ have their own. */
  readonly start: number;
  readonly end: number;
}

/**
 * β₁…β_T, rounded to float32 as the training frameworks store them: a network knows the noise levels of those values.
 * @see linear: Ho et al. 2020, arXiv:2006.11239; scaled_linear: Rombach et al. 2022, arXiv:2112.10752;
 *   squaredcos_cap_v2: Nichol & Dhariwal 2021, arXiv:2102.09672, eq. 17; sigmoid: Xu et al. 2022, arXiv:2203.02923;
 *   laplace: Hang & Gu 2024, arXiv:2407.03297
 */
export function betas({ schedule, count, start, end }: BetaOptions): Float64Array {
  const beta: Record<BetaSchedule, (i: number) => number> = {
    linear: (i) => spaced(start, end, count, i),
    scaled_linear: (i) => spaced(Math.sqrt(start), Math.sqrt(end), count, i) ** 2,
    squaredcos_cap_v2: (i) => betaBetween(cosineAlphaBar, i, count),
    exp: (i) => betaBetween((time) => Math.exp(-12 * time), i, count),
    laplace: (i) => betaBetween(laplaceAlphaBar, i, count),
    sigmoid: (i) => start + (end - start) / (1 + Math.exp(-spaced(-6, 6, count, i))),
  };
  const rule = beta[schedule];
  if (!rule) {
    throw new RangeError(`betas: unknown beta_schedule "${schedule}"; expected one of ${Object.keys(beta).join(", ")}`);
  }
  return Float64Array.from({ length: count }, (_, i) => Math.fround(rule(i)));
}

/** β of step i of a schedule that is given by ᾱ over time 0…1, at most 0.999. */
function betaBetween(alphaBar: (time: number) => number, i: number, count: number): number {
  return Math.min(1 - alphaBar((i + 1) / count) / alphaBar(i / count), 0.999);
}

/** √(SNR/(1 + SNR)), log SNR having a Laplace distribution. */
function laplaceAlphaBar(time: number): number {
  const snr = Math.exp(-0.5 * Math.sign(0.5 - time || 1) * Math.log(1 - 2 * Math.abs(0.5 - time) + 1e-6));
  return Math.sqrt(snr / (1 + snr));
}

function cosineAlphaBar(time: number): number {
  return Math.cos(((time + 0.008) / 1.008) * (Math.PI / 2)) ** 2;
}

/** Element `i` of `count` evenly spaced float32 numbers. */
function spaced(start: number, end: number, count: number, i: number): number {
  return Math.fround(count === 1 ? start : start + ((end - start) * i) / (count - 1));
}

/** ᾱ_t = ∏ (1 − β_s), computed in float64 and rounded to float32 as it is stored. */
export function alphasCumprod(beta: ArrayLike<number>): Float64Array {
  let product = 1;
  return Float64Array.from(beta, (b) => {
    product *= Math.fround(1 - b);
    return Math.fround(product);
  });
}

/**
 * β rescaled so that the last timestep has no signal: √ᾱ is shifted to end at 0 and scaled to keep its first value.
 * @see Lin et al. 2023, arXiv:2305.08891, algorithm 1
 */
export function rescaleZeroTerminalSnr(beta: ArrayLike<number>): Float64Array {
  const signal = Array.from(alphasCumprod(beta), Math.sqrt);
  const first = signal[0]!;
  const last = signal.at(-1)!;
  const alphaBar = signal.map((s) => (((s - last) * first) / (first - last)) ** 2);
  return Float64Array.from(alphaBar, (a, i) => Math.fround(1 - (i === 0 ? a : a / alphaBar[i - 1]!)));
}
