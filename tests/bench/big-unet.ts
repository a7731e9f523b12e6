import type { Model } from "../../lib/onnx/index.js";
import { GraphBuilder, initialize, type UNetConfig, unet2dCondition } from "../../lib/program/index.js";
import { Rng } from "../../lib/tensor/index.js";

/** About 25 M parameters: 100 MB in float32. */
const config: UNetConfig = {
  in_channels: 4,
  out_channels: 4,
  block_out_channels: [128, 160, 224],
  layers_per_block: 2,
  down_block_types: ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
  up_block_types: ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
  norm_num_groups: 32,
  norm_eps: 1e-5,
  attention_head_dim: 8,
  cross_attention_dim: 256,
  sample_size: 16,
};

/** A U-Net of Stable Diffusion's kind, 100 MB of random weights: sample [batch, 4, 16, 16], context [batch, token, 256]. */
export function bigUNet(): Model {
  const g = new GraphBuilder({ name: "unet" });
  const sample = g.input("sample", "float32", ["batch", 4, 16, 16]);
  const context = g.input("encoder_hidden_states", "float32", ["batch", "token", config.cross_attention_dim]);
  g.output(unet2dCondition(g, config, sample, g.input("timestep", "int64", []), context), "out_sample");
  return g.model({ weights: initialize(g.parameters.values(), new Rng(0)) });
}
