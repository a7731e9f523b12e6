import { createHash } from "node:crypto";
import { createReadStream, existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { pipeline as pipe } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import type { HookedModel } from "../../hooks/index.js";
import { externalFilesOf, type Model, type Shape } from "../../onnx/index.js";
import type { SessionOptions } from "../../runtime/index.js";
import { Pipeline } from "../pipelines/pipeline.js";
import { type DiffusersFolder, readDiffusersFolder } from "./diffusers-folder.js";
import { families } from "./families.js";
import { optionalCountIn } from "./folder-files.js";
import { type HubOptions, isHubSource, resolveHubModel } from "./hub/index.js";
import { latentSpaceOf } from "./latent-space.js";
import { ModelFolderError } from "./model-folder-error.js";
import { denoisingInputs, hooked, type OpenNetworkOptions, readModel } from "./open-network.js";
import type { NetworkPart, TokenizerPart } from "./pipeline-classes.js";
import { runDefaults, schedulerOf } from "./scheduler-of.js";
import { loadTokenizer, type PromptTokenizer } from "./tokenizer.js";

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
  const schedulerConfig = schedulerOf(folder, family.schedulerOptions);

  const models = await mapValues(folder.networks, (network) => readModel(network, opening));
  const tokenizers = await mapValues(folder.tokenizers, (path) => loadTokenizer(path));
  for (const part of Object.keys(tokenizers) as TokenizerPart[]) expectVocabulary(folder, part, tokenizers[part]!);
  const inputs = denoisingInputs(folder.networks.network, models.network!);
  const space = latentSpaceOf(folder, inputs.sample, family);
  const text: Shape = [
    "batch",
    tokenizers.tokenizer?.maxLength,
    optionalCountIn(folder.networks.network.config, "cross_attention_dim"),
  ];
  const latent: Shape = ["batch", space.channels, space.size, space.size];
  const picture: Shape = ["batch", 3, space.size * space.factor, space.size * space.factor];
  const state: Shape = [
    "batch",
    optionalCountIn(folder.networks.network.config, "in_channels") ?? space.channels,
    space.size,
    space.size,
  ];
  const encoderText = inputs.conditions.get("encoder_hidden_states");
  const shapes: Readonly<Record<NetworkPart, (model: Model) => Record<string, Shape>>> = {
    network: () => ({ [inputs.sample.name]: state, ...(encoderText && { [encoderText.name]: text }) }),
    text_encoder: (model) => ({ [first(model)]: ["batch", tokenizers.tokenizer?.maxLength] }),
    text_encoder_2: (model) => ({ [first(model)]: ["batch", tokenizers.tokenizer_2?.maxLength] }),
    text_encoder_3: (model) => ({ [first(model)]: ["batch", tokenizers.tokenizer_3?.maxLength] }),
    vae_decoder: (model) => ({ [first(model)]: latent }),
    vae_encoder: (model) => ({ [first(model)]: picture }),
  };
  const opened: Partial<Record<NetworkPart, HookedModel>> = {};
  for (const [part, model] of Object.entries(models) as [NetworkPart, Model][]) {
    opened[part] = hooked(folder.networks[part]!, model, shapes[part](model), opening);
  }
  const networks = opened as typeof opened & { network: HookedModel };
  const controlNets: HookedModel[] = [];
  for (const network of folder.controlNets) controlNets.push(hooked(network, await readModel(network, opening), {}, opening));
  const conditioner = family.conditioner({ folder, networks, tokenizers, space });
  const digest = await digestOf(folder, models);
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
    networkChannels: state[1] as number,
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

function first({ graph }: Model): string {
  return graph.inputs[0]!.name;
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
async function digestOf(folder: DiffusersFolder, models: Readonly<Partial<Record<NetworkPart, Model>>>): Promise<string> {
  const order: readonly NetworkPart[] = [
    "network",
    "text_encoder",
    "text_encoder_2",
    "text_encoder_3",
    "vae_decoder",
    "vae_encoder",
  ];
  const files = order.flatMap((part) => {
    const path = folder.networks[part]?.model;
    return path === undefined ? [] : [path, ...externalFilesOf(models[part]!.graph).map((name) => join(dirname(path), name))];
  });
  const digest = createHash("sha256");
  for (const file of [...files, ...folder.controlNets.map((n) => n.model), folder.scheduler.file]) {
    if (existsSync(file)) await pipe(createReadStream(file), digest, { end: false });
  }
  return digest.digest("hex");
}
