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

/** @type {Map<number, ort.InferenceSession>} */
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
  async open({ source, options }) {
    const session = await ort.InferenceSession.create(source, options);
    const id = ++lastId;
    sessions.set(id, session);
    return { value: { id, inputs: describe(session.inputMetadata), outputs: describe(session.outputMetadata) } };
  },

  async run({ session, feeds, fetches, retain }) {
    /** @type {Record<string, ort.Tensor>} */
    const inputs = {};
    for (const [name, feed] of feeds) inputs[name] = typeof feed === "number" ? kept(feed) : toOrt(feed);
    // An empty list would mean every output to ONNX Runtime.
    const results = fetches.length > 0 ? await sessions.get(session).run(inputs, fetches) : {};
    const staying = new Set(retain);
    const transfer = [];
    const value = fetches.map((name) => {
      if (staying.has(name)) return [name, keep(results[name])];
      const wire = toWire(results[name]);
      transfer.push(wire.data.buffer);
      return [name, wire];
    });
    return { value, transfer };
  },

  async release({ session }) {
    const open = sessions.get(session);
    sessions.delete(session);
    await open?.release();
    return { value: undefined };
  },

  async upload({ tensor }) {
    return { value: keep(toOrt(tensor)) };
  },

  async read({ id }) {
    const wire = toWire(kept(id));
    wire.data = wire.data.slice();
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
    for (const id of request.ids) tensors.delete(id);
    return;
  }
  try {
    const { value, transfer } = await operations[request.operation](request).finally(rest);
    parentPort.postMessage({ value }, transfer);
  } catch (error) {
    parentPort.postMessage({ error: error instanceof Error ? error.message : String(error) });
  }
});
