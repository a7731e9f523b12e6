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
 * A small convolutional encoder of pictures: strided stages, then what `convNetReadout` makes of them.
 * @param images [batch, 3, y, x] in [−1, 1]
 * @returns features [batch, config.features]
 */
export function convNet(g: GraphBuilder, config: ConvNetConfig, images: Value): Value {
  return convNetReadout(g, config, convNetStages(g, config, images));
}

/** The strided stages. @returns [batch, last width, y, x] */
export function convNetStages(g: GraphBuilder, config: ConvNetConfig, images: Value): Value {
  let h = images;
  config.widths.forEach((width, i) => {
    const { kernel, stride } = i > 0 ? { kernel: 3, stride: 2 } : (config.stem ?? { kernel: 5, stride: 2 });
    h = g.scope(`stages.${i}`, () => {
      const entered = silu(g, "act", groupNorm(g, "norm", conv2d(g, "conv", h, width, kernel, { stride }), config.groups));
      return i === 0
        ? entered
        : silu(g, "act_1", groupNorm(g, "norm_1", conv2d(g, "conv_1", entered, width, 3), config.groups)).add(entered);
    });
  });
  return h;
}

/** Mean and maximum over positions (how much there is of what, and what is there at all), then one hidden layer. */
export function convNetReadout(g: GraphBuilder, config: ConvNetConfig, stages: Value): Value {
  const flat = positions(stages);
  const pooled = g.concat([flat.mean([2]), flat.max([2])], 1);
  return silu(g, "act", linear(g, "head", pooled, config.features));
}

/** Scores of things that may lie anywhere: the best position of each. @returns [batch, out] */
export function convNetDetector(g: GraphBuilder, name: string, stages: Value, out: number): Value {
  return g.scope(name, () => positions(conv2d(g, "conv", stages, out, 1)).max([2]));
}

function positions(x: Value): Value {
  const [, channels, height, width] = x.shape as [unknown, number, number, number];
  return x.reshape([0, channels, height * width]);
}
