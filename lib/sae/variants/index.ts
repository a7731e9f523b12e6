import type { SaeVariant } from "../variant.js";
import { batchTopK } from "./batch-topk.js";
import { relu } from "./relu.js";
import { topk } from "./topk.js";

export type VariantName = "topk" | "batch-topk" | "relu";

/** Every kind of sparse autoencoder, by name. */
export const variants: Readonly<Record<VariantName, SaeVariant>> = { topk, "batch-topk": batchTopK, relu };

/** The variant of that name. @throws RangeError if there is none */
export function variantOf(name: string): SaeVariant {
  if (!Object.hasOwn(variants, name))
    throw new RangeError(`SAE variant "${name}" is not known; choose one of ${Object.keys(variants).join(", ")}`);
  return variants[name as VariantName];
}
