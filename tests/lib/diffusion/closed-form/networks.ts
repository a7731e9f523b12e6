import type { Model } from "../../../../lib/onnx/index.js";
import { GraphBuilder, type Value } from "../../../../lib/program/index.js";
import type { DType } from "../../../../lib/tensor/index.js";
import { clock, context, fixed, label, mix, prediction, rolled, vector, wave } from "./blocks.js";

// The networks of tests/golden/pipelines/README.md, with the inputs and outputs that exporters give them.

const [batch, height, width] = ["batch", "height", "width"];

function model(name: string, write: (g: GraphBuilder) => void): Model {
  const g = new GraphBuilder({ name, opset: 18 });
  write(g);
  return g.model();
}

/** Shapes and types of a U-Net's inputs; a condition is an input only where its width is given. */
export interface UNetInputs {
  /** 4, or 9 for inpainting. */
  readonly channels?: number;
  readonly tokens?: number;
  /** Width of `encoder_hidden_states`. */
  readonly states?: number;
  readonly timestepCond?: number;
  readonly textEmbeds?: number;
  readonly timeIds?: number;
  /** The ControlNet's residuals as inputs. */
  readonly control?: boolean;
  readonly timestep?: DType;
}

/** `sample`, `timestep`, `encoder_hidden_states`, … → `out_sample`. */
export function unet(options: UNetInputs = {}): Model {
  const { channels = 4, tokens = 77, states = 8, timestepCond, textEmbeds, timeIds, control, timestep = "float32" } = options;
  return model("unet", (g) => {
    const x = g.input("sample", "float32", [batch, channels, height, width]);
    const added = (name: string, n: number | undefined, phase: number, scale?: number): Value[] =>
      n === undefined ? [] : [vector(g.input(name, "float32", [batch, n]), 4, phase, scale)];
    const t = clock(g.input("timestep", timestep, []));
    const bias = [
      context(g.input("encoder_hidden_states", "float32", [batch, tokens, states]), 4, 2),
      ...added("timestep_cond", timestepCond, 3),
      ...added("text_embeds", textEmbeds, 4),
      ...added("time_ids", timeIds, 5, 0.05),
    ].reduce((sum, term) => sum.add(term), t);
    const field = control ? controlField(g, bias) : bias;
    g.output(prediction(x, field, 4), "out_sample");
  });
}

const residualChannels = [6, 6, 8, 8];
const residualNames = ["down_block_0", "down_block_1", "down_block_2", "mid_block"];

/** For latents of 8 × 12, as `controlNet` gives residuals. */
function controlField(g: GraphBuilder, bias: Value): Value {
  return residualNames.reduce(
    (sum, name, k) => {
      const [c, half] = [residualChannels[k]!, k >= 2];
      const residual = g.input(name, "float32", [batch, c, half ? 4 : 8, half ? 6 : 12]);
      const mixed = mix(residual, 4, 10 + k, 0.3 / Math.sqrt(c));
      return sum.add(half ? doubled(mixed) : mixed);
    },
    bias.unsqueeze(2, 3),
  );
}

function doubled(x: Value): Value {
  const { builder: g } = x;
  const scales = fixed(g, [4], (i) => (i < 2 ? 1 : 2));
  return g.op("Resize", [x, undefined, scales], {
    mode: "nearest",
    coordinate_transformation_mode: "asymmetric",
    nearest_mode: "floor",
  });
}

/** `sample`, `timestep`, `encoder_hidden_states`, …, `controlnet_cond` → `down_block_res_samples_0…2`, `mid_block_res_sample`. */
export function controlNet(number = 0, options: Pick<UNetInputs, "tokens" | "states" | "textEmbeds" | "timeIds"> = {}): Model {
  const { tokens = 77, states = 8, textEmbeds, timeIds } = options;
  return model("controlnet", (g) => {
    const p = 30 + 10 * number;
    const x = g.input("sample", "float32", [batch, 4, height, width]);
    const t = clock(g.input("timestep", "float32", []));
    let bias = t.add(context(g.input("encoder_hidden_states", "float32", [batch, tokens, states]), 6, p));
    if (textEmbeds) bias = bias.add(vector(g.input("text_embeds", "float32", [batch, textEmbeds]), 6, p + 4));
    if (timeIds) bias = bias.add(vector(g.input("time_ids", "float32", [batch, timeIds]), 6, p + 5, 0.05));
    const picture = g.input("controlnet_cond", "float32", [batch, 3, "picture_height", "picture_width"]);
    const hint = g.op("Conv", [picture, wave(g, [6, 3, 2, 2], p + 1, 0.3)], { strides: [2, 2] });
    const h = mix(x, 6, p + 2, 0.5)
      .add(hint)
      .add(bias.unsqueeze(2, 3))
      .tanh();
    const half = mix(g.op("AveragePool", [h], { kernel_shape: [2, 2], strides: [2, 2] }), 8, p + 3, 0.5);
    const found = [h, rolled(h).mul(0.8), half, half.mul(2).tanh()];
    for (const [k, residual] of found.entries()) {
      g.output(residual, k < 3 ? `down_block_res_samples_${k}` : "mid_block_res_sample");
    }
  });
}

/** `sample`, `timestep`, `class_labels`? → `out_sample`, in pixels or latents. */
export function unconditionalUNet({
  channels: seen = 3,
  classes,
  learned = false,
}: {
  readonly channels?: number;
  readonly classes?: number;
  readonly learned?: boolean;
} = {}): Model {
  return model("unet", (g) => {
    const x = g.input("sample", "float32", [batch, seen, height, width]);
    const channels = learned ? 2 * seen : seen;
    const t = clock(g.input("timestep", "float32", []));
    const bias = classes === undefined ? t : t.add(label(g.input("class_labels", "int64", [batch]), channels, classes));
    g.output(prediction(x, bias, channels, seen), "out_sample");
  });
}

/** `hidden_states`, `timestep`, `encoder_hidden_states`, `pooled_projections` → `out_hidden_states`. */
export function sd3Transformer(tokens = 93): Model {
  return model("transformer", (g) => {
    const x = g.input("hidden_states", "float32", [batch, 4, height, width]);
    const bias = clock(g.input("timestep", "float32", [batch]))
      .add(context(g.input("encoder_hidden_states", "float32", [batch, tokens, 20]), 4, 2))
      .add(vector(g.input("pooled_projections", "float32", [batch, 14]), 4, 4));
    g.output(prediction(x, bias, 4), "out_hidden_states");
  });
}

/** … and `txt_ids`, `img_ids`, `guidance` if it has one; tokens [B, N, 16] in and out. */
export function fluxTransformer({ tokens = 16, guidance = true }: { tokens?: number; guidance?: boolean } = {}): Model {
  return model("transformer", (g) => {
    const image = (tokensOf: Value): Value => tokensOf.transpose([0, 2, 1]).unsqueeze(2);
    const x = g.input("hidden_states", "float32", [batch, "tokens", 16]);
    let bias = clock(g.input("timestep", "float32", [batch]), 1)
      .add(context(g.input("encoder_hidden_states", "float32", [batch, tokens, 20]), 16, 2))
      .add(vector(g.input("pooled_projections", "float32", [batch, 8]), 16, 4))
      .add(vector(g.input("txt_ids", "float32", [tokens, 3]).mean([0], true), 16, 9));
    if (guidance) bias = bias.add(vector(g.input("guidance", "float32", [batch]).reshape([-1, 1]), 16, 7, 0.1));
    const places = vector(g.input("img_ids", "float32", ["tokens", 3]), 16, 8, 0.2);
    const field = image(bias.unsqueeze(1).add(places.unsqueeze(0)));
    g.output(prediction(image(x), field, 16).squeeze(2).transpose([0, 2, 1]), "out_hidden_states");
  });
}

/** … with `encoder_attention_mask`, and `resolution` and `aspect_ratio` where it has sizes; eight channels out. */
export function pixartTransformer({ tokens = 12, sizes = true }: { tokens?: number; sizes?: boolean } = {}): Model {
  return model("transformer", (g) => {
    const x = g.input("hidden_states", "float32", [batch, 4, height, width]);
    const mask = g.input("encoder_attention_mask", "int64", [batch, tokens]);
    let bias = clock(g.input("timestep", "int64", [batch])).add(
      context(g.input("encoder_hidden_states", "float32", [batch, tokens, 20]), 8, 2, mask),
    );
    if (sizes) {
      bias = bias
        .add(vector(g.input("resolution", "float32", [batch, 2]), 8, 5, 0.05))
        .add(vector(g.input("aspect_ratio", "float32", [batch, 1]), 8, 7));
    }
    g.output(prediction(x, bias, 8, 4), "out_hidden_states");
  });
}

/** `hidden_states`, `timestep`, `class_labels` → `out_hidden_states`. */
export function dit(channels = 8): Model {
  return model("transformer", (g) => {
    const x = g.input("hidden_states", "float32", [batch, 4, height, width]);
    const bias = clock(g.input("timestep", "int64", [batch])).add(
      label(g.input("class_labels", "int64", [batch]), channels, 1000),
    );
    g.output(prediction(x, bias, channels, 4), "out_hidden_states");
  });
}

/** `sample` → `latent_parameters`, mean and log-variance. */
export function vaeEncoder(latentChannels = 4): Model {
  return model("vae_encoder", (g) => {
    const picture = g.input("sample", "float32", [batch, 3, height, width]);
    const n = 2 * latentChannels;
    const bias = fixed(g, [n], (i) => (i < latentChannels ? 0 : -2));
    g.output(g.op("Conv", [picture, wave(g, [n, 3, 2, 2], 40, 0.5), bias], { strides: [2, 2] }), "latent_parameters");
  });
}

/** `latent_sample` → `sample`. */
export function vaeDecoder(scaling = 0.18215, latentChannels = 4): Model {
  return model("vae_decoder", (g) => {
    const z = g.input("latent_sample", "float32", [batch, latentChannels, height, width]);
    const weight = wave(g, [latentChannels, 3, 2, 2], 41, (1.5 * scaling) / Math.sqrt(latentChannels));
    g.output(g.op("ConvTranspose", [z, weight], { strides: [2, 2] }).tanh(), "sample");
  });
}
