import { createHash } from "node:crypto";
import { createReadStream, existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { HookedModel } from "../../hooks/index.js";
import type { Shape } from "../../onnx/index.js";
import type { SessionOptions } from "../../runtime/index.js";
import type { ControlNet } from "../pipelines/control.js";
import type { LatentSpace } from "../pipelines/latent-space.js";
import type { NetworkInputs } from "../pipelines/network-inputs.js";
import { Pipeline } from "../pipelines/pipeline.js";
import { type DiffusersFolder, readDiffusersFolder } from "./diffusers-folder.js";
import { families } from "./families.js";
import { flagIn, optionalCountIn } from "./folder-files.js";
import { type HubOptions, isHubSource, resolveHubModel } from "./hub/index.js";
import { latentSpaceOf } from "./latent-space.js";
import { ModelFolderError } from "./model-folder-error.js";
import { denoisingInputs, hooked, type OpenNetworkOptions, type ReadModel, readModel } from "./open-network.js";
import type { NetworkPart, TokenizerPart } from "./pipeline-classes.js";
import { runDefaults, schedulerOf } from "./scheduler-of.js";
import { loadTokenizer, type PromptTokenizer } from "./tokenizers/index.js";

export interface LoadOptions {
  /** How the networks' sessions are opened. */
  readonly session?: SessionOptions;
  /** Compiled variants of a network kept open, as in `HookedModelOptions`. */
  readonly maxSessions?: number;
  /** Which of several exports of each network, as in `model_fp16.onnx`. */
  readonly variant?: string;
  /** Open the folder as this pipeline class, whatever it says itself. */
  readonly pipelineClass?: string;
  /** How a model of the hub is had. */
  readonly hub?: Omit<HubOptions, "variant">;
  /** Told what was not as expected; default `console.warn`. */
  readonly onNote?: (note: string) => void;
}

/** Folder of a model that comes with the library, for its name; anything else is returned as it is. */
function embeddedFolder(source: string): string {
  if (!/^[a-z][a-z0-9-]*$/.test(source) || existsSync(source)) return source;
  const root = new URL(import.meta.url.includes("/dist/lib/") ? "../../../../models/" : "../../../models/", import.meta.url);
  const folder = fileURLToPath(new URL(`${source}/`, root));
  return existsSync(join(folder, "model_index.json")) ? folder : source;
}

/**
 * Opens a pipeline that comes with the library, by name ("shapes"); one of the hub, "hub:owner/name@revision"; or a Diffusers
 * pipeline exported to ONNX: a folder with `model_index.json` and one folder per part, as Optimum and Diffusers' own scripts
 * write it, or with a lone unconditional network. `pipelineClasses` lists what opens. Networks are compiled when they are first run.
 * @throws ModelFolderError, naming the file, if a part is missing or is not what the pipeline needs; ModelFormatError if a
 *   network's file is damaged or reaches outside its folder; HubError if a model of the hub cannot be had
 */
export async function load(source: string, options: LoadOptions = {}): Promise<Pipeline> {
  const { onNote = console.warn, session, maxSessions, variant, pipelineClass } = options;
  const path = isHubSource(source)
    ? await resolveHubModel(source, { ...options.hub, ...(variant !== undefined && { variant }) })
    : embeddedFolder(source);
  const folder = await readDiffusersFolder(path, { variant, pipelineClass });
  const family = families[folder.kind.family];
  const notes = [...folder.notes];
  const opening: OpenNetworkOptions = { session, maxSessions, note: (text) => notes.push(text) };
  const schedulerConfig = schedulerOf(folder);

  const read = await mapValues(folder.networks, (network) => readModel(network, opening));
  const tokenizers = await mapValues(folder.tokenizers, (path) => loadTokenizer(path));
  for (const part of Object.keys(tokenizers) as TokenizerPart[]) expectVocabulary(folder, part, tokenizers[part]!);
  const inputs = denoisingInputs(folder.networks.network, read.network!.model);
  const { space, networkChannels } = latentSpaceOf(folder, inputs.sample, family);
  const axes = axesOf({ folder, inputs, tokenizers, space, networkChannels });
  const opened: Partial<Record<NetworkPart, HookedModel>> = {};
  for (const [part, { model }] of Object.entries(read) as [NetworkPart, ReadModel][]) {
    opened[part] = hooked(folder.networks[part]!, model, axes[part](model.graph.inputs[0]!.name), opening);
  }
  const networks = opened as typeof opened & { network: HookedModel };
  const controlNets: ControlNet[] = [];
  const controlFiles: string[] = [];
  for (const network of folder.controlNets) {
    const { model, dataFiles } = await readModel(network, opening);
    controlNets.push({
      network: hooked(network, model, {}, opening),
      globalPool: flagIn(network.config, "global_pool_conditions", false),
    });
    controlFiles.push(network.model, ...dataFiles);
  }
  const conditioner = family.conditioner({ folder, networks, tokenizers, space });
  const digest = await digestOf(folder, read, controlFiles);
  for (const note of notes) onNote(note);
  const layout = family.layout?.(folder);
  const more = [networks.text_encoder_2, networks.text_encoder_3].filter((network) => network !== undefined);
  return new Pipeline({
    pipelineClass: folder.pipelineClass,
    digest,
    network: networks.network,
    conditioner,
    moreTextEncoders: more,
    controlNets,
    networkChannels,
    scalesPicture: flagIn(folder.index, "is_cosxl_edit", false),
    strengthChoosesLevels: family.strengthChoosesLevels ?? false,
    latentSpace: space,
    schedulerConfig,
    defaults: runDefaults(folder, conditioner),
    notes,
    ...(layout && { layout }),
    ...(networks.text_encoder && { textEncoder: networks.text_encoder }),
    ...(tokenizers.tokenizer && { tokenizer: tokenizers.tokenizer }),
    ...(networks.vae_decoder && { vaeDecoder: networks.vae_decoder }),
    ...(networks.vae_encoder && { vaeEncoder: networks.vae_encoder }),
  });
}

/** What is known of the axes of each part's inputs; text encoders and autoencoders have one that matters, their first. */
function axesOf(known: {
  readonly folder: DiffusersFolder;
  readonly inputs: NetworkInputs;
  readonly tokenizers: Readonly<Partial<Record<TokenizerPart, PromptTokenizer>>>;
  readonly space: LatentSpace;
  readonly networkChannels: number;
}): Readonly<Record<NetworkPart, (first: string) => Record<string, Shape>>> {
  const { folder, inputs, tokenizers, space, networkChannels } = known;
  const { channels, size, factor } = space;
  const text = inputs.conditions.get("encoder_hidden_states");
  const width = optionalCountIn(folder.networks.network.config, "cross_attention_dim");
  return {
    network: () => ({
      [inputs.sample.name]: ["batch", networkChannels, size, size],
      ...(text && { [text.name]: ["batch", tokenizers.tokenizer?.maxLength, width] }),
    }),
    text_encoder: (ids) => ({ [ids]: ["batch", tokenizers.tokenizer?.maxLength] }),
    text_encoder_2: (ids) => ({ [ids]: ["batch", tokenizers.tokenizer_2?.maxLength] }),
    text_encoder_3: (ids) => ({ [ids]: ["batch", tokenizers.tokenizer_3?.maxLength] }),
    vae_decoder: (latent) => ({ [latent]: ["batch", channels, size, size] }),
    vae_encoder: (picture) => ({ [picture]: ["batch", 3, size * factor, size * factor] }),
  };
}

/** The values of an object, each made into another, one after the other. */
async function mapValues<K extends string, T, R>(
  object: Readonly<Partial<Record<K, T>>>,
  change: (value: T) => Promise<R>,
): Promise<Partial<Record<K, R>>> {
  const changed: Partial<Record<K, R>> = {};
  for (const [key, value] of Object.entries(object) as [K, T][]) changed[key] = await change(value);
  return changed;
}

/** @throws ModelFolderError if a tokenizer has tokens that its text encoder has no embedding for */
function expectVocabulary(folder: DiffusersFolder, part: TokenizerPart, tokenizer: PromptTokenizer): void {
  const encoder = folder.networks[part.replace("tokenizer", "text_encoder") as NetworkPart];
  const size = encoder && optionalCountIn(encoder.config, "vocab_size");
  if (size !== undefined && tokenizer.vocabularySize > size) {
    const found = String(tokenizer.vocabularySize);
    throw new ModelFolderError(String(folder.tokenizers[part]), `at most ${size} tokens, the text encoder's vocab_size`, found);
  }
}

/** Digest of the networks' files with their weights and of the scheduler's configuration, in a fixed order. */
async function digestOf(
  folder: DiffusersFolder,
  read: Readonly<Partial<Record<NetworkPart, ReadModel>>>,
  controlFiles: readonly string[],
): Promise<string> {
  const order: readonly NetworkPart[] = [
    "network",
    "text_encoder",
    "text_encoder_2",
    "text_encoder_3",
    "vae_decoder",
    "vae_encoder",
  ];
  const files = order.flatMap((part) => (read[part] ? [folder.networks[part]!.model, ...read[part].dataFiles] : []));
  const digest = createHash("sha256");
  for (const file of [...files, ...controlFiles, folder.scheduler.file]) {
    if (existsSync(file)) for await (const chunk of createReadStream(file)) digest.update(chunk as Buffer);
  }
  return digest.digest("hex");
}
