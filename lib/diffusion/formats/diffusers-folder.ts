import { readFile, realpath, stat } from "node:fs/promises";
import { join, sep } from "node:path";
import { ModelFolderError } from "./model-folder-error.js";

/** A parsed JSON object; `file` is named in errors about its fields. */
export interface JsonFile {
  readonly file: string;
  readonly values: Readonly<Record<string, unknown>>;
}

/** A network of the pipeline. */
export interface Network {
  /** Path of `model.onnx`. */
  readonly model: string;
  readonly config: JsonFile;
}

/** A Diffusers pipeline exported to ONNX, as Optimum lays it out. What a pipeline may lack is undefined. */
export interface DiffusersFolder {
  readonly path: string;
  /** The Python class, such as StableDiffusionPipeline. */
  readonly pipelineClass: string;
  readonly unet: Network;
  readonly scheduler: JsonFile;
  readonly textEncoder: Network | undefined;
  /** Folder of the tokenizer's files. */
  readonly tokenizer: string | undefined;
  readonly vaeDecoder: Network | undefined;
  readonly vaeEncoder: Network | undefined;
}

/** Parts each pipeline class cannot do without. */
const requiredParts: Readonly<Record<string, readonly string[]>> = {
  StableDiffusionPipeline: ["unet", "text_encoder", "tokenizer", "vae_decoder"],
  DDPMPipeline: ["unet"],
  DDIMPipeline: ["unet"],
};

const layout =
  "export the pipeline with Optimum (optimum-cli export onnx), which writes model_index.json and one folder per part";

/**
 * Finds and checks the parts of a pipeline folder: `model_index.json`, `scheduler/scheduler_config.json`, `unet/`, and
 * `text_encoder/`, `tokenizer/`, `vae_decoder/`, `vae_encoder/` where the pipeline has them. Nothing large is read.
 * @throws ModelFolderError if a part is missing, malformed, or a link that leads out of the folder
 */
export async function readDiffusersFolder(path: string): Promise<DiffusersFolder> {
  const kind = await stat(path).catch(() => undefined);
  if (!kind?.isDirectory()) {
    throw new ModelFolderError(path, "a folder with model_index.json", kind === undefined ? "nothing" : "a file", layout);
  }
  const index = await readJson(path, "model_index.json");
  const pipelineClass = String(index.values._class_name ?? "").replace(/^(ORT|Onnx)/, "");
  const required = requiredParts[pipelineClass];
  if (required === undefined) {
    throw new ModelFolderError(
      index.file,
      `_class_name one of ${Object.keys(requiredParts).join(", ")}`,
      JSON.stringify(index.values._class_name ?? null),
    );
  }
  const network = async (name: string): Promise<Network | undefined> => {
    if (!(await present(path, name, required))) return undefined;
    return { model: await fileInside(path, join(name, "model.onnx")), config: await readJson(path, join(name, "config.json")) };
  };
  const [unet, textEncoder, vaeDecoder, vaeEncoder, scheduler, hasTokenizer] = await Promise.all([
    network("unet"),
    network("text_encoder"),
    network("vae_decoder"),
    network("vae_encoder"),
    readJson(path, join("scheduler", "scheduler_config.json")),
    present(path, "tokenizer", required),
  ]);
  return {
    path,
    pipelineClass,
    unet: unet as Network,
    scheduler,
    textEncoder,
    tokenizer: hasTokenizer ? join(path, "tokenizer") : undefined,
    vaeDecoder,
    vaeEncoder,
  };
}

async function present(root: string, part: string, required: readonly string[]): Promise<boolean> {
  const folder = join(root, part);
  const kind = await stat(folder).catch(() => undefined);
  if (kind?.isDirectory()) return true;
  if (required.includes(part)) throw new ModelFolderError(folder, "a folder", kind === undefined ? "nothing" : "a file", layout);
  return false;
}

/** The path of a file that exists and really lies in the folder. */
async function fileInside(root: string, relative: string): Promise<string> {
  const path = join(root, relative);
  const real = await realpath(path).catch(() => undefined);
  if (real === undefined || !(await stat(real)).isFile()) throw new ModelFolderError(path, "a file", "nothing", layout);
  if (!real.startsWith((await realpath(root)) + sep)) {
    throw new ModelFolderError(path, "a file inside the model folder", `a link to ${real}`, "copy the file into the folder");
  }
  return path;
}

async function readJson(root: string, relative: string): Promise<JsonFile> {
  const file = await fileInside(root, relative);
  const text = await readFile(file, "utf8");
  let value: unknown;
  try {
    // Python writes infinities bare, which JSON does not have.
    value = JSON.parse(text.replace(/(:\s*)(-?Infinity)(?=\s*[,}])/g, '$1"$2"'));
  } catch (error) {
    throw new ModelFolderError(file, "JSON", `${JSON.stringify(text.slice(0, 40))} (${(error as Error).message})`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ModelFolderError(file, "a JSON object", text.slice(0, 40));
  }
  return { file, values: value as Record<string, unknown> };
}

/** A number of a config, or `otherwise` where it is absent or null. @throws ModelFolderError if it is something else */
export function numberIn(config: JsonFile, key: string, otherwise?: number): number {
  const value = config.values[key] ?? otherwise;
  if (typeof value !== "number" || !Number.isFinite(value)) {
    throw new ModelFolderError(config.file, `a number "${key}"`, JSON.stringify(value ?? null));
  }
  return value;
}

/** A list of numbers of a config. @throws ModelFolderError if it is something else */
export function numbersIn(config: JsonFile, key: string): readonly number[] {
  const value = config.values[key];
  if (!Array.isArray(value) || !value.every((n) => typeof n === "number")) {
    throw new ModelFolderError(config.file, `a list of numbers "${key}"`, JSON.stringify(value ?? null));
  }
  return value as number[];
}
