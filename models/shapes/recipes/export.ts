import { copyFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type Graph, type Model, saveModel, toFloat16 } from "../../../lib/onnx/index.js";
import { clipText, GraphBuilder, unet2dCondition, vaeDecoder, vaeEncoder } from "../../../lib/program/index.js";
import { readSafetensors, type Tensor, writeFileAtomic } from "../../../lib/tensor/index.js";
import { schedulerConfig, textConfig, unetConfig, vaeConfig } from "../config.js";
import { shapesFolder } from "../folder.js";
import type { Recipe } from "./harness.js";

type Weights = Readonly<Record<string, Tensor>>;

/** The weights of one net of a joint training, without the net's prefix. */
function under(weights: Weights, prefix: string): Weights {
  return Object.fromEntries(
    Object.entries(weights).flatMap(([name, w]) => (name.startsWith(prefix) ? [[name.slice(prefix.length), w]] : [])),
  );
}

function unetModel(weights: Weights): Model {
  const g = new GraphBuilder({ name: "unet" });
  const { sample_size: size, in_channels: channels } = unetConfig;
  const sample = g.input("sample", "float32", ["batch", channels, size, size]);
  const timestep = g.input("timestep", "int64", []);
  const context = g.input("encoder_hidden_states", "float32", [
    "batch",
    textConfig.max_position_embeddings,
    unetConfig.cross_attention_dim,
  ]);
  g.output(unet2dCondition(g, unetConfig, sample, timestep, context), "out_sample");
  return g.model({ weights });
}

function textEncoderModel(weights: Weights): Model {
  const g = new GraphBuilder({ name: "text_encoder" });
  const { lastHiddenState, pooled } = clipText(
    g,
    textConfig,
    g.input("input_ids", "int64", ["batch", textConfig.max_position_embeddings]),
  );
  g.output(lastHiddenState, "last_hidden_state");
  g.output(pooled, "pooler_output");
  return g.model({ weights });
}

function vaeModels(weights: Weights): { encoder: Model; decoder: Model } {
  const e = new GraphBuilder({ name: "vae_encoder" });
  e.output(
    vaeEncoder(e, vaeConfig, e.input("sample", "float32", ["batch", 3, vaeConfig.sample_size, vaeConfig.sample_size])),
    "latent_parameters",
  );
  const d = new GraphBuilder({ name: "vae_decoder" });
  const latent = d.input("latent_sample", "float32", [
    "batch",
    vaeConfig.latent_channels,
    unetConfig.sample_size,
    unetConfig.sample_size,
  ]);
  d.output(vaeDecoder(d, vaeConfig, latent), "sample");
  return { encoder: e.model({ weights }), decoder: d.model({ weights }) };
}

async function writeJson(path: string, value: unknown): Promise<void> {
  await writeFileAtomic(path, [new TextEncoder().encode(`${JSON.stringify(value, undefined, 2)}\n`)]);
}

async function writeNetwork(folder: string, name: string, model: Model, config: object): Promise<void> {
  await mkdir(join(folder, name), { recursive: true });
  const halved: Graph = toFloat16(model.graph);
  await saveModel({ ...model, graph: halved }, join(folder, name, "model.onnx"));
  await writeJson(join(folder, name, "config.json"), config);
}

/** Writes the trained nets as a Stable Diffusion ONNX folder, weights in float16, as Optimum lays it out. */
export async function exportPipeline(checkpoints: string, folder: string): Promise<void> {
  const vae = readSafetensors(join(checkpoints, "vae.weights.safetensors")).tensors;
  const { tensors: joint, metadata } = readSafetensors(join(checkpoints, "unet.weights.safetensors"));
  const autoencoder = {
    ...vaeConfig,
    scaling_factor: Number(metadata.scalingFactor),
    _class_name: "AutoencoderKL",
    act_fn: "silu",
  };
  await mkdir(join(folder, "tokenizer"), { recursive: true });
  for (const file of ["vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"]) {
    if (folder !== shapesFolder) await copyFile(join(shapesFolder, "tokenizer", file), join(folder, "tokenizer", file));
  }
  const { encoder, decoder } = vaeModels(vae);
  await writeNetwork(folder, "unet", unetModel(under(joint, "unet.")), {
    _class_name: "UNet2DConditionModel",
    ...unetConfig,
    act_fn: "silu",
    flip_sin_to_cos: true,
    freq_shift: 0,
    mid_block_type: "UNetMidBlock2DCrossAttn",
  });
  await writeNetwork(folder, "text_encoder", textEncoderModel(under(joint, "text_encoder.")), {
    architectures: ["CLIPTextModel"],
    model_type: "clip_text_model",
    hidden_act: "quick_gelu",
    layer_norm_eps: 1e-5,
    ...textConfig,
  });
  await writeNetwork(folder, "vae_encoder", encoder, autoencoder);
  await writeNetwork(folder, "vae_decoder", decoder, autoencoder);
  await mkdir(join(folder, "scheduler"), { recursive: true });
  await writeJson(join(folder, "scheduler", "scheduler_config.json"), schedulerConfig);
  await writeJson(join(folder, "model_index.json"), {
    _class_name: "StableDiffusionPipeline",
    scheduler: ["diffusers", schedulerConfig._class_name],
    text_encoder: ["transformers", "CLIPTextModel"],
    tokenizer: ["transformers", "CLIPTokenizer"],
    unet: ["diffusers", "UNet2DConditionModel"],
    vae: ["diffusers", "AutoencoderKL"],
  });
}

export const exportRecipe: Recipe = {
  name: "export",
  about: "writes the trained autoencoder, text encoder and noise predictor as a pipeline folder",
  run: ({ checkpoints }) => exportPipeline(checkpoints, shapesFolder),
};
