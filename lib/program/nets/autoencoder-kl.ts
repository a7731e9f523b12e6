import type { GraphBuilder } from "../builder.js";
import { conv2d, groupNorm, linear, scaledDotProduct, silu, upsampleConv2d } from "../layers.js";
import type { Value } from "../value.js";
import { resnetBlock } from "./unet-2d-condition.js";

/** The part of diffusers' AutoencoderKL config that shapes the nets. */
export interface AutoencoderConfig {
  readonly in_channels: number;
  readonly out_channels: number;
  readonly latent_channels: number;
  readonly block_out_channels: readonly number[];
  readonly layers_per_block: number;
  readonly norm_num_groups: number;
  readonly sample_size: number;
  readonly scaling_factor: number;
}

const EPSILON = 1e-6;

/** Single-head self-attention over the positions of an image. */
function attentionBlock(g: GraphBuilder, x: Value, groups: number): Value {
  return g.scope("attentions.0", () => {
    const [, channels, height, width] = x.shape as [unknown, number, number, number];
    const tokens = groupNorm(g, "group_norm", x, groups, EPSILON)
      .reshape([0, channels, height * width])
      .transpose([0, 2, 1]);
    const mixed = scaledDotProduct(
      linear(g, "to_q", tokens, channels),
      linear(g, "to_k", tokens, channels),
      linear(g, "to_v", tokens, channels),
      1,
    );
    const image = linear(g, "to_out.0", mixed, channels).transpose([0, 2, 1]).reshape([0, channels, height, width]);
    return image.add(x);
  });
}

function midBlock(g: GraphBuilder, x: Value, groups: number): Value {
  return g.scope("mid_block", () => {
    const width = x.dim(1);
    const h = attentionBlock(g, resnetBlock(g, "resnets.0", x, width, groups, EPSILON), groups);
    return resnetBlock(g, "resnets.1", h, width, groups, EPSILON);
  });
}

/**
 * Image → parameters of the latent Gaussian (diffusers' AutoencoderKL.encode with quant_conv).
 * @param sample [batch, 3, y, x] in [−1, 1]
 * @returns mean and log-variance [batch, 2·latent_channels, y/f, x/f], f = 2^(blocks−1)
 */
export function vaeEncoder(g: GraphBuilder, config: AutoencoderConfig, sample: Value): Value {
  const { block_out_channels: widths, norm_num_groups: groups, latent_channels: latent } = config;
  const encoded = g.scope("encoder", () => {
    let h = conv2d(g, "conv_in", sample, widths[0]!, 3);
    for (const [i, width] of widths.entries()) {
      g.scope(`down_blocks.${i}`, () => {
        for (let layer = 0; layer < config.layers_per_block; layer++)
          h = resnetBlock(g, `resnets.${layer}`, h, width, groups, EPSILON);
        // asymmetric padding, as in the original implementation
        if (i < widths.length - 1)
          h = g.scope("downsamplers.0", () => conv2d(g, "conv", h, width, 3, { stride: 2, pads: [0, 0, 1, 1] }));
      });
    }
    h = midBlock(g, h, groups);
    return conv2d(g, "conv_out", silu(g, "conv_act", groupNorm(g, "conv_norm_out", h, groups, EPSILON)), 2 * latent, 3);
  });
  return conv2d(g, "quant_conv", encoded, 2 * latent, 1);
}

/**
 * Latent → image (diffusers' AutoencoderKL.decode with post_quant_conv).
 * @param latent [batch, latent_channels, y, x], already divided by the scaling factor
 * @returns [batch, 3, f·y, f·x], about [−1, 1]
 */
export function vaeDecoder(g: GraphBuilder, config: AutoencoderConfig, latent: Value): Value {
  const { norm_num_groups: groups } = config;
  const widths = [...config.block_out_channels].reverse();
  const start = conv2d(g, "post_quant_conv", latent, config.latent_channels, 1);
  return g.scope("decoder", () => {
    let h = midBlock(g, conv2d(g, "conv_in", start, widths[0]!, 3), groups);
    for (const [i, width] of widths.entries()) {
      g.scope(`up_blocks.${i}`, () => {
        for (let layer = 0; layer <= config.layers_per_block; layer++)
          h = resnetBlock(g, `resnets.${layer}`, h, width, groups, EPSILON);
        if (i < widths.length - 1) h = g.scope("upsamplers.0", () => upsampleConv2d(g, "conv", h, width));
      });
    }
    return conv2d(g, "conv_out", silu(g, "conv_act", groupNorm(g, "conv_norm_out", h, groups, EPSILON)), config.out_channels, 3);
  });
}
