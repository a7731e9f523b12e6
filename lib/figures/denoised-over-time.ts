import type { Figure } from "./figure.js";
import { film } from "./film.js";
import { type Pictures, picturesOf } from "./picture.js";
import { expectSteps, type StepSeries, shortStepTexts, stepTexts } from "./stepper.js";

/** What the sampler held at every step, in sampling order. */
export interface DenoisingFilm extends StepSeries {
  /** The model's estimate x̂₀ of the clean picture, one per step. */
  readonly denoised: Pictures;
  /** The noisy picture xₜ, one per step. */
  readonly noisy?: Pictures;
}

export interface DenoisedOverTimeOptions {
  readonly title?: string;
  readonly subtitle?: string;
  /** Float values shown as black and white; default [0, 1]. */
  readonly range?: readonly [number, number];
  /** Step shown first; default the last. */
  readonly start?: number;
}

/**
 * x̂₀ (and xₜ) over the sampling steps: a film with slider, play button and keys over strips of stills.
 * @throws RangeError if there is no step, or the series differ in length
 */
export function denoisedOverTime(run: DenoisingFilm, options: DenoisedOverTimeOptions = {}): Figure {
  const { title = "Denoising, step by step", subtitle, range, start } = options;
  const denoised = picturesOf(run.denoised, range);
  const noisy = run.noisy === undefined ? undefined : picturesOf(run.noisy, range);
  const steps = denoised.length;
  expectSteps("denoisedOverTime", steps, run);
  if (noisy !== undefined && noisy.length !== steps)
    throw new RangeError(`denoisedOverTime: noisy has ${noisy.length} entries for ${steps} denoised pictures`);
  const texts = stepTexts(steps, run);
  const { width, height } = denoised[0]!;
  return film({
    title,
    subtitle,
    panels: [
      { name: "x̂₀, the model's estimate of the clean picture", stripName: "x̂₀", pictures: denoised },
      ...(noisy === undefined ? [] : [{ name: "xₜ, the noisy picture", stripName: "xₜ", pictures: noisy }]),
    ],
    columns: 2,
    texts,
    shortTexts: shortStepTexts(steps, run),
    start,
    summary: `${title}: ${steps} steps of ${width}×${height} pixels, ${texts[0]} to ${texts.at(-1)}`,
  });
}
