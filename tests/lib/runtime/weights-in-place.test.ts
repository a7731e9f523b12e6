import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, truncate, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, afterEach, beforeEach, expect, test } from "vitest";
import { decodeModel, encodeModel, float, loadModel, type Model, readInitializer, saveModel } from "../../../lib/onnx/index.js";
import { GraphBuilder } from "../../../lib/program/index.js";
import { closeRuntime, openSession } from "../../../lib/runtime/index.js";
import { float32, int64, Rng, Tensor, toFloat16 } from "../../../lib/tensor/index.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tweedie-in-place-"));
});
afterEach(() => rm(folder, { recursive: true }));
afterAll(() => closeRuntime());

const inPlace = { inPlaceFromBytes: 0 };
const channels = 32;

/** Every way in which kernels read weights: packed, reordered, gathered, broadcast, cast and dequantized. */
function manyKernels(name: string): Model {
  const rng = new Rng(0);
  const g = new GraphBuilder({ name });
  const weight = (...shape: number[]) => g.constant(float32(rng.normals(shape.reduce((a, b) => a * b)), shape));
  let x = g.input("x", "float32", [1, channels, 8, 8]);
  x = g.op("Conv", [x, weight(channels, channels, 3, 3)], { pads: [1, 1, 1, 1] });
  x = g.op("Conv", [x, weight(channels, 1, 5, 7)], { pads: [2, 3, 2, 3], group: channels });
  x = g.op("ConvTranspose", [x, weight(channels, channels, 2, 2)]);
  x = x
    .add(weight(1, channels, 9, 9))
    .mul(weight(channels, 9, 9))
    .reshape([channels, 81]);
  x = g.op("MatMul", [x, weight(81, 64)]);
  x = g.gemm(x, weight(64, 2048), { c: weight(2048) });
  x = g.op("LayerNormalization", [x, weight(2048), weight(2048)], { axis: -1, epsilon: float(1e-5) });
  x = g.op("Gather", [x, g.constant(int64(Array.from({ length: 1024 }, (_, i) => (i * 7) % 2048)))], { axis: 1 });
  x = x.mul(g.cast(g.constant(toFloat16(float32(rng.normals(channels * 1024), [channels, 1024]))), "float32"));
  const codes = new Int8Array(1024 * 16).map(() => rng.int(255) - 127);
  const quantized = g.constant(new Tensor("int8", codes, [1024, 16]));
  x = g.op("MatMul", [x, g.op("DequantizeLinear", [quantized, g.scalar(0.01)])]);
  g.output(x, "y");
  return g.model();
}

async function outputOf(model: Model | Uint8Array): Promise<Tensor> {
  await using session = await openSession(model, { threads: 2 });
  const x = float32(new Rng(1).normals(channels * 64), [1, channels, 8, 8]);
  return (await session.run({ x })).y!;
}

test("weights left in the model's file, at whatever byte they begin, give the numbers they give in memory", async () => {
  const alignments = new Set<number>();
  for (const name of ["n", "na", "nam", "name"]) {
    const path = join(folder, `${name}.onnx`);
    await writeFile(path, encodeModel(manyKernels(name)));
    const model = await loadModel(path, inPlace);
    for (const { data } of model.graph.initializers) if (data.kind === "external") alignments.add(data.offset % 4);
    expect(encodeModel(model).length).toBeLessThan(20_000);
    expect(await outputOf(model)).toEqual(await outputOf(manyKernels(name)));
  }
  expect([...alignments].sort()).toEqual([0, 1, 2, 3]);
});

test("they are the file's own, read when asked for, and are saved like any others", async () => {
  const path = join(folder, "m.onnx");
  await writeFile(path, encodeModel(manyKernels("m")));
  const whole = decodeModel(await readFile(path));
  const model = await loadModel(path, inPlace);
  for (const [i, initializer] of model.graph.initializers.entries())
    expect(await readInitializer(initializer)).toEqual(await readInitializer(whole.graph.initializers[i]!));
  expect(model.graph.initializers.filter(({ data }) => data.kind === "external").length).toBeGreaterThan(10);
  await saveModel(model, join(folder, "copy.onnx"));
  expect((await readFile(join(folder, "copy.onnx"))).equals(await readFile(path))).toBe(true);
  await saveModel({ ...model, producerName: "again" }, path); // over the file that the weights are in
  expect(await outputOf(await readFile(path))).toEqual(await outputOf(whole));
  expect((await readdir(folder)).sort()).toEqual(["copy.onnx", "m.onnx"]);
});

test("a file that changed since is not believed", async () => {
  const path = join(folder, "m.onnx");
  await writeFile(path, encodeModel(manyKernels("m")));
  const model = await loadModel(path, inPlace);
  await utimes(path, new Date(0), new Date(0));
  await expect(openSession(model)).rejects.toThrow(/was changed since the model was loaded; load it again/);
  await expect(readInitializer(model.graph.initializers[0]!)).rejects.toThrow(/was changed since/);
  await rm(path);
  await expect(openSession(model)).rejects.toThrow(/is gone since the model was loaded/);
});

test("a model behind a link, as download caches keep them, is read where it is", async () => {
  const blob = join(folder, "blobs", "0123abcd");
  await mkdir(dirname(blob));
  await writeFile(blob, encodeModel(manyKernels("m")));
  await symlink(blob, join(folder, "m.onnx"));
  expect(await outputOf(await loadModel(join(folder, "m.onnx"), inPlace))).toEqual(await outputOf(manyKernels("m")));
});

test("a damaged file has the error that it has when read whole", async () => {
  const path = join(folder, "m.onnx");
  await writeFile(path, encodeModel(manyKernels("m")));
  const { size } = await stat(path);
  for (const length of [size - 1, size >> 1, 100, 1]) {
    const cut = join(folder, `${length}.onnx`);
    await copyFile(path, cut);
    await truncate(cut, length);
    const error = await loadModel(cut, inPlace).catch((e: Error) => e.message);
    expect(error).toBe(await loadModel(cut, { inPlaceFromBytes: Number.POSITIVE_INFINITY }).catch((e: Error) => e.message));
    expect(error).toMatch(/^decodeModel: .* at byte \d+/);
  }
});
