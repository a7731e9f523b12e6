import {
  blockConvolutions,
  blockedDomain,
  encodeModel,
  hasComputedKernels,
  type Model,
  productsOfEmptyAsGemm,
  type ValueInfo,
} from "../onnx/index.js";
import { allocate, type DType, type DTypeArrays, dtypes, Tensor, zeros } from "../tensor/index.js";
import type { Backend, BackendOptions, BackendRun, BackendSession, Feeds, ModelSource, RuntimeStats } from "./backend.js";
import { explainFailure } from "./device-failure.js";
import { allDevices, type Device } from "./devices.js";
import { RuntimeError } from "./errors.js";
import { fatalNode } from "./fatal-nodes.js";
import { type ResidentStore, ResidentTensor } from "./resident.js";
import { WorkerChannel } from "./worker-channel.js";

interface WireTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: DTypeArrays[DType];
}

interface WireResident {
  readonly id: number;
  readonly dtype: DType;
  readonly shape: readonly number[];
}

interface WireValueInfo {
  readonly name: string;
  readonly dtype?: string;
  readonly shape?: readonly (number | string)[];
}

/** Copies a tensor's data into a buffer of its own, which can be given away without detaching the caller's. */
function toWire(tensor: Tensor, transfer: ArrayBuffer[]): WireTensor {
  const data = allocate(tensor.dtype, tensor.size);
  (data as Uint8Array).set(tensor.data as Uint8Array);
  transfer.push(data.buffer as ArrayBuffer);
  return { dtype: tensor.dtype, shape: tensor.shape, data };
}

function fromWire({ dtype, shape, data }: WireTensor): Tensor {
  return new Tensor(dtype, data, shape);
}

/** ONNX Runtime reports an unknown rank as it reports a scalar, `[]`, so that `[]` says nothing; "" is an unnamed axis. */
function toValueInfo({ name, dtype, shape }: WireValueInfo): ValueInfo {
  const known = dtypes.find((d) => d === dtype);
  return {
    name,
    ...(known === undefined ? {} : { dtype: known }),
    ...(shape === undefined || shape.length === 0 ? {} : { shape: shape.map((d) => (d === "" ? undefined : d)) }),
  };
}

/** A worker thread with ONNX Runtime in it and the count of what lives there. */
class OnnxRuntimeWorker extends WorkerChannel implements ResidentStore {
  sessions = 0;
  residentTensors = 0;
  residentBytes = 0;

  hold({ id, dtype, shape }: WireResident): ResidentTensor {
    const tensor = new ResidentTensor(this, id, dtype, shape);
    this.residentTensors++;
    this.residentBytes += tensor.byteLength;
    return tensor;
  }

  async read(id: number): Promise<Tensor> {
    return fromWire(await this.request<WireTensor>({ operation: "read", id }));
  }

  free(id: number, byteLength: number): void {
    this.residentTensors--;
    this.residentBytes -= byteLength;
    this.discard(id);
  }
}

interface WireRun {
  readonly outputs: readonly (readonly [name: string, value: WireTensor | WireResident])[];
  readonly runMs: number;
}

interface OpenedSession {
  readonly id: number;
  readonly inputs: readonly WireValueInfo[];
  readonly outputs: readonly WireValueInfo[];
}

const collected = new FinalizationRegistry<() => Promise<void>>((release) => {
  release().catch(() => {});
});

class OnnxRuntimeSession implements BackendSession {
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  runMs = 0;
  readonly #worker: OnnxRuntimeWorker;
  readonly #id: number;
  readonly #name: string;
  readonly #release: () => Promise<void>;

  constructor(worker: OnnxRuntimeWorker, opened: OpenedSession, name: string) {
    const { id } = opened;
    this.#worker = worker;
    this.#id = id;
    this.#name = name;
    this.inputs = opened.inputs.map(toValueInfo);
    this.outputs = opened.outputs.map(toValueInfo);
    // Holds the worker and the id, never the session, which the registry would keep alive.
    this.#release = async () => {
      worker.sessions--;
      await worker.request({ operation: "release", session: id }).catch((error: Error) => {
        if (worker.alive) throw new RuntimeError("Session.release", name, error.message);
      });
    };
    worker.sessions++;
    collected.register(this, this.#release, this);
  }

  async run(feeds: Feeds, { fetches, retain, signal }: BackendRun): Promise<Record<string, Tensor | ResidentTensor>> {
    const transfer: ArrayBuffer[] = [];
    const wireFeeds = Object.entries(feeds).map(([name, feed]) => [name, this.#feed(name, feed, transfer)]);
    const request = { operation: "run", session: this.#id, feeds: wireFeeds, fetches, retain };
    const done = await this.#worker.request<WireRun>(request, transfer, signal).catch((error: Error) => {
      if (signal?.aborted) throw signal.reason;
      const half = /requires f16 but the device does not support/.test(error.message);
      const advice = half ? '; the device does not compute in float16: open the model with precision "float32"' : "";
      throw new RuntimeError("Session.run", this.#name, `${error.message}${advice}`);
    });
    this.runMs += done.runMs;
    const outputs: Record<string, Tensor | ResidentTensor> = {};
    for (const [name, result] of done.outputs) {
      outputs[name] = "id" in result ? this.#worker.hold(result) : fromWire(result);
    }
    if (signal?.aborted) {
      for (const output of Object.values(outputs)) if (output instanceof ResidentTensor) output.dispose();
      throw signal.reason;
    }
    return outputs;
  }

  async release(): Promise<void> {
    collected.unregister(this);
    await this.#release();
  }

  #feed(name: string, feed: Tensor | ResidentTensor, transfer: ArrayBuffer[]): WireTensor | number {
    if (!(feed instanceof ResidentTensor)) return toWire(feed, transfer);
    if (feed.disposed) throw new TypeError(`Session.run: ${name} is ${feed}, which was disposed; keep it until the run`);
    if (feed.store !== this.#worker) {
      throw new TypeError(`Session.run: ${name} is ${feed} of another or a stopped backend; upload it again`);
    }
    return feed.id;
  }
}

let worker: OnnxRuntimeWorker | undefined;

/** The one worker all sessions share: tensors that stay in it can pass from session to session. */
function currentWorker(): OnnxRuntimeWorker {
  if (worker === undefined || !worker.alive) worker = new OnnxRuntimeWorker();
  return worker;
}

/** ONNX Runtime's Node binding in a worker thread. Runs are executed one after another in the order they were asked for. */
export const onnxruntime: Backend = {
  name: "onnxruntime-node",

  async devices(): Promise<readonly Device[]> {
    const providers = await currentWorker().request<string[]>({ operation: "providers" });
    return allDevices.filter((device) => providers.includes(device));
  },

  fatal: ({ graph }, device) => (device === "cpu" ? fatalNode(graph) : undefined),

  async specialize(model: Model, device: Device): Promise<Model> {
    if (device === "webgpu") return productsOfEmptyAsGemm(model);
    if (device !== "cpu" || !hasComputedKernels(model.graph)) return model;
    convolutionBlock ??= measureConvolutionBlock();
    const block = await convolutionBlock;
    return block > 1 ? blockConvolutions(model, block) : model;
  },

  async open({ model, owned, name }: ModelSource, options: BackendOptions): Promise<BackendSession> {
    const host = currentWorker();
    const transfer: ArrayBuffer[] = [];
    const source = typeof model === "string" ? model : giveAway(model, owned, transfer);
    const { signal } = options;
    const copiers = options.device === "webgpu" ? copierModels() : undefined;
    const request = { operation: "open", source, options: toOrtOptions(options, transfer), copiers };
    const opened = await host.request<OpenedSession>(request, transfer, signal).catch((error: Error) => {
      throw signal?.aborted ? signal.reason : new RuntimeError("openSession", name, error.message);
    });
    const session = new OnnxRuntimeSession(host, opened, name);
    if (signal?.aborted) {
      await session.release();
      throw signal.reason;
    }
    return session;
  },

  explain: (device, detail) => explainFailure(device, detail),

  async upload(tensor: Tensor): Promise<ResidentTensor> {
    const host = currentWorker();
    const transfer: ArrayBuffer[] = [];
    return host.hold(await host.request<WireResident>({ operation: "upload", tensor: toWire(tensor, transfer) }, transfer));
  },

  stats(): RuntimeStats {
    if (worker === undefined || !worker.alive) return { sessions: 0, residentTensors: 0, residentBytes: 0 };
    const { sessions, residentTensors, residentBytes } = worker;
    return { sessions, residentTensors, residentBytes };
  },

  async close(): Promise<void> {
    await worker?.terminate();
  },
};

let convolutionBlock: Promise<number> | undefined;

/** Channels in a block of this machine's convolution kernels: what padding to whole blocks makes of four. 1 if it has none. */
async function measureConvolutionBlock(): Promise<number> {
  const reorder = {
    name: "reorder",
    opType: "ReorderInput",
    domain: blockedDomain,
    inputs: ["x"],
    outputs: ["y"],
    attributes: {},
  };
  const model: Model = {
    irVersion: 8,
    opsets: [
      { domain: "", version: 18 },
      { domain: blockedDomain, version: 1 },
    ],
    graph: {
      name: "convolution block",
      nodes: [reorder],
      initializers: [],
      inputs: [{ name: "x", dtype: "float32", shape: [1, 4, 1, 1] }],
      outputs: [{ name: "y" }],
      valueInfo: [],
    },
  };
  const source = { model: encodeModel(model), owned: true, name: model.graph.name };
  try {
    const options = { device: "cpu", threads: 1, graphOptimizationLevel: "disabled", resident: [] } as const;
    const session = await onnxruntime.open(source, options);
    const { y } = await session.run({ x: zeros([1, 4, 1, 1]) }, { fetches: ["y"], retain: [] });
    await session.release();
    return y!.shape[1]!;
  } catch (error) {
    if (error instanceof RuntimeError) return 1;
    throw error;
  }
}

/** Models of one Identity for each dtype, by which the worker fetches what lies in a device's memory. */
function copierModels(): Readonly<Record<string, Uint8Array>> {
  const copier = (dtype: DType): Uint8Array =>
    encodeModel({
      irVersion: 8,
      opsets: [{ domain: "", version: 18 }],
      graph: {
        name: `copy of ${dtype}`,
        nodes: [{ name: "copy", opType: "Identity", domain: "", inputs: ["x"], outputs: ["y"], attributes: {} }],
        initializers: [],
        inputs: [{ name: "x", dtype }],
        outputs: [{ name: "y", dtype }],
        valueInfo: [],
      },
    });
  return Object.fromEntries(dtypes.filter((d) => d !== "bfloat16").map((dtype) => [dtype, copier(dtype)]));
}

/** The bytes in a buffer that can be transferred: their own if the caller gave them up and they fill it, else a copy. */
function giveAway(bytes: Uint8Array, owned: boolean, transfer: ArrayBuffer[]): Uint8Array {
  const whole = owned && bytes.buffer instanceof ArrayBuffer && bytes.byteLength === bytes.buffer.byteLength;
  const own = whole ? bytes : new Uint8Array(bytes);
  transfer.push(own.buffer as ArrayBuffer);
  return own;
}

function toOrtOptions(options: BackendOptions, transfer: ArrayBuffer[]): Record<string, unknown> {
  const { device, threads, spinning = true, graphOptimizationLevel, resident, externalData } = options;
  const folder = typeof externalData === "string" ? externalData : undefined;
  const contents = typeof externalData === "object" ? Object.entries(externalData) : [];
  return {
    executionProviders: device === "cpu" ? ["cpu"] : [device, "cpu"],
    intraOpNumThreads: threads,
    graphOptimizationLevel,
    ...(device === "webgpu" && { preferredOutputLocation: Object.fromEntries(resident.map((name) => [name, "gpu-buffer"])) }),
    logSeverityLevel: 4, // what goes wrong is thrown; it need not be printed too
    externalData: contents.map(([path, data]) => ({ path, data: giveAway(data, false, transfer) })),
    extra: {
      session: {
        // Each session has its own threads; between runs they must not spin on cores that others need.
        force_spinning_stop: "1",
        intra_op: { allow_spinning: spinning ? "1" : "0" },
        ...(folder === undefined ? {} : { model_external_initializers_file_folder_path: folder }),
      },
    },
  };
}
