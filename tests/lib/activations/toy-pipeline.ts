import { Tokenizer } from "../../../lib/diffusion/formats/tokenizers/index.js";
import { Pipeline } from "../../../lib/diffusion/index.js";
import { HookedModel } from "../../../lib/hooks/index.js";
import { GraphBuilder } from "../../../lib/program/index.js";

const maxLength = 6;

/** Knows the words red and blue. */
function tokenizer(): Tokenizer {
  const ends = { "<|startoftext|>": 0, "<|endoftext|>": 1 };
  const pieces = ["r", "e", "d</w>", "ed</w>", "red</w>", "b", "l", "u", "e</w>", "bl", "ue</w>", "blue</w>"];
  return new Tokenizer({
    vocab: { ...ends, ...Object.fromEntries(pieces.map((piece, i) => [piece, i + 2])) },
    merges: [
      ["e", "d</w>"],
      ["r", "ed</w>"],
      ["b", "l"],
      ["u", "e</w>"],
      ["bl", "ue</w>"],
    ],
    startToken: "<|startoftext|>",
    endToken: "<|endoftext|>",
    padToken: "<|endoftext|>",
    maxLength,
  });
}

/**
 * A pipeline of a few operators on 4×4 latents. `down_blocks.0` has 3 channels, [x₀, x₁, mean token id],
 * `mid_block` is twice that on a 2×2 grid, `mid_block.attn2` the first again as a sequence, and the noise it predicts is 0.1·x₀ and 0.1·x₁. Pictures of 4×4 pixels are encoded as their red and green in −1…1.
 */
export function toyPipeline(): Pipeline {
  const text = new GraphBuilder({ name: "text_encoder" });
  const ids = text.input("input_ids", "int64", ["batch", maxLength]);
  text.output(ids.cast("float32").unsqueeze(-1), "last_hidden_state");

  const g = new GraphBuilder({ name: "unet" });
  const sample = g.input("sample", "float32", ["batch", 2, 4, 4]);
  g.input("timestep", "int64", []);
  const states = g.input("encoder_hidden_states", "float32", ["batch", maxLength, 1]);
  const down = g.scope("down_blocks.0", () => {
    const word = states.mean([1, 2], true).unsqueeze(-1);
    return g.concat([sample, g.op("Mul", [sample.slice(1, 0, 1), g.scalar(0)]).add(word)], 1);
  });
  const middle = g.scope("mid_block", () => g.op("AveragePool", [down], { kernel_shape: [2, 2], strides: [2, 2] }).mul(2));
  const tokens = g.scope("mid_block.attn2", () => down.reshape([0, 3, 16]).transpose([0, 2, 1]));
  g.scope("conv_out", () => {
    const kept = down.slice(1, 0, 2).mul(0.1);
    const unused = middle
      .slice(1, 0, 2)
      .mean([2, 3], true)
      .add(tokens.mean([1, 2], true).unsqueeze(-1));
    return g.output(kept.add(unused.mul(0)), "out_sample");
  });
  const e = new GraphBuilder({ name: "vae_encoder" });
  e.output(e.input("sample", "float32", ["batch", 3, 4, 4]).slice(1, 0, 2), "latent_parameters");
  return new Pipeline({
    pipelineClass: "StableDiffusionPipeline",
    digest: "toy",
    network: new HookedModel(g.model(), {
      inputShapes: { sample: ["batch", 2, 4, 4], encoder_hidden_states: ["batch", maxLength, 1] },
    }),
    textEncoder: new HookedModel(text.model()),
    tokenizer: tokenizer(),
    vaeEncoder: new HookedModel(e.model()),
    latentSpace: { channels: 2, size: 4, factor: 1, scale: 1, shift: 0 },
    schedulerConfig: {
      _class_name: "DDIMScheduler",
      beta_schedule: "scaled_linear",
      beta_start: 0.00085,
      beta_end: 0.012,
      clip_sample: false,
    },
  });
}
