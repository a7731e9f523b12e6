import type { Tensor } from "../tensor/tensor.js";
import type { Figure } from "./figure.js";
import { mapsOverPicture } from "./maps-over-picture.js";
import type { Picture } from "./picture.js";
import type { StepSeries } from "./stepper.js";

/** How much each place of the picture speaks for (above 0) or against (below 0) what was measured. */
export interface AttributionOverPicture extends StepSeries {
  readonly picture: Picture;
  readonly maps: readonly {
    /** The method, the hook point or the target. */
    readonly name: string;
    /** Float32 [y, x], or [step, y, x], at any resolution. */
    readonly map: Tensor;
  }[];
}

export interface AttributionOverPictureOptions {
  readonly title?: string;
  /** Says what is attributed, and by which method. */
  readonly subtitle?: string;
  /** What the maps hold, with unit; default "attribution". */
  readonly quantity?: string;
  /** One colour scale for all maps (default), or each map on its own: methods differ in size. */
  readonly scale?: "shared" | "each";
  /** On a shared scale, the size drawn strongest, in either sign; default the largest of all maps. */
  readonly reach?: number;
  /** Outlines where the size is at least this. */
  readonly threshold?: number;
  readonly columns?: number;
  /** Step shown first; default the last. */
  readonly start?: number;
}

/**
 * Signed attribution maps (gradient × activation, integrated gradients) over the picture, on one scale centred on zero.
 * @throws RangeError if there is no map, or one is not float32 [y, x] or [step, y, x] with finite values
 */
export function attributionOverPicture(attribution: AttributionOverPicture, options: AttributionOverPictureOptions = {}): Figure {
  const { title = "Attribution", quantity = "attribution", ...rest } = options;
  return mapsOverPicture({ where: "attributionOverPicture", title, quantity, signed: true, ...attribution, ...rest });
}
