import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type LoadOptions, load, type Pipeline } from "../../../../lib/diffusion/index.js";
import type { Model, Shape } from "../../../../lib/onnx/index.js";
import { closeRuntime } from "../../../../lib/runtime/index.js";
import { type WrittenFolder, writeFolder } from "../closed-form/folder.js";
import { type GoldenRun, goldenRuns } from "../closed-form/goldens.js";
import * as nets from "../closed-form/networks.js";
import { clipText } from "../closed-form/text-encoders.js";

/** Folders that `closeAll` removes. */
export const temporary: string[] = [];
const pipelines: Pipeline[] = [];

/** An empty folder. */
export async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "tweedie-folder-"));
  temporary.push(folder);
  return folder;
}

/** A folder opened, quietly. */
export async function open(folder: string, options: LoadOptions = {}): Promise<Pipeline> {
  const pipe = await load(folder, { session: { threads: 1 }, onNote: () => {}, ...options });
  pipelines.push(pipe);
  return pipe;
}

/** For `afterAll`: releases what was opened and removes what was written. */
export async function closeAll(): Promise<void> {
  await Promise.all(pipelines.map((pipe) => pipe.release()));
  await closeRuntime();
  await Promise.all(temporary.map((folder) => rm(folder, { recursive: true })));
}

/** A run of Stable Diffusion to hold folders to. */
export const euler: GoldenRun = goldenRuns("stable-diffusion").euler!;

/** Stable Diffusion in closed form. */
export function parts(change: Partial<WrittenFolder["networks"]> = {}): WrittenFolder {
  return {
    index: { _class_name: "ORTStableDiffusionPipeline" },
    networks: {
      unet: { model: nets.unet(), config: { in_channels: 4, sample_size: 8, cross_attention_dim: 8 } },
      text_encoder: { model: clipText({ hiddenStates: false }), config: {} },
      vae_decoder: { model: nets.vaeDecoder(), config: { latent_channels: 4, block_out_channels: [4, 8] } },
      ...(change as WrittenFolder["networks"]),
    },
    tokenizers: { tokenizer: "clip" },
    scheduler: euler.scheduler,
  };
}

/** A folder with these parts. */
export async function written(folder: WrittenFolder = parts()): Promise<string> {
  const path = await newFolder();
  await writeFolder(path, folder);
  return path;
}

/** A model whose inputs have other axes. */
export function reshaped(model: Model, shapes: Readonly<Record<string, Shape>>): Model {
  const inputs = model.graph.inputs.map((input) => ({ ...input, shape: shapes[input.name] ?? input.shape! }));
  return { ...model, graph: { ...model.graph, inputs } };
}
