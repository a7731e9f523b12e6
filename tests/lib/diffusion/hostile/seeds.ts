import { join } from "node:path";
import { type Graph, initializerOf, type Model } from "../../../../lib/onnx/index.js";
import { GraphBuilder } from "../../../../lib/program/index.js";
import { float32 } from "../../../../lib/tensor/index.js";
import { type WrittenFolder, writeFolder } from "../closed-form/folder.js";
import * as nets from "../closed-form/networks.js";
import { clipText, t5Text } from "../closed-form/text-encoders.js";

const vae = (save = {}): WrittenFolder["networks"] => ({
  vae_decoder: {
    model: nets.vaeDecoder(),
    config: { latent_channels: 4, block_out_channels: [4, 8], scaling_factor: 0.18215 },
    save,
  },
  vae_encoder: { model: nets.vaeEncoder(), config: { in_channels: 3 } },
});
const outside = { externalData: true, thresholdBytes: 16 };

/** An unconditional network with graphs inside a node, which read a value from around them, and constants in attributes. */
function nested(): Model {
  const g = new GraphBuilder({ name: "unet", opset: 18 });
  const x = g.input("sample", "float32", ["batch", 3, "height", "width"]);
  const late = g.input("timestep", "float32", ["batch"]).max([0]).greater(500);
  const outer = g.op("Constant", [], { value: float32([0.5], []) }, { names: ["outer"] });
  const branch = (name: string, factor: number): Graph => ({
    name,
    nodes: [
      {
        opType: "Mul",
        domain: "",
        name: `${name}/Mul`,
        inputs: [outer.name, `${name}/factor`],
        outputs: [`${name}/out`],
        attributes: {},
      },
    ],
    initializers: [initializerOf(`${name}/factor`, float32([factor], []))],
    inputs: [],
    outputs: [{ name: `${name}/out`, dtype: "float32", shape: [] }],
    valueInfo: [],
  });
  const chosen = g.op("If", [late], { then_branch: branch("late", 1), else_branch: branch("early", 0.5) });
  g.output(x.mul(chosen), "out_sample");
  return g.model();
}

/** Small folders of several kinds, to be broken. */
export async function writeSeeds(folder: string): Promise<string[]> {
  const scheduler = {
    _class_name: "DDIMScheduler",
    beta_schedule: "scaled_linear",
    beta_start: 0.00085,
    beta_end: 0.012,
    clip_sample: false,
  };
  const config = { in_channels: 4, sample_size: 8, cross_attention_dim: 8 };
  const written: Record<string, WrittenFolder> = {
    "stable-diffusion": {
      index: { _class_name: "StableDiffusionPipeline", unet: ["diffusers", "UNet2DConditionModel"] },
      networks: {
        unet: { model: nets.unet(), config, save: outside },
        text_encoder: { model: clipText(), config: { vocab_size: 49408 }, save: outside },
        ...vae(outside),
      },
      tokenizers: { tokenizer: "clip" },
      scheduler,
    },
    pixart: {
      index: { _class_name: "PixArtAlphaPipeline" },
      networks: {
        transformer: { model: nets.pixartTransformer(), config: { ...config, out_channels: 8 } },
        text_encoder: { model: t5Text({ tokens: 12, mask: true }), config: {} },
        ...vae(),
      },
      tokenizers: { tokenizer: "t5" },
      scheduler: { _class_name: "DPMSolverMultistepScheduler", use_karras_sigmas: true },
    },
    dit: {
      index: { _class_name: "DiTPipeline", id2label: { 0: "cat", 1: "dog, hound" } },
      networks: { transformer: { model: nets.dit(), config: { ...config, num_embeds_ada_norm: 1000 } }, ...vae() },
      scheduler: { _class_name: "EulerDiscreteScheduler", trained_betas: [0.1, 0.2, 0.3, 0.4] },
    },
    flux: {
      index: { _class_name: "FluxPipeline" },
      networks: {
        transformer: { model: nets.fluxTransformer(), config: { in_channels: 16, guidance_embeds: true }, save: outside },
        text_encoder: { model: clipText({ hiddenStates: false }), config: {} },
        text_encoder_2: { model: t5Text(), config: {} },
        ...vae(),
      },
      tokenizers: { tokenizer: "clip", tokenizer_2: "t5" },
      scheduler: { _class_name: "FlowMatchEulerDiscreteScheduler", shift: 3, use_dynamic_shifting: true },
    },
    "latent-diffusion": {
      index: { _class_name: "LDMTextToImagePipeline" },
      networks: {
        unet: { model: nets.unet(), config },
        bert: { model: clipText({ hiddenStates: false }), config: { vocab_size: 49408 } },
        vqvae: vae().vae_decoder!,
      },
      tokenizers: { tokenizer: "bert" },
      scheduler,
    },
    "instruct-pix2pix": {
      index: { _class_name: "StableDiffusionInstructPix2PixPipeline" },
      networks: {
        unet: { model: nets.unet({ channels: 8 }), config: { ...config, in_channels: 8 }, save: outside },
        text_encoder: { model: clipText({ hiddenStates: false }), config: {} },
        ...vae(),
      },
      tokenizers: { tokenizer: "clip" },
      scheduler,
    },
    nested: {
      index: { _class_name: "DDPMPipeline" },
      networks: { unet: { model: nested(), config: { in_channels: 3, sample_size: 8 } } },
      scheduler: { _class_name: "DDPMScheduler" },
    },
  };
  for (const [name, one] of Object.entries(written)) await writeFolder(join(folder, name), one);
  return Object.keys(written);
}
