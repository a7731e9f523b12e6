import type { AutoencoderConfig, ClipTextConfig, ConvNetConfig, UNetConfig } from "../../lib/program/index.js";

/** Shapes of the embedded models; written out as config.json beside each exported net. */

export const vaeConfig: AutoencoderConfig = {
  in_channels: 3,
  out_channels: 3,
  latent_channels: 4,
  block_out_channels: [16, 32, 64],
  layers_per_block: 1,
  norm_num_groups: 8,
  sample_size: 64,
  scaling_factor: 1,
};

export const textConfig: ClipTextConfig = {
  vocab_size: 639,
  hidden_size: 64,
  intermediate_size: 128,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  max_position_embeddings: 24,
};

export const unetConfig: UNetConfig = {
  in_channels: 4,
  out_channels: 4,
  block_out_channels: [48, 64, 64],
  layers_per_block: 1,
  down_block_types: ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
  up_block_types: ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
  norm_num_groups: 16,
  norm_eps: 1e-5,
  attention_head_dim: 4,
  cross_attention_dim: 64,
  sample_size: 16,
};

export const judgeConfig: ConvNetConfig = { widths: [16, 32, 64, 128], groups: 8, features: 128 };

export const shortcutConfig: ConvNetConfig = { widths: [8, 16, 32], stem: { kernel: 7, stride: 4 }, groups: 2, features: 32 };

export const clipImageConfig: ConvNetConfig = { widths: [16, 32, 64, 96], groups: 8, features: 128 };

export const clipTextConfig: ClipTextConfig = { ...textConfig, hidden_size: 64, intermediate_size: 128 };

/**
 * The noise schedule, as scheduler_config.json of Stable Diffusion 2 states it, with β of DDPM: Stable Diffusion's own
 * leaves so much of a 16×16 latent's mean in the last timestep that the net reads colours from it (arXiv:2305.08891).
 */
export const schedulerConfig = {
  _class_name: "DDIMScheduler",
  beta_start: 0.0001,
  beta_end: 0.02,
  beta_schedule: "linear",
  num_train_timesteps: 1000,
  prediction_type: "v_prediction",
  clip_sample: false,
  set_alpha_to_one: true,
  steps_offset: 0,
  timestep_spacing: "trailing",
} as const;
