// What the tests of the hub share: a server with a model, an empty cache, and no settings of this computer.
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { afterEach, beforeEach, expect, vi } from "vitest";
import { HubError, type HubOptions, resolveHubModel } from "../../../../../lib/diffusion/formats/hub/index.js";
import { encodeModel, type Initializer } from "../../../../../lib/onnx/index.js";
import { HubServer } from "./hub-server.js";

export const first: string = "1".repeat(40);
export const second: string = "2".repeat(40);

/** A network that adds a weight to its input. */
export function network(data: Initializer["data"]): Uint8Array {
  const value = { dtype: "float32", shape: [2] } as const;
  return encodeModel({
    irVersion: 8,
    opsets: [{ domain: "", version: 18 }],
    graph: {
      name: "add",
      nodes: [{ opType: "Add", domain: "", name: "add", inputs: ["x", "w"], outputs: ["y"], attributes: {} }],
      initializers: [{ name: "w", ...value, data }],
      inputs: [{ name: "x", ...value }],
      outputs: [{ name: "y", ...value }],
      valueInfo: [],
    },
  });
}

export const whole: Uint8Array = network({ kind: "bytes", bytes: new Uint8Array(8) });
export const split: Uint8Array = network({ kind: "external", location: "weights.pb", offset: 0, length: 8 });
export const weights: Uint8Array = new Uint8Array(300_000).map((_, i) => (i * 7919) >> 5);
export const pipeline: Readonly<Record<string, Uint8Array | string>> = {
  "model_index.json": '{"_class_name": "StableDiffusionPipeline"}',
  "scheduler/scheduler_config.json": "{}",
  "tokenizer/vocab.json": "{}",
  "tokenizer/merges.txt": "",
  "unet/config.json": "{}",
  "unet/model.onnx": split,
  "unet/weights.pb": weights,
  "unet/diffusion_pytorch_model.safetensors": "pytorch",
  "vae_decoder/model.onnx": whole,
  "text_encoder/pytorch_model.bin.index.json": "{}",
  "safety_checker/model.onnx": whole,
  "README.md": "# tiny",
};
export const needed: readonly string[] = Object.keys(pipeline).filter(
  (path) => !/safetensors|index\.json$|safety|README/.test(path) || path === "model_index.json",
);

export let server: HubServer;
export let cacheFolder: string;
export let options: HubOptions;

beforeEach(async () => {
  for (const name of ["HF_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE", "TWEEDIE_OFFLINE"]) vi.stubEnv(name, "");
  server = await HubServer.start();
  server.models["acme/tiny"] = { commits: { [first]: pipeline }, refs: { main: first, "fp16/test": first } };
  cacheFolder = await mkdtemp(join(tmpdir(), "hub-"));
  options = { endpoint: server.endpoint, cacheFolder, retries: 0 };
});
afterEach(async () => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  server.close();
  await rm(cacheFolder, { recursive: true });
});

export async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((e) => e.isFile())
    .map((e) => relative(folder, join(e.parentPath, e.name)))
    .filter((path) => !path.startsWith("."))
    .sort();
}

export async function failure(source: string, more: HubOptions = {}): Promise<HubError> {
  const error = await resolveHubModel(source, { ...options, ...more }).then(
    () => undefined,
    (e: unknown) => e,
  );
  expect(error).toBeInstanceOf(HubError);
  return error as HubError;
}
