import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import ort from "onnxruntime-node";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { chunksOf } from "../../../../lib/onnx/codec/external-data.js";
import {
  encodeModel,
  externalFolderOf,
  type Initializer,
  initializerOf,
  loadModel,
  type Model,
  ModelFormatError,
  readInitializer,
  saveModel,
} from "../../../../lib/onnx/index.js";
import { float32 } from "../../../../lib/tensor/index.js";
import { leakyModel } from "./leaky-model.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tweedie-files-"));
});
afterEach(() => rm(folder, { recursive: true }));

function withInitializers(initializers: readonly Initializer[]): Model {
  return { ...leakyModel, graph: { ...leakyModel.graph, initializers } };
}

/** leakyModel with w [2, 3]: larger than the shape tensor, which onnxruntime must find in the model file. */
function withWeights(w: readonly number[]): Model {
  const { graph } = leakyModel;
  const outputs = [{ name: "y", dtype: "float32", shape: [undefined, 3] }] as const;
  const initializers = [initializerOf("w", float32(w, [2, 3])), graph.initializers[1]!];
  return { ...leakyModel, graph: { ...graph, initializers, outputs } };
}

const wideModel = withWeights([1, 0, 0, 0, -1, 0]);
const split = { externalData: true, thresholdBytes: 24 };

function withReference(location: string, offset = 0, length = 16): Model {
  const data = { kind: "external", location, offset, length } as const;
  return withInitializers([{ name: "w", dtype: "float32", shape: [2, 2], data }, leakyModel.graph.initializers[1]!]);
}

async function run(path: string): Promise<number[]> {
  const session = await ort.InferenceSession.create(path);
  const { y } = await session.run({ x: new ort.Tensor("float32", Float32Array.of(1, 2, 3, 4), [4]) });
  await session.release();
  return Array.from(y!.data as Float32Array);
}

describe("saveModel and loadModel", () => {
  test("a saved model is the one that is loaded, in one file", async () => {
    const path = join(folder, "m.onnx");
    await saveModel(leakyModel, path);
    expect(await loadModel(path)).toEqual(leakyModel);
    expect(await readdir(folder)).toEqual(["m.onnx"]);
  });

  test("weights from the threshold on go to a file that onnxruntime finds and readInitializer reads", async () => {
    const path = join(folder, "m.onnx");
    await saveModel(wideModel, path, split);
    expect(await run(path)).toEqual([1, -1, 0, 3, -2, 0]);
    const [w, shape] = (await loadModel(path)).graph.initializers;
    expect(w!.data).toMatchObject({ kind: "external", offset: 0, length: 24 });
    expect(shape).toEqual(wideModel.graph.initializers[1]);
    expect(await readInitializer(w!)).toEqual(float32([1, 0, 0, 0, -1, 0], [2, 3]));
    expect(await readInitializer(w!, folder)).toEqual(float32([1, 0, 0, 0, -1, 0], [2, 3]));
  });

  test("a loaded model with external weights saves to another folder, outside or inside one file", async () => {
    await saveModel(wideModel, join(folder, "m.onnx"), split);
    const model = await loadModel(join(folder, "m.onnx"));
    await mkdir(join(folder, "other"));
    await saveModel({ ...model, producerName: "other" }, join(folder, "other", "split.onnx"), { thresholdBytes: 24 });
    await saveModel(model, join(folder, "other", "whole.onnx"), { externalData: false });
    expect((await readdir(join(folder, "other"))).map((f) => f.replace(/[0-9a-f]{16}/, "digest"))).toEqual([
      "split.onnx",
      "split.onnx.digest.data",
      "whole.onnx",
    ]);
    expect(await run(join(folder, "other", "split.onnx"))).toEqual([1, -1, 0, 3, -2, 0]);
    expect(await loadModel(join(folder, "other", "whole.onnx"))).toEqual(wideModel);
  });

  test("saving over a model removes the weights of its earlier version, and the same model gives the same files", async () => {
    const path = join(folder, "m.onnx");
    await saveModel(withWeights([1, 2, 3, 4, 5, 6]), path, split);
    const before = await readdir(folder);
    await saveModel(withWeights([6, 5, 4, 3, 2, 1]), path, split);
    expect(await readdir(folder)).toHaveLength(2);
    expect(await readdir(folder)).not.toEqual(before);
    await saveModel(withWeights([1, 2, 3, 4, 5, 6]), path, split);
    expect(await readdir(folder)).toEqual(before);
    await saveModel(leakyModel, path);
    expect(await readdir(folder)).toEqual(["m.onnx"]);
  });

  test("tied weights are written once, each tensor aligned", async () => {
    const { data } = initializerOf("", float32([1, 2, 3]));
    const tensor = (name: string, d = data): Initializer => ({ name, dtype: "float32", shape: [3], data: d });
    const path = join(folder, "m.onnx");
    const model = withInitializers([tensor("a"), tensor("b"), tensor("c", initializerOf("", float32([4, 5, 6])).data)]);
    await saveModel(model, path, { externalData: true, thresholdBytes: 1 });
    const loaded = (await loadModel(path)).graph.initializers;
    expect(loaded.map((i) => i.data.kind === "external" && i.data.offset)).toEqual([0, 0, 64]);
    const name = (await readdir(folder)).find((f) => f.endsWith(".data"))!;
    expect((await stat(join(folder, name))).size).toBe(76);
  });

  test("a failed save leaves the old model and no other file", async () => {
    const path = join(folder, "m.onnx");
    await saveModel(leakyModel, path);
    const before = await readFile(path);
    await expect(saveModel(withReference("gone.bin"), path, { thresholdBytes: 1 })).rejects.toThrow(TypeError);
    expect(await readFile(path)).toEqual(before);
    expect(await readdir(folder)).toEqual(["m.onnx"]);
  });
});

describe("chunksOf", () => {
  test("hands over weights in memory in pieces that can be hashed and written, and loses none", async () => {
    const bytes = new Uint8Array(2 ** 24 + 5).map((_, i) => i % 251);
    const pieces: Uint8Array[] = [];
    for await (const piece of chunksOf({ kind: "bytes", bytes })) pieces.push(piece);
    expect(pieces.map((piece) => piece.length)).toEqual([2 ** 23, 2 ** 23, 5]);
    expect(Buffer.concat(pieces).equals(bytes)).toBe(true);
  });
});

describe("loadModel refuses external data", () => {
  async function load(model: Model): Promise<Model> {
    await mkdir(join(folder, "model"), { recursive: true });
    await writeFile(join(folder, "model", "m.onnx"), encodeModel(model));
    return loadModel(join(folder, "model", "m.onnx"));
  }

  test.each(["../secret", "sub/../../secret", "/etc/passwd", "C:\\secret", "..\\secret", "\\\\host\\share"])(
    "at %s, outside the folder",
    async (location) => {
      await writeFile(join(folder, "secret"), new Uint8Array(16));
      await expect(load(withReference(location))).rejects.toThrow(/must be a path inside the model's folder/);
      await expect(load(withReference(location))).rejects.toBeInstanceOf(ModelFormatError);
    },
  );

  test("behind a link to outside", async () => {
    await writeFile(join(folder, "secret"), new Uint8Array(16));
    await mkdir(join(folder, "model"));
    await symlink(join(folder, "secret"), join(folder, "model", "w.bin"));
    await symlink(folder, join(folder, "model", "up"));
    await expect(load(withReference("w.bin"))).rejects.toThrow(/is a link to outside/);
    await expect(load(withReference("up/secret"))).rejects.toThrow(/is a link to outside/);
  });

  test("that is missing, too short or no file", async () => {
    await expect(load(withReference("w.bin"))).rejects.toThrow(/"w.bin" does not exist/);
    await writeFile(join(folder, "model", "w.bin"), new Uint8Array(16));
    await expect(load(withReference("w.bin", 4))).rejects.toThrow(/must have 20 bytes, got 16/);
    await expect(load(withReference("."))).rejects.toThrow(/is no regular file/);
    const loaded = await load(withReference("w.bin"));
    const [w] = loaded.graph.initializers;
    expect(w!.data.kind === "external" && externalFolderOf(w!.data)?.endsWith("/model")).toBe(true);
    await truncate(join(folder, "model", "w.bin"), 8);
    await expect(readInitializer(w!)).rejects.toBeInstanceOf(ModelFormatError);
  });
});
