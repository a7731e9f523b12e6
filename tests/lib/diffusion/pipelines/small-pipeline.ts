import { cp, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Model, saveModel } from "../../../../lib/onnx/index.js";
import {
  type AutoencoderConfig,
  type ClipTextConfig,
  clipText,
  GraphBuilder,
  initialize,
  type UNetConfig,
  unet2dCondition,
  vaeDecoder,
  vaeEncoder,
} from "../../../../lib/program/index.js";
import { Rng } from "../../../../lib/tensor/index.js";

const unetConfig: UNetConfig = {
  in_channels: 4,
  out_channels: 4,
  block_out_channels: [8, 16],
  layers_per_block: 1,
  down_block_types: ["DownBlock2D", "CrossAttnDownBlock2D"],
  up_block_types: ["CrossAttnUpBlock2D", "UpBlock2D"],
  norm_num_groups: 4,
  norm_eps: 1e-5,
  attention_head_dim: 2,
  cross_attention_dim: 8,
  sample_size: 4,
};
const vaeConfig: AutoencoderConfig = {
  in_channels: 3,
  out_channels: 3,
  latent_channels: 4,
  block_out_channels: [8, 8],
  layers_per_block: 1,
  norm_num_groups: 4,
  sample_size: 8,
  scaling_factor: 0.5,
};
const textConfig: ClipTextConfig = {
  vocab_size: 49408,
  hidden_size: 8,
  intermediate_size: 16,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  max_position_embeddings: 77,
};

function built(name: string, write: (g: GraphBuilder) => void): Model {
  const g = new GraphBuilder({ name, opset: 18 });
  write(g);
  return g.model({ weights: initialize(g.parameters.values(), new Rng(1).fork(name)) });
}

/** Writes a complete Stable Diffusion folder with untrained nets of a few thousand parameters, or one that edits pictures. */
export async function writeSmallPipeline(folder: string, { edits = false }: { readonly edits?: boolean } = {}): Promise<void> {
  const config = { ...unetConfig, in_channels: edits ? 8 : 4 };
  const { sample_size: size, cross_attention_dim: width } = unetConfig;
  const length = textConfig.max_position_embeddings;
  const parts: Record<string, { model: Model; config: object }> = {
    unet: {
      config,
      model: built("unet", (g) => {
        const sample = g.input("sample", "float32", ["batch", config.in_channels, size, size]);
        const timestep = g.input("timestep", "int64", []);
        const text = g.input("encoder_hidden_states", "float32", ["batch", length, width]);
        g.output(unet2dCondition(g, config, sample, timestep, text), "out_sample");
      }),
    },
    text_encoder: {
      config: textConfig,
      model: built("text_encoder", (g) => {
        const { lastHiddenState, pooled } = clipText(g, textConfig, g.input("input_ids", "int64", ["batch", length]));
        g.output(lastHiddenState, "last_hidden_state");
        g.output(pooled, "pooler_output");
      }),
    },
    vae_decoder: {
      config: vaeConfig,
      model: built("vae_decoder", (g) => {
        g.output(vaeDecoder(g, vaeConfig, g.input("latent_sample", "float32", ["batch", 4, size, size])), "sample");
      }),
    },
    vae_encoder: {
      config: vaeConfig,
      model: built("vae_encoder", (g) => {
        g.output(vaeEncoder(g, vaeConfig, g.input("sample", "float32", ["batch", 3, 8, 8])), "latent_parameters");
      }),
    },
  };
  for (const [part, { model, config }] of Object.entries(parts)) {
    await mkdir(join(folder, part), { recursive: true });
    await saveModel(model, join(folder, part, "model.onnx"));
    await writeFile(join(folder, part, "config.json"), JSON.stringify(config));
  }
  const tokenizer = fileURLToPath(new URL("../../../golden/clip-tokenizer/", import.meta.url));
  await cp(tokenizer, join(folder, "tokenizer"), { recursive: true });
  await mkdir(join(folder, "scheduler"), { recursive: true });
  const scheduler = {
    _class_name: "DDIMScheduler",
    beta_schedule: "scaled_linear",
    beta_start: 0.00085,
    beta_end: 0.012,
    clip_sample: false,
    set_alpha_to_one: false,
    steps_offset: 1,
  };
  await writeFile(join(folder, "scheduler", "scheduler_config.json"), JSON.stringify(scheduler));
  await writeFile(
    join(folder, "model_index.json"),
    JSON.stringify({ _class_name: edits ? "StableDiffusionInstructPix2PixPipeline" : "StableDiffusionPipeline" }),
  );
}
