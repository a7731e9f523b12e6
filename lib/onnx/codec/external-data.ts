import { open, realpath, stat } from "node:fs/promises";
import { isAbsolute, join, relative, win32 } from "node:path";
import { arrayFromBytes, Tensor } from "../../tensor/index.js";
import type { Attribute, Graph, Initializer, InitializerData, Model } from "../graph.js";
import { ModelFormatError } from "./model-format-error.js";

/** Initializer data in a file beside the model. */
export type ExternalData = Extract<InitializerData, { readonly kind: "external" }>;

/** A file that weights are in, as it was when the model was loaded. */
interface WeightFile {
  readonly folder: string;
  readonly path: string;
  readonly sizeBytes: number;
  readonly modifiedMs: number;
  /** It is the model's own file, not one beside it. */
  readonly ownFile: boolean;
}

// Spreads of models and initializers keep the data object.
const files = new WeakMap<ExternalData, WeightFile>();

/** The folder of a loaded initializer's file; undefined for data that `loadModel` did not read. */
export function externalFolderOf(data: ExternalData): string | undefined {
  return files.get(data)?.folder;
}

/** Whether the data were left in the file that the model was loaded from. */
export function isInModelFile(data: InitializerData): boolean {
  return data.kind === "external" && files.get(data)?.ownFile === true;
}

/**
 * Checks that the files of a loaded graph's weights are those that were there when it was loaded: references into others
 * would give other numbers.
 * @throws ModelFormatError naming the file
 */
export async function expectUnchanged(graph: Graph): Promise<void> {
  const unique = new Set<WeightFile>();
  for (const { data } of tensorsOf(graph)) {
    const file = data.kind === "external" ? files.get(data) : undefined;
    if (file) unique.add(file);
  }
  for (const file of unique) await expectSame(file);
}

async function expectSame({ path, sizeBytes, modifiedMs }: WeightFile): Promise<void> {
  const now = await stat(path).catch(() => undefined);
  if (now?.size === sizeBytes && now.mtimeMs === modifiedMs) return;
  const what = now === undefined ? "is gone" : "was changed";
  throw new ModelFormatError(`readInitializer: the file with the weights ${what} since the model was loaded; load it again`, {
    path,
  });
}

/** Names of the files beside a model that hold its weights, in order. */
export function externalFilesOf(graph: Graph): string[] {
  const names = new Set<string>();
  for (const { data } of tensorsOf(graph)) if (data.kind === "external") names.add(data.location);
  return [...names].sort();
}

/**
 * The initializer's elements: a view of its bytes, or read from its file.
 * @param folder the model's folder; may be left out for a model from `loadModel`
 * @throws ModelFormatError if the file lies outside the folder, is missing or too short
 */
export async function readInitializer(initializer: Initializer, folder?: string): Promise<Tensor> {
  const { dtype, shape, data } = initializer;
  return new Tensor(dtype, arrayFromBytes(dtype, await readBytes(data, folder)), shape);
}

/** As `readInitializer`, the bytes. */
export async function readBytes(data: InitializerData, folder?: string): Promise<Uint8Array> {
  if (data.kind === "bytes") return data.bytes;
  const bytes = new Uint8Array(data.length);
  let at = 0;
  for await (const chunk of chunksOf(data, folder)) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

const chunkBytes = 2 ** 23;

/** The data piece by piece; a piece read from a file is overwritten by the next. */
export async function* chunksOf(data: InitializerData, folder?: string): AsyncGenerator<Uint8Array, void, undefined> {
  if (data.kind === "bytes") {
    // Node hashes and writes at most 2 GiB at once.
    for (let at = 0; at < data.bytes.length; at += chunkBytes) yield data.bytes.subarray(at, at + chunkBytes);
    return;
  }
  const file = await open(await pathOf(data, folder));
  try {
    const chunk = new Uint8Array(Math.min(data.length, chunkBytes));
    for (let done = 0; done < data.length; ) {
      const { bytesRead } = await file.read(chunk, 0, Math.min(chunk.length, data.length - done), data.offset + done);
      if (bytesRead === 0) throw new ModelFormatError(`readInitializer: "${data.location}" became shorter while it was read`);
      yield chunk.subarray(0, bytesRead);
      done += bytesRead;
    }
  } finally {
    await file.close();
  }
}

async function pathOf(data: ExternalData, folder: string | undefined): Promise<string> {
  const known = files.get(data);
  if (folder !== undefined) {
    const file = await findFile(data.location, folder);
    expectRoom(data, file);
    return file.path;
  }
  if (known === undefined) {
    throw new TypeError(`readInitializer: expected the folder that "${data.location}" is in; pass it or use loadModel`);
  }
  await expectSame(known);
  return known.path;
}

/**
 * Checks every reference of a graph to files and remembers these for reading them later.
 * @param modelFile name of the model's own file, if weights were left in it
 */
export async function attachFolder(graph: Graph, folder: string, modelFile?: string): Promise<void> {
  const found = new Map<string, WeightFile>();
  for (const { data } of tensorsOf(graph)) {
    if (data.kind !== "external") continue;
    const { location } = data;
    const file = found.get(location) ?? { ...(await findFile(location, folder)), ownFile: location === modelFile };
    found.set(location, file);
    expectRoom(data, file);
    files.set(data, file);
  }
}

function refuse({ location }: Pick<ExternalData, "location">, folder: string, what: string): never {
  throw new ModelFormatError(`loadModel: external data "${location}" ${what}`, { path: folder });
}

/**
 * An initializer's file, which must be inside the folder, links followed: a model from elsewhere must not read other
 * files of this computer.
 */
async function findFile(location: string, folder: string): Promise<Omit<WeightFile, "ownFile">> {
  const no = (what: string): never => refuse({ location }, folder, what);
  if (isAbsolute(location) || win32.isAbsolute(location) || /(^|[\\/])\.\.([\\/]|$)|\0/.test(location)) {
    return no("must be a path inside the model's folder");
  }
  const root = await realpath(folder);
  const path = await realpath(join(root, location)).catch(() => no("does not exist; keep it beside the model"));
  const inside = relative(root, path);
  if (inside === ".." || /^\.\.[\\/]/.test(inside) || isAbsolute(inside)) {
    no("is a link to outside the model's folder; put the file itself there");
  }
  const found = await stat(path);
  if (!found.isFile()) no("is no regular file");
  return { folder: root, path, sizeBytes: found.size, modifiedMs: found.mtimeMs };
}

function expectRoom(data: ExternalData, { folder, sizeBytes }: Pick<WeightFile, "folder" | "sizeBytes">): void {
  const end = data.offset + data.length;
  if (end > sizeBytes) refuse(data, folder, `must have ${end} bytes, got ${sizeBytes}; the file is truncated`);
}

/**
 * The model with tensors of few bytes brought in from the files beside it: shapes and other arguments of operators must be
 * in the model for shape inference, the runtime's too. Exporters that move everything out break that.
 * @param thresholdBytes tensors of fewer are brought in
 */
export async function withSmallDataInside(model: Model, thresholdBytes = 1024): Promise<Model> {
  const replacements = new Map<InitializerData, InitializerData>();
  for (const { data } of tensorsOf(model.graph)) {
    if (data.kind === "external" && data.length < thresholdBytes)
      replacements.set(data, { kind: "bytes", bytes: await readBytes(data) });
  }
  return replacements.size === 0 ? model : replaceData(model, replacements);
}

/** Every tensor stored in a graph: initializers and tensor attributes, those of subgraphs too. */
export function* tensorsOf(graph: Graph): Generator<Initializer, void, undefined> {
  yield* graph.initializers;
  for (const node of graph.nodes) {
    for (const a of Object.values(node.attributes)) {
      if (a.type === "tensor") yield a.value;
      else if (a.type === "graph") yield* tensorsOf(a.value);
      else if (a.type === "graphs") for (const body of a.value) yield* tensorsOf(body);
    }
  }
}

/** The model with the data of some tensors replaced; all else stays the same object. */
export function replaceData(model: Model, replacements: ReadonlyMap<InitializerData, InitializerData>): Model {
  const graph = replaceInGraph(model.graph, replacements);
  return graph === model.graph ? model : { ...model, graph };
}

type Replacements = ReadonlyMap<InitializerData, InitializerData>;

function replaceInGraph(graph: Graph, replacements: Replacements): Graph {
  const initializers = mapChanged(graph.initializers, (t) => replaceInTensor(t, replacements));
  const nodes = mapChanged(graph.nodes, (node) => {
    const entries = Object.entries(node.attributes);
    const changed = mapChanged(entries, (entry): [string, Attribute] => {
      const attribute = replaceInAttribute(entry[1], replacements);
      return attribute === entry[1] ? entry : [entry[0], attribute];
    });
    return changed === entries ? node : { ...node, attributes: Object.fromEntries(changed) };
  });
  return initializers === graph.initializers && nodes === graph.nodes ? graph : { ...graph, initializers, nodes };
}

function replaceInTensor(tensor: Initializer, replacements: Replacements): Initializer {
  const data = replacements.get(tensor.data);
  return data === undefined ? tensor : { ...tensor, data };
}

function replaceInAttribute(a: Attribute, replacements: Replacements): Attribute {
  if (a.type === "tensor") {
    const value = replaceInTensor(a.value, replacements);
    return value === a.value ? a : { type: "tensor", value };
  }
  if (a.type === "graph") {
    const value = replaceInGraph(a.value, replacements);
    return value === a.value ? a : { type: "graph", value };
  }
  if (a.type === "graphs") {
    const value = mapChanged(a.value, (body) => replaceInGraph(body, replacements));
    return value === a.value ? a : { type: "graphs", value };
  }
  return a;
}

/** `list.map(change)`; the list itself where nothing changes. */
function mapChanged<T>(list: readonly T[], change: (item: T) => T): readonly T[] {
  let changed = false;
  const out = list.map((item) => {
    const next = change(item);
    changed ||= next !== item;
    return next;
  });
  return changed ? out : list;
}
