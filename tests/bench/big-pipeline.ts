import type { Model } from "../../lib/onnx/index.js";
import { clipText, GraphBuilder, initialize, vaeDecoder } from "../../lib/program/index.js";
import { Rng } from "../../lib/tensor/index.js";
import { writeFolder } from "../lib/diffusion/closed-form/folder.js";
import { bigUNet } from "./big-unet.js";

const text = {
  vocab_size: 49408,
  hidden_size: 256,
  intermediate_size: 512,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  max_position_embeddings: 77,
};
const vae = {
  in_channels: 3,
  out_channels: 3,
  latent_channels: 4,
  block_out_channels: [32, 64],
  layers_per_block: 1,
  norm_num_groups: 8,
  sample_size: 32,
  scaling_factor: 0.18215,
};

/** A Stable Diffusion folder around the big U-Net, of random weights: pictures of 32×32 from latents of 16×16. */
export async function writeBigPipeline(folder: string): Promise<void> {
  await writeFolder(folder, {
    index: { _class_name: "StableDiffusionPipeline" },
    networks: {
      unet: { model: bigUNet(), config: { in_channels: 4, out_channels: 4, sample_size: 16 } },
      text_encoder: {
        config: text,
        model: network("text_encoder", (g) => {
          const tokens = g.input("input_ids", "int64", ["batch", text.max_position_embeddings]);
          g.output(clipText(g, text, tokens).lastHiddenState, "last_hidden_state");
        }),
      },
      vae_decoder: {
        config: vae,
        model: network("vae_decoder", (g) => {
          g.output(vaeDecoder(g, vae, g.input("latent_sample", "float32", ["batch", 4, 16, 16])), "sample");
        }),
      },
    },
    tokenizers: { tokenizer: "clip" },
    scheduler: { _class_name: "DDIMScheduler", clip_sample: false },
  });
}

function network(name: string, write: (g: GraphBuilder) => void): Model {
  const g = new GraphBuilder({ name });
  write(g);
  return g.model({ weights: initialize(g.parameters.values(), new Rng(1).fork(name)) });
}
