import { embed, type GraphBuilder, type Value } from "../../program/index.js";
import { fromLatentsIn } from "./latent-space.js";
import type { Pipeline } from "./pipeline.js";

/** In a graph: the picture in −1…1 that a pipeline's decoder makes of latents, float32, not clipped so that gradients go on. */
export function decoded(g: GraphBuilder, { vaeDecoder, latentSpace }: Pipeline, latents: Value): Value {
  if (vaeDecoder === undefined) return latents;
  const unscaled = fromLatentsIn(latents, latentSpace);
  const outputs = embed(g, vaeDecoder.model, { [vaeDecoder.inputs[0]!.name]: unscaled }, "decoder");
  return outputs[vaeDecoder.outputs[0]!.name]!.cast("float32");
}
