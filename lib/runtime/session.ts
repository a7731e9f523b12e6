import { availableParallelism } from "node:os";
import { basename } from "node:path";
import {
  computeInFloat16,
  decodeModel,
  encodeModel,
  expectUnchanged,
  externalFolderOf,
  loadModel,
  type Model,
  tensorsOf,
  type ValueInfo,
} from "../onnx/index.js";
import { bytesPerElement, sizeOf, type Tensor } from "../tensor/index.js";
import type {
  Backend,
  BackendOptions,
  BackendSession,
  Feeds,
  GraphOptimizationLevel,
  ModelSource,
  RuntimeStats,
} from "./backend.js";
import { type Device, type DeviceChoice, resolveDevices } from "./devices.js";
import { RuntimeError } from "./errors.js";
import { checkFeeds, checkOutputNames } from "./feeds.js";
import { openingBytes, reserveMemory } from "./memory.js";
import { onnxruntime } from "./onnxruntime.js";
import type { ResidentTensor } from "./resident.js";
import { currentSignal } from "./task.js";

export interface SessionOptions {
  /** Default "auto": CUDA where the runtime was built with it, else the CPU. */
  readonly device?: Device | "auto";
  /** Threads inside one operator; default as many as the process may use. */
  readonly threads?: number;
  /**
   * Whether threads wait for each other by looking all the time: best for runs of milliseconds on a machine of one's own.
   * On a shared one it takes the processors from those who have work. Default true; training sets it to false.
   */
  readonly spinning?: boolean;
  /**
   * "float16" computes matrix products and convolutions, and what lies between them, in half precision, as
   * `computeInFloat16` says: on GPUs half the memory and faster. Inputs and outputs stay as they are. Default "float32", that
   * is as the model says.
   */
  readonly precision?: "float32" | "float16";
  /** Outputs that runs are going to `retain`: on WebGPU they then stay in the device's memory. */
  readonly resident?: readonly string[];
  /** Default "all". */
  readonly graphOptimizationLevel?: GraphOptimizationLevel;
  /** Where weights outside the model are: their folder, or their contents by location; known for files and after `loadModel`. */
  readonly externalData?: string | Readonly<Record<string, Uint8Array>>;
  /** Most bytes that opening, or one run, may be expected to take. */
  readonly memoryBudgetBytes?: number;
  /** Withdraws the opening; default that of the notebook cell. */
  readonly signal?: AbortSignal;
  /** How errors call the model; default its file's or its graph's name. */
  readonly name?: string;
  /** What executes the graph; default ONNX Runtime in a worker thread. */
  readonly backend?: Backend;
}

export interface RunOptions {
  /** Outputs to compute; default all. */
  readonly fetches?: readonly string[];
  /** Outputs that stay with the runtime and come back as `ResidentTensor`. */
  readonly retain?: readonly string[];
  /** Withdraws a run that has not started; one that has is finished and its result dropped. Default that of the cell. */
  readonly signal?: AbortSignal;
}

/**
 * Loads a model for execution. Runs happen outside this thread, which stays responsive.
 * @param model a model value, the bytes of an `.onnx` file (copied), or its path
 * @throws MemoryBudgetError before anything is loaded, if the model does not fit
 * @throws RuntimeError if ONNX Runtime refuses the model, or is known to crash on it (looked for in model values alone); RangeError on a device it was not built for
 */
export async function openSession(model: Model | Uint8Array | string, options: SessionOptions = {}): Promise<Session> {
  currentSignal()?.throwIfAborted();
  const { signal = currentSignal(), memoryBudgetBytes, backend = onnxruntime } = options;
  const { threads = availableParallelism(), graphOptimizationLevel = "all" } = options;
  signal?.throwIfAborted();
  const name = options.name ?? nameOf(model);
  if (options.precision === "float16") {
    return openSession(computeInFloat16(await decoded(model)), { ...options, name, precision: "float32" });
  }
  reserveMemory(`openSession: ${name}`, openingBytes(model), memoryBudgetBytes);
  if (isModel(model)) await expectUnchanged(model.graph);
  const externalData = isModel(model) ? externalDataOf(model, options.externalData, name) : options.externalData;
  const source = async (device: Device): Promise<ModelSource> => {
    if (!isModel(model)) return { model, owned: false, name };
    const fatal = backend.fatal?.(model, device);
    if (fatal !== undefined) throw new RuntimeError("openSession", name, fatal);
    return { model: encodeModel((await backend.specialize?.(model, device)) ?? model), owned: true, name };
  };
  const choices = await resolveDevices(backend, options.device ?? "auto");
  const { opened, device, deviceNote } = await openOnFirst(choices, backend, source, {
    threads,
    spinning: options.spinning,
    graphOptimizationLevel,
    resident: options.resident ?? [],
    externalData,
    signal,
  });
  const known = isModel(model) ? model.graph : undefined;
  return new Session(opened, {
    name,
    device,
    deviceNote,
    memoryBudgetBytes,
    inputs: opened.inputs.map((input) => withShape(input, known?.inputs)),
    outputs: opened.outputs.map((output) => withShape(output, known?.outputs)),
  });
}

/** Puts a tensor where sessions run, to be fed many times without copying. */
export function uploadTensor(tensor: Tensor, backend: Backend = onnxruntime): Promise<ResidentTensor> {
  return backend.upload(tensor);
}

/** Devices the runtime was built for. Whether this machine has them shows when a model is opened on one. */
export function listDevices(backend: Backend = onnxruntime): Promise<readonly Device[]> {
  return backend.devices();
}

/** The device on which sessions open that ask for none. */
export async function defaultDevice(backend: Backend = onnxruntime): Promise<Device> {
  return (await resolveDevices(backend, "auto"))[0]!.device;
}

/** What is open now. */
export function runtimeStats(backend: Backend = onnxruntime): RuntimeStats {
  return backend.stats();
}

/** Ends the runtime with all its sessions and resident tensors; pending work rejects, the next use starts afresh. */
export function closeRuntime(backend: Backend = onnxruntime): Promise<void> {
  return backend.close();
}

interface SessionFacts {
  readonly name: string;
  readonly device: Device;
  readonly deviceNote: string | undefined;
  readonly memoryBudgetBytes: number | undefined;
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
}

/** A model ready to run. `release` it, or declare it with `await using`. */
export class Session {
  readonly name: string;
  readonly device: Device;
  /** Why the device is not the one that was hoped for. */
  readonly deviceNote: string | undefined;
  /** What to feed: names, dtypes, shapes as far as known. */
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  readonly #backend: BackendSession;
  readonly #memoryBudgetBytes: number | undefined;
  #released: Promise<void> | undefined;

  /** @internal Use `openSession`. */
  constructor(backend: BackendSession, facts: SessionFacts) {
    this.#backend = backend;
    this.name = facts.name;
    this.device = facts.device;
    this.deviceNote = facts.deviceNote;
    this.inputs = facts.inputs;
    this.outputs = facts.outputs;
    this.#memoryBudgetBytes = facts.memoryBudgetBytes;
  }

  /**
   * Computes outputs from a value for every input. Feeds are copied when called, so they may be changed afterwards;
   * runs of all sessions execute one after another in the order of the calls.
   * @returns the outputs by name; those in `retain` as resident tensors, to be disposed by the caller
   * @throws TypeError on unknown, missing or wrongly typed feeds and after `release`; RangeError on wrong shapes;
   * MemoryBudgetError before the run starts; RuntimeError if the execution fails; the signal's reason if it fired
   */
  run(feeds: Feeds, options?: RunOptions & { readonly retain?: readonly never[] }): Promise<Record<string, Tensor>>;
  run(feeds: Feeds, options?: RunOptions): Promise<Record<string, Tensor | ResidentTensor>>;
  async run(feeds: Feeds, options: RunOptions = {}): Promise<Record<string, Tensor | ResidentTensor>> {
    currentSignal()?.throwIfAborted();
    const { signal = currentSignal(), retain = [] } = options;
    if (this.#released) throw new TypeError(`Session.run: ${this.name} was released; open it again`);
    signal?.throwIfAborted();
    checkFeeds(feeds, this.inputs, this.name);
    const asked = options.fetches ?? this.outputs.map((o) => o.name);
    const fetches = [...new Set([...asked, ...retain])];
    checkOutputNames(fetches, this.outputs, this.name);
    reserveMemory(`Session.run: ${this.name}`, this.#runBytes(feeds, fetches), this.#memoryBudgetBytes);
    return this.#backend.run(feeds, { fetches, retain, signal });
  }

  /** Frees the model after the runs asked for before. Doing it twice does no harm. */
  release(): Promise<void> {
    this.#released ??= this.#backend.release();
    return this.#released;
  }

  /**
   * Milliseconds that all runs so far took inside the runtime itself: what of a computation's time is the network's. Copying
   * feeds and outputs and waiting for other sessions' runs are not in it.
   */
  get runMs(): number {
    return this.#backend.runMs;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }

  toString(): string {
    return `Session(${this.name} on ${this.device})`;
  }

  /** Copies of the feeds, and the outputs twice: in the runtime and on their way out. Inner values are not known here. */
  #runBytes(feeds: Feeds, fetches: readonly string[]): number {
    let bytes = 0;
    for (const feed of Object.values(feeds)) if ("data" in feed) bytes += feed.byteLength;
    for (const { name, dtype, shape } of this.outputs) {
      const fixed = shape?.filter((d) => typeof d === "number");
      if (dtype && fixed && fetches.includes(name)) bytes += 2 * bytesPerElement(dtype) * sizeOf(fixed);
    }
    return bytes;
  }
}

function isModel(model: Model | Uint8Array | string): model is Model {
  return typeof model === "object" && "graph" in model;
}

function decoded(model: Model | Uint8Array | string): Model | Promise<Model> {
  if (isModel(model)) return model;
  return typeof model === "string" ? loadModel(model) : decodeModel(model);
}

function nameOf(model: Model | Uint8Array | string): string {
  if (typeof model === "string") return basename(model);
  return isModel(model) ? model.graph.name || "model" : `model of ${model.byteLength} bytes`;
}

/**
 * Where the weights outside a model are: what the caller says, else the folder it was loaded from.
 * @throws TypeError if that is not known, or not one folder
 */
function externalDataOf(model: Model, given: SessionOptions["externalData"], name: string): SessionOptions["externalData"] {
  if (typeof given === "string") return given;
  let folder: string | undefined;
  for (const { name: initializer, data } of tensorsOf(model.graph)) {
    if (data.kind !== "external" || (given && data.location in given)) continue;
    const from = externalFolderOf(data);
    if (from === undefined || given || (folder !== undefined && from !== folder)) {
      throw new TypeError(
        `openSession: ${name} keeps "${initializer}" in the file "${data.location}"; pass one folder or the files' bytes as externalData`,
      );
    }
    folder = from;
  }
  return given ?? folder;
}

async function openOnFirst(
  choices: readonly DeviceChoice[],
  backend: Backend,
  source: (device: Device) => Promise<ModelSource>,
  options: Omit<BackendOptions, "device">,
): Promise<{ opened: BackendSession; device: Device; deviceNote: string | undefined }> {
  let deviceNote: string | undefined;
  for (const { device, optional } of choices) {
    const offered = await source(device);
    try {
      const opened = await backend.open(offered, { ...options, device });
      return { opened, device, deviceNote };
    } catch (error) {
      if (!(error instanceof RuntimeError) || device === "cpu") throw error;
      const why = backend.explain?.(device, error.detail) ?? error.detail;
      if (!optional) {
        throw new RuntimeError("openSession", offered.name, `${device} does not work here: ${why}; or use device "cpu"`);
      }
      deviceNote = `${device} was tried first and does not work here: ${why}. It runs on the CPU; device: "cpu" or TWEEDIE_DEVICE=cpu asks for that at once`;
      warnOnce(deviceNote);
    }
  }
  throw new TypeError("openSession: no device to try");
}

const warned: Set<string> = new Set();

/** Says it on the error stream, the first time. */
function warnOnce(note: string): void {
  if (warned.has(note)) return;
  warned.add(note);
  process.emitWarning(note, { type: "DeviceWarning" });
}

/** The model's own declaration of an axis list is better than the runtime's, which cannot tell a scalar from an unknown rank. */
function withShape(info: ValueInfo, declared: readonly ValueInfo[] | undefined): ValueInfo {
  const shape = declared?.find((d) => d.name === info.name)?.shape ?? info.shape;
  return shape === undefined ? info : { ...info, shape };
}
