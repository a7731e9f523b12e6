import {
  conv2d,
  type GraphBuilder,
  groupNorm,
  linear,
  resnetBlock,
  silu,
  timestepEmbedding,
  upsampleConv2d,
  type Value,
} from "../../lib/program/index.js";

/** Channels at 32×32, 16×16 and 8×8. */
const widths = [64, 128, 128] as const;
const groups = 8;
const epsilon = 1e-5;
const timeWidth = 256;

/**
 * The noise predictor of a small pixel-space DDPM, about 2.7 M parameters: residual blocks of GroupNorm, SiLU and 3×3
 * convolutions at three resolutions. tests/bench/peers/small_unet.py is the same net, parameter for parameter.
 * @param x noisy pictures [batch, 3, 32, 32]
 * @param timesteps [batch], float32
 * @returns the predicted noise, and what the middle block gives [batch, 128, 8, 8]
 */
export function smallUNet(g: GraphBuilder, x: Value, timesteps: Value): { output: Value; middle: Value } {
  const block = (name: string, h: Value, out: number): Value => resnetBlock(g, name, h, out, groups, epsilon, time);
  const projected = timestepEmbedding(g, timesteps, 64);
  const time = linear(g, "time.2", silu(g, "time.1", linear(g, "time.0", projected, timeWidth)), timeWidth);
  let h = conv2d(g, "conv_in", x, widths[0], 3);
  const skips: Value[] = [];
  widths.forEach((width, i) => {
    h = block(`down.${i}`, h, width);
    skips.push(h);
    if (i < widths.length - 1) h = conv2d(g, `downsample.${i}`, h, width, 3, { stride: 2 });
  });
  const middle = block("mid", h, widths[2]);
  h = middle;
  for (let i = widths.length - 1; i >= 0; i--) {
    h = block(`up.${i}`, g.concat([h, skips[i]!], 1), widths[i]!);
    if (i > 0) h = upsampleConv2d(g, `upsample.${i}`, h, widths[i - 1]!);
  }
  const output = conv2d(g, "conv_out", silu(g, "act_out", groupNorm(g, "norm_out", h, groups, epsilon)), 3, 3);
  return { output, middle };
}
