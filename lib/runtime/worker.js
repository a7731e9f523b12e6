/**
 * Hosts ONNX Runtime in a worker thread: its `run` blocks the thread it is called on.
 * Plain JavaScript, so that worker_threads can load it from the sources and from a build alike.
 *
 * One request is answered at a time, in the order of arrival. Session and tensor ids are unique within this thread.
 *
 * @typedef {{ dtype: string, shape: number[], data: ArrayBufferView }} WireTensor
 * @typedef {{ id: number, dtype: string, shape: number[] }} WireResident
 * @typedef {{ value: unknown, transfer?: ArrayBuffer[] }} Answer
 */
import { existsSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { parentPort, workerData } from "node:worker_threads";
import ort from "onnxruntime-node";

ort.env.logLevel = "fatal";

const ortFolder = dirname(createRequire(import.meta.url).resolve("onnxruntime-node"));

/** @type {Map<number, { session: ort.InferenceSession, device: string }>} */
const sessions = new Map();
/** @type {Map<number, ort.Tensor>} */
const tensors = new Map();
let lastId = 0;

/** @param {WireTensor} wire */
function toOrt({ dtype, shape, data }) {
  return new ort.Tensor(dtype, data, shape);
}

/** Newer Node versions hand out Float16Array; half floats travel as 16-bit patterns everywhere. @param {ort.Tensor} tensor */
function toWire(tensor) {
  if (Array.isArray(tensor.data)) throw new Error("string tensors are not supported as outputs; cut the graph before them");
  const { data } = tensor;
  const half = tensor.type === "float16" && !(data instanceof Uint16Array);
  return {
    dtype: tensor.type,
    shape: [...tensor.dims],
    data: half ? new Uint16Array(data.buffer, data.byteOffset, data.length) : data,
  };
}

/** @param {ort.Tensor} tensor @returns {WireResident} */
function keep(tensor) {
  const id = ++lastId;
  tensors.set(id, tensor);
  return { id, dtype: tensor.type, shape: [...tensor.dims] };
}

/** Sessions that copy a value, by dtype. @type {Map<string, Promise<ort.InferenceSession>>} */
const copiers = new Map();
/** @type {Record<string, Uint8Array> | undefined} */
let copierModels;

/**
 * Reading a value in a device's memory ends the process (onnxruntime-node 1.30), so a graph of one operator copies it.
 * @param {ort.Tensor} tensor @returns {Promise<ort.Tensor>}
 */
async function inMemory(tensor) {
  if (tensor.location === "cpu") return tensor;
  let copier = copiers.get(tensor.type);
  if (copier === undefined) {
    const options = { executionProviders: ["webgpu", "cpu"], logSeverityLevel: 4 };
    copier = ort.InferenceSession.create(copierModels[tensor.type], options);
    copiers.set(tensor.type, copier);
  }
  return (await (await copier).run({ x: tensor })).y;
}

/** @param {number} id */
function kept(id) {
  const tensor = tensors.get(id);
  if (tensor === undefined) throw new Error(`resident tensor ${id} was disposed`);
  return tensor;
}

/** @param {readonly ort.InferenceSession.ValueMetadata[]} metadata */
function describe(metadata) {
  return metadata.map((m) => ({ name: m.name, dtype: m.type, shape: m.shape }));
}

/** @type {Record<string, (request: any) => Promise<Answer>>} */
const operations = {
  async open({ source, options, copiers: models }) {
    copierModels ??= models;
    const session = await ort.InferenceSession.create(source, options);
    const id = ++lastId;
    sessions.set(id, { session, device: options.executionProviders[0] });
    return { value: { id, inputs: describe(session.inputMetadata), outputs: describe(session.outputMetadata) } };
  },

  async run({ session, feeds, fetches, retain }) {
    /** @type {Record<string, ort.Tensor>} */
    const inputs = {};
    const open = sessions.get(session);
    for (const [name, feed] of feeds) {
      if (typeof feed !== "number") inputs[name] = toOrt(feed);
      else inputs[name] = open.device === "webgpu" ? kept(feed) : await inMemory(kept(feed));
    }
    // An empty list would mean every output to ONNX Runtime.
    const started = performance.now();
    const results = fetches.length > 0 ? await open.session.run(inputs, fetches) : {};
    const runMs = performance.now() - started;
    const staying = new Set(retain);
    const transfer = [];
    const outputs = [];
    for (const name of fetches) {
      if (staying.has(name)) {
        outputs.push([name, keep(results[name])]);
        continue;
      }
      const wire = toWire(await inMemory(results[name]));
      if (results[name].location !== "cpu") results[name].dispose();
      transfer.push(wire.data.buffer);
      outputs.push([name, wire]);
    }
    return { value: { outputs, runMs }, transfer };
  },

  async release({ session }) {
    const open = sessions.get(session);
    sessions.delete(session);
    await open?.session.release();
    return { value: undefined };
  },

  async upload({ tensor }) {
    return { value: keep(toOrt(tensor)) };
  },

  async read({ id }) {
    const tensor = kept(id);
    const wire = toWire(await inMemory(tensor));
    if (tensor.location === "cpu") wire.data = wire.data.slice();
    return { value: wire, transfer: [wire.data.buffer] };
  },

  async providers() {
    // CUDA and TensorRT are named by every Linux build, though their libraries come in a separate download.
    const binaries = join(ortFolder, "../bin/napi-v6", process.platform, process.arch);
    const files = existsSync(binaries) ? readdirSync(binaries) : [];
    const usable = ort.listSupportedBackends().filter((b) => b.bundled || files.some((f) => f.includes(`providers_${b.name}`)));
    return { value: usable.map((b) => b.name) };
  },
};

/** Tells the main thread, which may be waiting to end the process, that no native code runs. */
function rest() {
  Atomics.store(workerData.busy, 0, 0);
  Atomics.notify(workerData.busy, 0);
}

parentPort.on("message", async (request) => {
  if (request.operation === "free") {
    for (const id of request.ids) {
      const tensor = tensors.get(id);
      tensors.delete(id);
      if (tensor !== undefined && tensor.location !== "cpu") tensor.dispose();
    }
    return;
  }
  try {
    const { value, transfer } = await operations[request.operation](request).finally(rest);
    parentPort.postMessage({ value }, transfer);
  } catch (error) {
    parentPort.postMessage({ error: error instanceof Error ? error.message : String(error) });
  }
});
