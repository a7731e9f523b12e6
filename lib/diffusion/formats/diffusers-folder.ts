import { join } from "node:path";
import { nearestNames } from "../../runtime/feeds.js";
import { fileInside, folderInside, type JsonFile, kindOf, namesInside, readJson, shown } from "./folder-files.js";
import { ModelFolderError } from "./model-folder-error.js";
import {
  type NetworkPart,
  type Part,
  type PipelineClass,
  partFolders,
  pipelineClasses,
  plainClassName,
  type TokenizerPart,
  unconditional,
} from "./pipeline-classes.js";

/** A network of the pipeline. */
export interface Network {
  /** Path of its `.onnx` file. */
  readonly model: string;
  readonly config: JsonFile;
}

/** A Diffusers pipeline exported to ONNX, as Optimum or Diffusers' own scripts lay it out. */
export interface DiffusersFolder {
  readonly path: string;
  /** The Python class without an exporter's prefix, such as StableDiffusionPipeline. */
  readonly pipelineClass: string;
  readonly kind: PipelineClass;
  /** `model_index.json`. */
  readonly index: JsonFile;
  readonly networks: Readonly<Partial<Record<NetworkPart, Network>>> & { readonly network: Network };
  readonly controlNets: readonly Network[];
  /** Folders of the tokenizers' files. */
  readonly tokenizers: Readonly<Partial<Record<TokenizerPart, string>>>;
  readonly scheduler: JsonFile;
  /** What was filled in. */
  readonly notes: readonly string[];
}

export interface ReadFolderOptions {
  /** Which of several exports of a network, as in `model_fp16.onnx`; default `model.onnx`, or the only one there is. */
  readonly variant?: string | undefined;
  /** Open the folder as this class, whatever it says itself. */
  readonly pipelineClass?: string | undefined;
}

const fix = "export the pipeline with Optimum (optimum-cli export onnx), which writes model_index.json and one folder per part";

/**
 * Finds and checks the parts of a pipeline folder: `model_index.json`, one folder per part with `config.json` and an `.onnx`
 * file, tokenizers, `scheduler/scheduler_config.json`. A folder that is a lone network, with the two files in it, is an
 * unconditional or class-conditional pipeline. Nothing large is read.
 * @throws ModelFolderError if a part is missing, malformed, or a link that leads out of the folder
 */
export async function readDiffusersFolder(path: string, options: ReadFolderOptions = {}): Promise<DiffusersFolder> {
  const kind = await kindOf(path);
  if (kind !== "a folder") throw new ModelFolderError(path, "a folder with model_index.json", kind, fix);
  if ((await kindOf(join(path, "model_index.json"))) === "nothing" && (await kindOf(join(path, "config.json"))) === "a file") {
    return readLoneNetwork(path, options);
  }
  const index = await readJson(path, "model_index.json", fix);
  const { name, known, hasConfigs } = classOf(index, options.pipelineClass);
  const wanted = [...known.required, ...(known.optional ?? [])];
  const folders = new Map<Part, string>();
  for (const part of wanted) {
    const folder = await firstFolder(path, partFolders[part]);
    if (folder !== undefined) folders.set(part, folder);
    else if (known.required.includes(part)) await throwMissing(path, partFolders[part][0]!);
  }
  const networks: Partial<Record<NetworkPart, Network>> = {};
  const tokenizers: Partial<Record<TokenizerPart, string>> = {};
  for (const [part, folder] of folders) {
    if (part.startsWith("tokenizer")) tokenizers[part as TokenizerPart] = await folderInside(path, folder);
    else networks[part as NetworkPart] = await readNetwork(path, folder, hasConfigs, options.variant);
  }
  const scheduler = await readScheduler(path);
  return {
    path,
    pipelineClass: name,
    kind: known,
    index,
    networks: networks as DiffusersFolder["networks"],
    controlNets: known.controlled ? await readControlNets(path, hasConfigs, options.variant) : [],
    tokenizers,
    ...scheduler,
  };
}

/** The class that a folder names, or that it is to be opened as. @throws ModelFolderError with the nearest if there is none such */
function classOf(
  { file, values }: JsonFile,
  asked: string | undefined,
): { name: string; known: PipelineClass; hasConfigs: boolean } {
  const given = asked ?? (Object.hasOwn(values, "_class_name") ? values._class_name : undefined);
  const name = typeof given === "string" ? plainClassName(given) : undefined;
  if (name !== undefined && Object.hasOwn(pipelineClasses, name)) {
    // Diffusers' own exports have no configuration beside a network, and its pipeline knows the numbers by heart.
    return { name, known: pipelineClasses[name]!, hasConfigs: !String(given).startsWith("Onnx") };
  }
  const names = Object.keys(pipelineClasses);
  const near = name === undefined ? [] : nearestNames(name.slice(0, 100), names);
  throw new ModelFolderError(
    file,
    `_class_name one of ${names.join(", ")}`,
    shown(given),
    `${near.length > 0 ? `did you mean ${near.join(" or ")}? ` : ""}pass { pipelineClass } to open it as one of them`,
  );
}

async function firstFolder(root: string, candidates: readonly string[]): Promise<string | undefined> {
  for (const name of candidates) if ((await kindOf(join(root, name))) === "a folder") return name;
  return undefined;
}

async function throwMissing(root: string, name: string): Promise<never> {
  throw new ModelFolderError(join(root, name), "a folder", await kindOf(join(root, name)), fix);
}

async function readNetwork(root: string, folder: string, hasConfigs: boolean, variant: string | undefined): Promise<Network> {
  const file = join(folder, "config.json");
  const isBare = !hasConfigs && (await kindOf(join(root, file))) === "nothing";
  return {
    model: await modelFile(root, folder, variant),
    config: isBare ? { file: join(root, file), values: {} } : await readJson(root, file, fix),
  };
}

/** The `.onnx` file of a part: the variant asked for, else `model.onnx`, else the only one. */
async function modelFile(root: string, folder: string, variant: string | undefined): Promise<string> {
  const names = await namesInside(root, folder);
  const models = names.filter((name) => name.endsWith(".onnx"));
  const stems = variant === undefined ? ["model"] : [`model_${variant}`, `model.${variant}`, variant];
  const [only] = models;
  const name = stems.map((stem) => `${stem}.onnx`).find((candidate) => models.includes(candidate));
  if (name !== undefined) return fileInside(root, join(folder, name));
  if (variant === undefined && models.length === 1) return fileInside(root, join(folder, only!));
  const expected = `${stems[0]}.onnx`;
  if (models.length === 0) {
    const weights = names.find((other) => /\.(safetensors|bin|pt|msgpack)$/.test(other));
    throw new ModelFolderError(join(root, folder, expected), "a file", weights ?? "nothing", fix);
  }
  throw new ModelFolderError(
    join(root, folder, expected),
    "a file",
    models.join(", "),
    `pass { variant: "${only!.replace(/^model[_.]|\.onnx$/g, "")}" } to open another`,
  );
}

async function readControlNets(root: string, hasConfigs: boolean, variant: string | undefined): Promise<Network[]> {
  const found: Network[] = [];
  // MultiControlNetModel writes controlnet, controlnet_1, controlnet_2, …
  for (let i = 0; ; i++) {
    const folder = i === 0 ? "controlnet" : `controlnet_${i}`;
    if ((await kindOf(join(root, folder))) !== "a folder") return found;
    found.push(await readNetwork(root, folder, hasConfigs, variant));
  }
}

/** The scheduler's configuration in its folder or, of the oldest models, beside the index. */
async function readScheduler(root: string, mayLack = false): Promise<Pick<DiffusersFolder, "scheduler" | "notes">> {
  const [usual, old] = [join("scheduler", "scheduler_config.json"), "scheduler_config.json"] as const;
  const isThere = async (file: string): Promise<boolean> => (await kindOf(join(root, file))) !== "nothing";
  if (!(await isThere(usual)) && (await isThere(old))) return { scheduler: await readJson(root, old), notes: [] };
  if (!mayLack || (await isThere(usual))) return { scheduler: await readJson(root, usual, fix), notes: [] };
  return {
    scheduler: { file: join(root, old), values: { _class_name: "DDPMScheduler" } },
    notes: ["there is no scheduler_config.json beside the network: DDPM's, 1000 linear steps, is assumed"],
  };
}

/** A folder with a network's two files in it. */
async function readLoneNetwork(path: string, { variant, pipelineClass }: ReadFolderOptions): Promise<DiffusersFolder> {
  const config = await readJson(path, "config.json");
  const network = { model: await modelFile(path, ".", variant), config };
  const asked = pipelineClass === undefined ? undefined : classOf(config, pipelineClass);
  const kind = asked?.known ?? unconditional;
  const missing = kind.required.find((part) => part !== "network");
  if (missing !== undefined) await throwMissing(path, partFolders[missing][0]!);
  const { _class_name: className } = config.values;
  return {
    path,
    pipelineClass: asked?.name ?? (typeof className === "string" ? className.slice(0, 100) : "UNet2DModel"),
    kind,
    index: config,
    networks: { network },
    controlNets: [],
    tokenizers: {},
    ...(await readScheduler(path, true)),
  };
}
