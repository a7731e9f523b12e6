import { downsample, type Numbers } from "./downsample.js";
import { Figure } from "./figure.js";
import { axis, frame, legendAbove, logAxis, panelTitle } from "./layout.js";
import { ink } from "./palette.js";
import type { Trace } from "./plot-value.js";
import { numberText } from "./text.js";

export interface NoiseScheduleOptions {
  readonly title?: string;
  /** Timesteps that a sampler visits, marked on the curves. */
  readonly visited?: ArrayLike<number>;
}

/**
 * How much signal is left at every timestep: √ᾱ and √(1−ᾱ) on the left, signal-to-noise ratio ᾱ/(1−ᾱ) on the right.
 * @param alphasCumprod ᾱ per training timestep, each in 0…1
 * @throws RangeError if it is empty or a value lies outside 0…1
 */
export function noiseSchedule(alphasCumprod: Numbers, options: NoiseScheduleOptions = {}): Figure {
  const { title = "Noise schedule" } = options;
  const alphas = Float64Array.from(alphasCumprod);
  const outside = alphas.findIndex((a) => !(a >= 0 && a <= 1));
  if (alphas.length === 0 || outside >= 0) {
    throw new RangeError(
      `noiseSchedule: expected values in 0…1, got ${alphas.length === 0 ? "none" : `${alphas[outside]} at ${outside}`}`,
    );
  }
  const t = Float64Array.from(alphas.keys());
  const signal = alphas.map(Math.sqrt);
  const noise = alphas.map((a) => Math.sqrt(1 - a));
  const snr = alphas.map((a) => (a === 1 || a === 0 ? Number.NaN : a / (1 - a)));
  const line = (y: Numbers, name: string, color: string, n: string): Trace => ({
    type: "scatter",
    mode: "lines",
    ...downsample(t, y, 400),
    name,
    line: { color, width: 2 },
    xaxis: `x${n}`,
    yaxis: `y${n}`,
    showlegend: n === "",
    hovertemplate: "%{y:.4~g}",
  });
  const visited = options.visited === undefined ? [] : Array.from(options.visited);
  const marks = (y: Float64Array, color: string, n: string): Trace => ({
    type: "scatter",
    mode: "markers",
    x: visited,
    y: visited.map((step) => y[Math.round(step)]),
    marker: { color, size: 6 },
    name: "visited",
    xaxis: `x${n}`,
    yaxis: `y${n}`,
    showlegend: false,
    hoverinfo: "skip",
  });
  const half = snr.findIndex((r) => r < 1);
  return new Figure({
    data: [
      line(signal, "√ᾱ signal", ink.main, ""),
      line(noise, "√(1−ᾱ) noise", ink.bad, ""),
      line(snr, "ᾱ/(1−ᾱ)", ink.good, "2"),
      ...(visited.length === 0 ? [] : [marks(signal, ink.main, ""), marks(noise, ink.bad, ""), marks(snr, ink.good, "2")]),
    ],
    layout: {
      ...frame({
        title,
        subtitle: [
          `${alphas.length} timesteps`,
          `last ᾱ = ${numberText(alphas.at(-1))}`,
          ...(half > 0 ? [`as much noise as signal at t = ${half}`] : []),
          ...(visited.length > 0 ? [`${visited.length} visited, marked`] : []),
        ].join(" · "),
        height: 340,
        margin: { t: 92 },
      }),

      xaxis: axis("timestep t", { domain: [0, 0.44] }),
      yaxis: axis("share of amplitude", { range: [0, 1.03] }),
      xaxis2: axis("timestep t", { domain: [0.56, 1], anchor: "y2" }),
      yaxis2: logAxis("signal-to-noise ratio", ...ends(snr), { anchor: "x2" }),
      hovermode: "x unified",
      legend: { ...legendAbove, y: 1 },
      annotations: [panelTitle("Signal-to-noise ratio", "x2", "y2")],
    },
    summary: `${title}: ${alphas.length} timesteps, ᾱ from ${numberText(alphas[0])} to ${numberText(alphas.at(-1))}`,
  });
}

/** The smallest and largest finite value. */
function ends(values: Float64Array): [low: number, high: number] {
  const finite = values.filter(Number.isFinite);
  return [finite.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY), finite.reduce((a, b) => Math.max(a, b), 0)];
}
