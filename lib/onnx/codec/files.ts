import { createHash, randomUUID } from "node:crypto";
import { type FileHandle, open, readdir, realpath, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { writeFileAtomic } from "../../tensor/index.js";
import type { InitializerData, Model } from "../graph.js";
import { decodeModel } from "./decode.js";
import { encodeModel } from "./encode.js";
import { attachFolder, chunksOf, isInModelFile, readBytes, replaceData, tensorsOf } from "./external-data.js";
import { hiddenLocations } from "./hidden-locations.js";
import { ModelFormatError } from "./model-format-error.js";
import { withoutWeights } from "./without-weights.js";

/** Protobuf's limit for one file. */
const maxFileBytes = 2 ** 31 - 1;

/** Where weights begin in their file: enough for vector loads from mapped memory. */
const alignment = 64;

/** Smaller weights are read with the model. */
const inPlaceThresholdBytes = 2 ** 12;

/** Options of `loadModel`. */
export interface LoadModelOptions {
  /**
   * Weights of a model file of at least this size are left in it, as if they were in a file beside it; 32 MiB by default.
   * Such a file must stay as it is while the model is in use.
   */
  readonly inPlaceFromBytes?: number;
}

/**
 * Reads an `.onnx` file. Weights in files beside it are checked and left on disk, as are those of a large model:
 * `readInitializer` reads one.
 * @throws ModelFormatError if the bytes are no model, or external data is missing, too short or outside the model's folder
 */
export async function loadModel(path: string, options: LoadModelOptions = {}): Promise<Model> {
  const inPlace = await loadInPlace(path, options.inPlaceFromBytes ?? 2 ** 25);
  if (inPlace !== undefined) return inPlace;
  const model = decodeModel(await readWhole(path), path);
  for (const location of hiddenLocations(model)) {
    throw new ModelFormatError(
      `loadModel: a tensor of an element type that is not known here, or inside a function, is in the file "${location}"; keep it in the model`,
      { path },
    );
  }
  await attachFolder(model.graph, dirname(path));
  return model;
}

/** The model with its weights left in its file; undefined if it is small, or damaged: then its errors name bytes of the file. */
async function loadInPlace(path: string, fromBytes: number): Promise<Model | undefined> {
  // A link's references are relative to the file itself.
  const target = await realpath(path).catch(() => path);
  const file = await open(target);
  try {
    const { size } = await file.stat();
    if (size < fromBytes || size > maxFileBytes) return undefined;
    const bytes = await withoutWeights(file, size, basename(target), inPlaceThresholdBytes);
    const model = bytes && decodeModel(bytes, path);
    if (model === undefined || [...hiddenLocations(model)].length > 0) return undefined;
    const linked = dirname(target) !== (await realpath(dirname(path)));
    const beside = [...tensorsOf(model.graph)].some(({ data }) => data.kind === "external" && data.location !== basename(target));
    if (linked && beside) return undefined; // weights in two folders
    await attachFolder(model.graph, dirname(target), basename(target));
    return model;
  } catch (error) {
    if (error instanceof ModelFormatError) return undefined;
    throw error;
  } finally {
    await file.close();
  }
}

/** Options of `saveModel`. */
export interface SaveModelOptions {
  /**
   * Whether weights go to a second file beside the model, `<name>.onnx.<digest>.data`.
   * By default they do where the model has weights in such a file already or would exceed 2 GiB.
   */
  readonly externalData?: boolean;
  /** Weights of fewer bytes stay in the model file, where shape inference can see them; 1024 by default. */
  readonly thresholdBytes?: number;
}

/**
 * Writes an `.onnx` file that others see complete or not at all. Weights are streamed, wherever they are now. The second
 * file is named after its content and stands before the model that refers to it; those of earlier versions are removed.
 * @throws RangeError if the model exceeds 2 GiB with `externalData: false`
 */
export async function saveModel(model: Model, path: string, options: SaveModelOptions = {}): Promise<void> {
  const split = options.externalData ?? outgrowsOneFile(model);
  const dataFile = split ? await saveSplit(model, path, options.thresholdBytes ?? 1024) : await saveWhole(model, path);
  await removeStaleData(path, dataFile);
}

function outgrowsOneFile(model: Model): boolean {
  const stored = [...tensorsOf(model.graph)].map((t) => t.data);
  // Nodes and names take the rest.
  return stored.some((data) => data.kind === "external" && !isInModelFile(data)) || totalBytes(stored) > maxFileBytes - 2 ** 26;
}

function lengthOf(data: InitializerData): number {
  return data.kind === "bytes" ? data.bytes.length : data.length;
}

function totalBytes(stored: Iterable<InitializerData>): number {
  let total = 0;
  for (const data of stored) total += lengthOf(data);
  return total;
}

/** What replaces external data where it is to be in the model file. */
async function inlined(stored: Iterable<InitializerData>): Promise<Map<InitializerData, InitializerData>> {
  const replacements = new Map<InitializerData, InitializerData>();
  for (const data of stored) {
    if (data.kind === "external") replacements.set(data, { kind: "bytes", bytes: await readBytes(data) });
  }
  return replacements;
}

async function saveWhole(model: Model, path: string): Promise<undefined> {
  const stored = new Set([...tensorsOf(model.graph)].map((t) => t.data));
  const total = totalBytes(stored);
  if (total > maxFileBytes) {
    throw new RangeError(`saveModel: ${total} bytes of weights exceed the 2 GiB of one file; pass { externalData: true }`);
  }
  await writeFileAtomic(path, [encodeModel(replaceData(model, await inlined(stored)))]);
}

/** Saves large weights to a second file and returns its name. */
async function saveSplit(model: Model, path: string, thresholdBytes: number): Promise<string | undefined> {
  // Tied weights share one data object and are written once.
  const stored = [...new Set([...tensorsOf(model.graph)].map((t) => t.data))];
  const large = stored.filter((data) => lengthOf(data) >= thresholdBytes);
  const replacements = await inlined(stored.filter((data) => lengthOf(data) < thresholdBytes));
  const location = large.length === 0 ? undefined : await writeData(large, path, replacements);
  await writeFileAtomic(path, [encodeModel(replaceData(model, replacements))]);
  return location;
}

/** Streams data into a file beside `path`, notes where each piece went, and returns the file's name. */
async function writeData(
  stored: readonly InitializerData[],
  path: string,
  placed: Map<InitializerData, InitializerData>,
): Promise<string> {
  const temporary = `${path}.${randomUUID()}.part`;
  const file = await open(temporary, "wx");
  try {
    const digest = createHash("sha256");
    const offsets: number[] = [];
    let at = 0;
    const append = async (bytes: Uint8Array): Promise<void> => {
      digest.update(bytes);
      await writeFully(file, bytes);
      at += bytes.length;
    };
    try {
      for (const data of stored) {
        await append(new Uint8Array((alignment - (at % alignment)) % alignment));
        offsets.push(at);
        for await (const chunk of chunksOf(data)) await append(chunk);
      }
      await file.sync();
    } finally {
      await file.close();
    }
    const location = `${basename(path)}.${digest.digest("hex").slice(0, 16)}.data`;
    for (const [i, data] of stored.entries()) {
      placed.set(data, { kind: "external", location, offset: offsets[i]!, length: lengthOf(data) });
    }
    await rename(temporary, join(dirname(path), location));
    return location;
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

async function writeFully(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length; ) done += (await file.write(bytes, done)).bytesWritten;
}

async function removeStaleData(path: string, current: string | undefined): Promise<void> {
  const folder = dirname(path);
  const base = `${basename(path)}.`;
  for (const name of await readdir(folder)) {
    const ours = name.startsWith(base) && /^[0-9a-f]{16}\.data$/.test(name.slice(base.length));
    if (ours && name !== current) await rm(join(folder, name), { force: true });
  }
}

async function readWhole(path: string): Promise<Uint8Array> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    if (size > maxFileBytes) {
      throw new ModelFormatError(`loadModel: a model file holds at most ${maxFileBytes} bytes, got ${size}`, { path });
    }
    const bytes = new Uint8Array(size);
    for (let done = 0; done < size; ) {
      const { bytesRead } = await file.read(bytes, done, size - done, done);
      if (bytesRead === 0) throw new ModelFormatError("loadModel: the file became shorter while it was read", { path });
      done += bytesRead;
    }
    return bytes;
  } finally {
    await file.close();
  }
}
