import type { GraphBuilder } from "../builder.js";
import { conv2d, groupNorm, linear, silu } from "../layers.js";
import type { Value } from "../value.js";

export interface ConvNetConfig {
  /** Channels after each stage. */
  readonly widths: readonly number[];
  /** The first stage's convolution, 5×5 with stride 2 by default; later stages halve the picture. */
  readonly stem?: { readonly kernel: number; readonly stride: number };
  readonly groups: number;
  /** Width of the feature vector. */
  readonly features: number;
}

/**
 * A small convolutional encoder of pictures: strided stages, global mean, one hidden layer.
 * @param images [batch, 3, y, x] in [−1, 1]
 * @returns features [batch, config.features]
 */
export function convNet(g: GraphBuilder, config: ConvNetConfig, images: Value): Value {
  let h = images;
  config.widths.forEach((width, i) => {
    const { kernel, stride } = i > 0 ? { kernel: 3, stride: 2 } : (config.stem ?? { kernel: 5, stride: 2 });
    h = g.scope(`stages.${i}`, () => {
      const entered = silu(
        g,
        "act",
        groupNorm(g, "norm", conv2d(g, "conv", h, width, kernel, { stride }), config.groups),
      );
      return i === 0
        ? entered
        : silu(g, "act_1", groupNorm(g, "norm_1", conv2d(g, "conv_1", entered, width, 3), config.groups)).add(entered);
    });
  });
  const [, channels, height, width] = h.shape as [unknown, number, number, number];
  // mean and maximum over positions: what is there, and how much of it
  const flat = h.reshape([0, channels, height * width]);
  const pooled = g.concat([flat.mean([2]), flat.max([2])], 1);
  return silu(g, "act", linear(g, "head", pooled, config.features));
}
