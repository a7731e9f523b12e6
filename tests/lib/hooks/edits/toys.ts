import { type Activation, type Edit, HookedModel, type HookedRunOptions, type StepContext } from "../../../../lib/hooks/index.js";
import type { Model } from "../../../../lib/onnx/index.js";
import { GraphBuilder } from "../../../../lib/program/index.js";
import { float32, type Tensor } from "../../../../lib/tensor/index.js";
import { toyUnet } from "../toy-unet.js";

/** Two rows, two channels, 2×2 places: 0…15 with the last one −0. mid_block is −6x − 3, the output 10·(mid_block + 2x + 1). */
export const counted: Tensor<"float32"> = float32([...Array(15).keys(), -0], [2, 2, 2, 2]);

/**
 * Numbers on which careless arithmetic shows: −0, infinities, NaN, in every row and channel. The others have few digits, since
 * ONNX Runtime computes float16 graphs in float32 on the CPU and rounds only what is told to be float16.
 */
export const awkward: Tensor<"float32"> = float32(
  [-0, 1, Number.POSITIVE_INFINITY, -2, Number.NaN, -0, 3, 0.125].flatMap((v) => [v, v === 0 ? -0 : -v]),
  [2, 2, 2, 2],
);

export const guided: StepContext = { step: 3, timestep: 500, branches: ["uncond", "cond"] };

export const unet = (model: Model = toyUnet()): HookedModel =>
  new HookedModel(model, { inputShapes: { sample: ["batch", 2, 2, 2] }, maxSessions: 2 });

/** A sequence of 4 tokens through `ff` (2x), and attention scores of 2 heads, 4 queries and 3 keys through a softmax. */
export function sequences(): HookedModel {
  const g = new GraphBuilder({ name: "sequences" });
  const sequence = g.input("sequence", "float32", ["batch", 4, 2]);
  const scores = g.input("scores", "float32", ["batch", 2, 4, 3]);
  g.output(
    g.scope("ff", () => sequence.mul(2)),
    "doubled",
  );
  g.output(g.scope("attn", () => scores.softmax(-1)).mul(1), "weights");
  return new HookedModel(g.model());
}

/** Runs the U-Net and returns the numbers of one activation and of the output. */
export async function runUnet(
  model: HookedModel,
  x: Tensor,
  edits: readonly Edit[],
  { context = guided, at = "mid_block" }: { context?: StepContext; at?: string } = {},
): Promise<{ activation: Activation<Tensor<"float32">>; output: Tensor }> {
  const options: HookedRunOptions = { edits, context, capture: [at] };
  const { outputs, activations } = await model.run({ sample: x }, options);
  return { activation: activations[at] as Activation<Tensor<"float32">>, output: outputs.out_sample! };
}
