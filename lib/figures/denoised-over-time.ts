import { Figure } from "./figure.js";
import { cellGrid, gridAxes, imageTrace } from "./image-traces.js";
import { frame, label } from "./layout.js";
import { ink } from "./palette.js";
import { type Picture, type Pictures, picturesOf } from "./picture.js";
import type { PlotObject } from "./plot-value.js";
import { numberText } from "./text.js";

/** What the sampler held at every step, in sampling order. */
export interface DenoisingFilm {
  /** The model's estimate x̂₀ of the clean picture, one per step. */
  readonly denoised: Pictures;
  /** The noisy picture xₜ, one per step. */
  readonly noisy?: Pictures;
  /** Noise standard deviation σ per step. */
  readonly sigmas?: ArrayLike<number>;
  /** Discrete timestep per step. */
  readonly timesteps?: ArrayLike<number>;
}

export interface DenoisedOverTimeOptions {
  readonly title?: string;
  /** Float values shown as black and white; default [0, 1]. */
  readonly range?: readonly [number, number];
  /** Step shown first; default the last. */
  readonly start?: number;
}

const stripLength = 10;

/**
 * x̂₀ (and xₜ) over the sampling steps: a film with a slider and a play button over a strip of stills.
 * @throws RangeError if there is no step, or the series differ in length
 */
export function denoisedOverTime(film: DenoisingFilm, options: DenoisedOverTimeOptions = {}): Figure {
  const { title = "Denoising, step by step", range } = options;
  const denoised = picturesOf(film.denoised, range);
  const noisy = film.noisy === undefined ? undefined : picturesOf(film.noisy, range);
  const steps = denoised.length;
  if (steps === 0) throw new RangeError("denoisedOverTime: expected at least one step, got none");
  for (const [name, series] of Object.entries({ noisy, sigmas: film.sigmas, timesteps: film.timesteps })) {
    if (series !== undefined && series.length !== steps)
      throw new RangeError(`denoisedOverTime: ${name} has ${series.length} entries for ${steps} denoised pictures`);
  }
  const start = Math.min(steps - 1, options.start ?? steps - 1);
  const { width, height } = denoised[0]!;
  const films = noisy === undefined ? [denoised] : [denoised, noisy];

  const strip = stills(steps);
  const small = cellGrid({ count: strip.length, cellWidth: width, cellHeight: height, columns: stripLength, maxCell: 72 });
  const large = 288 / Math.max(width, height);
  const factor = large / small.zoom;
  const side = { width: width * factor, height: height * factor };
  const gap = 24 / small.zoom;
  const stripTop = side.height + 40 / small.zoom;
  const totalWidth = Math.max(small.width, films.length * (side.width + gap) - gap);
  const totalHeight = stripTop + small.height;
  const left = (series: number): number => series * (side.width + gap);
  const top = 16 / small.zoom;

  const placed = (picture: Picture, series: number, step: number): PlotObject =>
    imageTrace(picture, { left: left(series), top, ...side, hover: stepText(film, step) });
  const plotHeight = (totalHeight + top) * small.zoom;
  return new Figure({
    data: [
      ...films.map((series, k) => placed(series[start]!, k, start) as { type: string }),
      ...strip.map((step, i) =>
        imageTrace(denoised[step]!, {
          left: small.left(i),
          top: top + stripTop + small.top(i),
          hover: `x̂₀ · ${stepText(film, step)}`,
        }),
      ),
    ],
    frames: Array.from({ length: steps }, (_, step) => ({
      name: String(step),
      data: films.map((series, k) => placed(series[step]!, k, step)),
      traces: films.map((_, k) => k),
    })),
    layout: {
      ...frame({ title, height: Math.ceil(plotHeight) + 160, margin: { l: 12, r: 20, t: 48, b: 112 } }),
      ...gridAxes(totalWidth, totalHeight + top),
      annotations: [
        ...["x̂₀, the model's estimate of the clean picture", "xₜ, the noisy picture"]
          .slice(0, films.length)
          .map((text, k) => label(text, left(k), top, { xanchor: "left", yanchor: "bottom" })),
        label("x̂₀ from the first step to the last", 0, top + stripTop, { xanchor: "left", yanchor: "bottom" }),
      ],
      sliders: [slider(film, steps, start)],
      updatemenus: [playButtons(steps)],
    },
    summary: `${title}: ${steps} steps of ${width}×${height} pixels, ${stepText(film, 0)} to ${stepText(film, steps - 1)}`,
  });
}

/** Evenly chosen steps, first and last among them. */
function stills(steps: number): readonly number[] {
  const count = Math.min(stripLength, steps);
  return Array.from({ length: count }, (_, i) => (count === 1 ? 0 : Math.round((i * (steps - 1)) / (count - 1))));
}

function stepText(film: DenoisingFilm, step: number): string {
  const parts = [`step ${step}`];
  if (film.timesteps !== undefined) parts.push(`t = ${numberText(film.timesteps[step])}`);
  if (film.sigmas !== undefined) parts.push(`σ = ${numberText(film.sigmas[step])}`);
  return parts.join(" · ");
}

const still = { mode: "immediate", transition: { duration: 0 }, frame: { duration: 0, redraw: true } };

function slider(film: DenoisingFilm, steps: number, start: number): PlotObject {
  return {
    active: start,
    x: 0.16,
    len: 0.84,
    xanchor: "left",
    y: 0,
    yanchor: "top",
    pad: { t: 12, b: 0, l: 0, r: 0 },
    currentvalue: { xanchor: "left", offset: 12, font: { size: 13 } },
    bgcolor: ink.panel,
    activebgcolor: ink.main,
    bordercolor: ink.axis,
    tickcolor: ink.axis,
    transition: { duration: 0 },
    steps: Array.from({ length: steps }, (_, step) => ({
      label: stepText(film, step),
      method: "animate",
      args: [[String(step)], still],
    })),
    minorticklen: 0,
    font: { size: 1, color: "rgba(0,0,0,0)" },
  };
}

function playButtons(steps: number): PlotObject {
  const duration = Math.round(Math.min(400, Math.max(60, 4000 / steps)));
  return {
    type: "buttons",
    direction: "left",
    showactive: false,
    x: 0,
    xanchor: "left",
    y: 0,
    yanchor: "top",
    pad: { t: 36, r: 8 },
    bgcolor: ink.panel,
    bordercolor: ink.axis,
    buttons: [
      {
        label: "▶",
        method: "animate",
        args: [null, { fromcurrent: false, transition: { duration: 0 }, frame: { duration, redraw: true }, mode: "immediate" }],
      },
      { label: "❚❚", method: "animate", args: [[null], still] },
    ],
  };
}
