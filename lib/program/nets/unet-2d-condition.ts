import { float32 } from "../../tensor/index.js";
import type { GraphBuilder } from "../builder.js";
import { conv2d, groupNorm, layerNorm, linear, scaledDotProduct, silu, upsampleConv2d } from "../layers.js";
import type { Value } from "../value.js";

/** The part of diffusers' UNet2DConditionModel config that shapes the net. */
export interface UNetConfig {
  readonly in_channels: number;
  readonly out_channels: number;
  readonly block_out_channels: readonly number[];
  readonly layers_per_block: number;
  readonly down_block_types: readonly string[];
  readonly up_block_types: readonly string[];
  readonly norm_num_groups: number;
  readonly norm_eps: number;
  /** Number of heads, as Stable Diffusion 1.x configs (mis)name it. */
  readonly attention_head_dim: number;
  readonly cross_attention_dim: number;
  readonly sample_size: number;
}

/**
 * Sinusoidal embedding of timesteps [batch] → [batch, width], cosines first (flip_sin_to_cos, freq_shift 0).
 * @see Ho et al. 2020, arXiv:2006.11239
 */
export function timestepEmbedding(g: GraphBuilder, timesteps: Value, width: number): Value {
  return g.scope("time_proj", () => {
    const half = width / 2;
    const frequencies = g.shared(`frequencies:${half}`, () =>
      float32(
        Float32Array.from({ length: half }, (_, i) => Math.exp((-Math.log(10000) * i) / half)),
        [1, half],
      ),
    );
    const angles = timesteps.cast("float32").unsqueeze(1).mul(frequencies);
    return g.concat([angles.cos(), angles.sin()], 1);
  });
}

/** ResnetBlock2D: norm–silu–conv twice, the time embedding added between, and a shortcut. */
export function resnetBlock(
  g: GraphBuilder,
  name: string,
  x: Value,
  out: number,
  groups: number,
  epsilon: number,
  time?: Value,
): Value {
  return g.scope(name, () => {
    let h = conv2d(g, "conv1", silu(g, "nonlinearity", groupNorm(g, "norm1", x, groups, epsilon)), out, 3);
    if (time !== undefined) {
      const shift = linear(g, "time_emb_proj", silu(g, "nonlinearity_1", time), out);
      h = h.add(shift.reshape([0, out, 1, 1]));
    }
    h = conv2d(g, "conv2", silu(g, "nonlinearity_2", groupNorm(g, "norm2", h, groups, epsilon)), out, 3);
    const shortcut = x.dim(1) === out ? x : conv2d(g, "conv_shortcut", x, out, 1);
    return shortcut.add(h);
  });
}

function attention(g: GraphBuilder, name: string, x: Value, context: Value, heads: number): Value {
  return g.scope(name, () => {
    const width = x.dim(-1);
    const q = linear(g, "to_q", x, width, { bias: false });
    const k = linear(g, "to_k", context, width, { bias: false });
    const v = linear(g, "to_v", context, width, { bias: false });
    return linear(g, "to_out.0", scaledDotProduct(q, k, v, heads), width);
  });
}

/** x·gelu(gate) of two projections, then back (GEGLU, arXiv:2002.05202). */
function feedForward(g: GraphBuilder, x: Value): Value {
  return g.scope("ff", () => {
    const width = x.dim(-1);
    const inner = g.scope("net.0", () => {
      const [hidden, gate] = linear(g, "proj", x, 8 * width).split(2, [4 * width, 4 * width]) as [Value, Value];
      return hidden.mul(gelu(g, gate));
    });
    return linear(g, "net.2", inner, width);
  });
}

/** x·Φ(x), written with Erf as exporters do below opset 20. */
function gelu(g: GraphBuilder, x: Value): Value {
  return g.scope("gelu", () => x.mul(Math.SQRT1_2).erf().add(1).mul(x).mul(0.5));
}

/** Transformer2DModel with one block: self-attention over positions, cross-attention to the text, feed-forward. */
function transformer(g: GraphBuilder, name: string, x: Value, context: Value, config: UNetConfig): Value {
  return g.scope(name, () => {
    const [, channels, height, width] = x.shape as [unknown, number, number, number];
    const heads = config.attention_head_dim;
    const normalized = groupNorm(g, "norm", x, config.norm_num_groups, 1e-6);
    const tokens = conv2d(g, "proj_in", normalized, channels, 1)
      .transpose([0, 2, 3, 1])
      .reshape([0, height * width, channels]);
    const mixed = g.scope("transformer_blocks.0", () => {
      const n1 = layerNorm(g, "norm1", tokens);
      const afterSelf = attention(g, "attn1", n1, n1, heads).add(tokens);
      const afterCross = attention(g, "attn2", layerNorm(g, "norm2", afterSelf), context, heads).add(afterSelf);
      return feedForward(g, layerNorm(g, "norm3", afterCross)).add(afterCross);
    });
    const image = mixed.reshape([0, height, width, channels]).transpose([0, 3, 1, 2]);
    return conv2d(g, "proj_out", image, channels, 1).add(x);
  });
}

/**
 * The noise predictor of a Stable Diffusion pipeline (diffusers' UNet2DConditionModel), parameter for parameter.
 * @param sample noisy latents [batch, in_channels, y, x], float32
 * @param timestep [batch] or a scalar, int64 or float32
 * @param context text states [batch, token, cross_attention_dim]
 * @returns predicted noise (or v), of the shape of `sample`
 * @see Rombach et al. 2022, arXiv:2112.10752
 */
export function unet2dCondition(g: GraphBuilder, config: UNetConfig, sample: Value, timestep: Value, context: Value): Value {
  const { block_out_channels: widths, norm_num_groups: groups, norm_eps: epsilon, layers_per_block: layers } = config;
  const batchTimestep = timestep.rank === 0 ? broadcastTimestep(g, timestep, sample) : timestep;
  const projected = timestepEmbedding(g, batchTimestep, widths[0]!);
  const time = g.scope("time_embedding", () =>
    linear(g, "linear_2", silu(g, "act", linear(g, "linear_1", projected, 4 * widths[0]!)), 4 * widths[0]!),
  );

  let h = conv2d(g, "conv_in", sample, widths[0]!, 3);
  const skips: Value[] = [h];
  for (const [i, kind] of config.down_block_types.entries()) {
    g.scope(`down_blocks.${i}`, () => {
      for (let layer = 0; layer < layers; layer++) {
        h = resnetBlock(g, `resnets.${layer}`, h, widths[i]!, groups, epsilon, time);
        if (kind.startsWith("CrossAttn")) h = transformer(g, `attentions.${layer}`, h, context, config);
        skips.push(h);
      }
      if (i < widths.length - 1) {
        h = g.scope("downsamplers.0", () => conv2d(g, "conv", h, widths[i]!, 3, { stride: 2 }));
        skips.push(h);
      }
    });
  }

  h = g.scope("mid_block", () => {
    const first = resnetBlock(g, "resnets.0", h, widths.at(-1)!, groups, epsilon, time);
    const attended = transformer(g, "attentions.0", first, context, config);
    return resnetBlock(g, "resnets.1", attended, widths.at(-1)!, groups, epsilon, time);
  });

  for (const [i, kind] of config.up_block_types.entries()) {
    g.scope(`up_blocks.${i}`, () => {
      const width = widths[widths.length - 1 - i]!;
      for (let layer = 0; layer <= layers; layer++) {
        h = resnetBlock(g, `resnets.${layer}`, g.concat([h, skips.pop()!], 1), width, groups, epsilon, time);
        if (kind.startsWith("CrossAttn")) h = transformer(g, `attentions.${layer}`, h, context, config);
      }
      if (i < widths.length - 1) h = g.scope("upsamplers.0", () => upsampleConv2d(g, "conv", h, width));
    });
  }
  h = silu(g, "conv_act", groupNorm(g, "conv_norm_out", h, groups, epsilon));
  return conv2d(g, "conv_out", h, config.out_channels, 3);
}

/** One timestep for the whole batch, as pipelines pass it. */
function broadcastTimestep(g: GraphBuilder, timestep: Value, sample: Value): Value {
  const batch = g.op("Slice", [g.op("Shape", [sample]), g.ints([0]), g.ints([1]), g.ints([0])]);
  return g.op("Expand", [timestep, batch]);
}
