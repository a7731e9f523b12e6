import { createHash } from "node:crypto";
import { createReadStream, existsSync } from "node:fs";
import { join } from "node:path";
import { pipeline as pipe } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { HookedModel } from "../../hooks/index.js";
import { loadModel, type Shape } from "../../onnx/index.js";
import type { SessionOptions } from "../../runtime/index.js";
import { type LatentSpace, Pipeline } from "../pipelines/pipeline.js";
import { scheduleFromConfig } from "../schedules/index.js";
import {
  type DiffusersFolder,
  type JsonFile,
  type Network,
  numberIn,
  numbersIn,
  readDiffusersFolder,
} from "./diffusers-folder.js";
import { ModelFolderError } from "./model-folder-error.js";
import { loadTokenizer, type PromptTokenizer } from "./tokenizer.js";

export interface LoadOptions {
  /** How the networks' sessions are opened. */
  readonly session?: SessionOptions;
  /** Compiled variants of a network kept open, as in `HookedModelOptions`. */
  readonly maxSessions?: number;
}

/** Folder of a model that comes with the library, for its name; anything else is returned as it is. */
function embeddedFolder(source: string): string {
  if (!/^[a-z][a-z0-9-]*$/.test(source) || existsSync(source)) return source;
  const root = new URL(import.meta.url.includes("/dist/lib/") ? "../../../../models/" : "../../../models/", import.meta.url);
  const folder = fileURLToPath(new URL(`${source}/`, root));
  return existsSync(join(folder, "model_index.json")) ? folder : source;
}

/**
 * Opens a pipeline that comes with the library, by name ("shapes"), or a Diffusers pipeline exported to ONNX: a folder with `model_index.json` and one folder per part, as Optimum
 * writes it. Networks are compiled when they are first run.
 * @throws ModelFolderError, naming the file, if a part is missing or is not what the pipeline needs
 */
export async function load(source: string, options: LoadOptions = {}): Promise<Pipeline> {
  const parts = await readDiffusersFolder(embeddedFolder(source));
  expectSchedule(parts.scheduler);
  const tokenizer = parts.tokenizer === undefined ? undefined : await loadTokenizer(parts.tokenizer);
  const space = latentSpace(parts);
  const unetConfig = parts.unet.config;
  const width = parts.textEncoder === undefined ? undefined : numberIn(unetConfig, "cross_attention_dim");
  const open = (network: Network, ...shapes: readonly Shape[]): Promise<HookedModel> => openNetwork(network, shapes, options);
  const image: Shape = [
    "batch",
    numberIn(parts.vaeEncoder?.config ?? unetConfig, "in_channels"),
    space.size * space.factor,
    space.size * space.factor,
  ];
  const latent: Shape = ["batch", space.channels, space.size, space.size];
  const [unet, textEncoder, vaeDecoder, vaeEncoder, digest] = await Promise.all([
    width === undefined ? open(parts.unet, latent, []) : open(parts.unet, latent, [], ["batch", tokenizer!.maxLength, width]),
    parts.textEncoder && open(parts.textEncoder, ["batch", tokenizer!.maxLength]),
    parts.vaeDecoder && open(parts.vaeDecoder, latent),
    parts.vaeEncoder && open(parts.vaeEncoder, image),
    digestOf(parts),
  ]);
  expectVocabulary(parts.textEncoder?.config, tokenizer, parts.tokenizer);
  return new Pipeline({
    pipelineClass: parts.pipelineClass,
    digest,
    network: unet,
    latentSpace: space,
    schedulerConfig: parts.scheduler.values,
    ...(textEncoder && { textEncoder }),
    ...(tokenizer && { tokenizer }),
    ...(vaeDecoder && { vaeDecoder }),
    ...(vaeEncoder && { vaeEncoder }),
  });
}

/** A network whose first inputs have these shapes; a timestep may be a scalar or have one entry per row. */
async function openNetwork(
  network: Network,
  shapes: readonly Shape[],
  { session, maxSessions }: LoadOptions,
): Promise<HookedModel> {
  const model = await loadModel(network.model);
  const { inputs } = model.graph;
  if (inputs.length !== shapes.length) {
    const names = inputs.map((v) => v.name).join(", ");
    throw new ModelFolderError(network.model, `a network with ${shapes.length} inputs`, `${inputs.length} (${names})`);
  }
  const inputShapes = Object.fromEntries(inputs.map((v, i) => [v.name, shapes[i]!.length === 0 ? (v.shape ?? []) : shapes[i]!]));
  return new HookedModel(model, {
    inputShapes,
    session: { name: network.model, ...session },
    ...(maxSessions !== undefined && { maxSessions }),
  });
}

function latentSpace({ unet, vaeDecoder }: DiffusersFolder): LatentSpace {
  const channels = numberIn(unet.config, "in_channels");
  const size = numberIn(unet.config, "sample_size");
  if (vaeDecoder === undefined) return { channels, size, factor: 1, scale: 1, shift: 0 };
  const { config } = vaeDecoder;
  const latentChannels = numberIn(config, "latent_channels", channels);
  if (latentChannels !== channels) {
    throw new ModelFolderError(config.file, `latent_channels ${channels}, the U-Net's in_channels`, String(latentChannels));
  }
  return {
    channels,
    size,
    factor: 2 ** (numbersIn(config, "block_out_channels").length - 1),
    // Diffusers' default, for configurations older than the field.
    scale: numberIn(config, "scaling_factor", 0.18215),
    shift: numberIn(config, "shift_factor", 0),
  };
}

/** A scheduler whose class and options are known; a run would find out too late. */
function expectSchedule({ file, values }: JsonFile): void {
  try {
    scheduleFromConfig(values);
  } catch (error) {
    throw new ModelFolderError(file, "a scheduler that tweedie has", (error as Error).message);
  }
}

function expectVocabulary(
  config: JsonFile | undefined,
  tokenizer: PromptTokenizer | undefined,
  folder: string | undefined,
): void {
  if (config === undefined || tokenizer === undefined) return;
  const size = numberIn(config, "vocab_size", tokenizer.vocabularySize);
  if (tokenizer.vocabularySize > size) {
    throw new ModelFolderError(
      String(folder),
      `at most ${size} tokens, the text encoder's vocab_size`,
      String(tokenizer.vocabularySize),
    );
  }
}

/** Digest of the networks' files and the scheduler's configuration, in a fixed order. */
async function digestOf({ unet, textEncoder, vaeDecoder, vaeEncoder, scheduler }: DiffusersFolder): Promise<string> {
  const digest = createHash("sha256");
  for (const file of [unet.model, textEncoder?.model, vaeDecoder?.model, vaeEncoder?.model, scheduler.file]) {
    if (file !== undefined) await pipe(createReadStream(file), digest, { end: false });
  }
  return digest.digest("hex");
}
