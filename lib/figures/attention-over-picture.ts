import type { Tensor } from "../tensor/tensor.js";
import type { Figure } from "./figure.js";
import { mapsOverPicture } from "./maps-over-picture.js";
import type { Picture } from "./picture.js";
import type { StepSeries } from "./stepper.js";

/** Where the network looked for each word. */
export interface AttentionOverPicture extends StepSeries {
  readonly picture: Picture;
  readonly words: readonly {
    readonly word: string;
    /** Attention to the word, at least 0: float32 [y, x], or [step, y, x], at any resolution. */
    readonly map: Tensor;
  }[];
}

export interface AttentionOverPictureOptions {
  readonly title?: string;
  /** Says what the maps are means over: heads, layers, timesteps. */
  readonly subtitle?: string;
  /** What the maps hold, with unit; default "attention". */
  readonly quantity?: string;
  /** One colour scale for all words (default), or each word on its own: what a word looks at, however weakly. */
  readonly scale?: "shared" | "each";
  /** On a shared scale, the value drawn strongest; default the largest of all maps. */
  readonly max?: number;
  /** Outlines where attention is at least this: the word's mask. */
  readonly threshold?: number;
  readonly columns?: number;
  /** Step shown first; default the last. */
  readonly start?: number;
}

/**
 * Cross-attention maps over the picture, one panel per word, on one colour scale; a slider where maps have steps.
 * @throws RangeError if there is no word, or a map is not float32 [y, x] or [step, y, x] with finite values of at least 0
 * @see Tang et al. 2022, arXiv:2210.04885 (DAAM)
 */
export function attentionOverPicture(attention: AttentionOverPicture, options: AttentionOverPictureOptions = {}): Figure {
  const { picture, words, sigmas, timesteps } = attention;
  const { title = "Attention per word", quantity = "attention", max, ...rest } = options;
  for (const { word, map } of words) {
    const low = (map.data as Float32Array).find((v) => v < 0);
    if (low !== undefined) throw new RangeError(`attentionOverPicture: ${word} has ${low}; attention is at least 0`);
  }
  return mapsOverPicture({
    where: "attentionOverPicture",
    title,
    quantity,
    picture,
    maps: words.map(({ word, map }) => ({ name: word, map })),
    signed: false,
    reach: max,
    sigmas,
    timesteps,
    ...rest,
  });
}
