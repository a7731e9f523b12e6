import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { encodeModel, initializerOf, loadModel, type Model } from "../../../lib/onnx/index.js";
import { closeRuntime, openSession, RuntimeError, runtimeStats } from "../../../lib/runtime/index.js";
import { allocate, type DType, float32, int64, scalar, Tensor, zeros } from "../../../lib/tensor/index.js";
import { adder, identity, matrixPower, modelOf, momentumStep, node, value } from "./tiny-models.js";

afterEach(() => {
  expect(runtimeStats()).toEqual({ sessions: 0, residentTensors: 0, residentBytes: 0 });
});
afterAll(() => closeRuntime());

describe("openSession", () => {
  test("takes a model value, its bytes or its path", async () => {
    const folder = mkdtempSync(join(tmpdir(), "tweedie-runtime-"));
    try {
      const path = join(folder, "adder.onnx");
      const bytes = encodeModel(adder);
      writeFileSync(path, bytes);
      for (const source of [adder, bytes, path]) {
        await using session = await openSession(source);
        const { y } = await session.run({ a: float32([1, 2]), b: float32([10, 20]) });
        expect(y).toEqual(float32([11, 22]));
        expect(session.inputs).toEqual([value("a", ["n"]), value("b", ["n"])]);
        expect(session.outputs).toEqual([value("y", ["n"])]);
      }
      expect(bytes.byteLength).toBeGreaterThan(0); // still the caller's
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("knows scalars of a model value, which ONNX Runtime reports like an unknown rank", async () => {
    await using session = await openSession(momentumStep);
    expect(session.inputs.map((i) => i.shape)).toEqual([["n"], ["n"], []]);
    await using unnamed = await openSession(encodeModel(momentumStep));
    expect(unnamed.inputs.map((i) => i.shape)).toEqual([["n"], ["n"], undefined]);
  });

  test("reads weights kept beside the model from a folder or from memory", async () => {
    const folder = mkdtempSync(join(tmpdir(), "tweedie-runtime-"));
    try {
      const weights = float32([0.5, -2]);
      writeFileSync(join(folder, "weights.bin"), weights.bytes);
      const model: Model = {
        ...adder,
        graph: {
          ...adder.graph,
          inputs: [value("a", ["n"])],
          initializers: [
            { ...initializerOf("b", weights), data: { kind: "external", location: "weights.bin", offset: 0, length: 8 } },
          ],
        },
      };
      for (const externalData of [folder, { "weights.bin": weights.bytes }]) {
        await using session = await openSession(model, { externalData });
        expect((await session.run({ a: float32([1, 2]) })).y).toEqual(float32([1.5, 0]));
      }
      await expect(openSession(model)).rejects.toThrow(/"b" in the file "weights.bin".*externalData/);
      const path = join(folder, "adder.onnx");
      writeFileSync(path, encodeModel(model));
      for (const source of [path, await loadModel(path)]) {
        await using session = await openSession(source);
        expect((await session.run({ a: float32([1, 2]) })).y).toEqual(float32([1.5, 0]));
      }
      expect(weights.data[0]).toBe(0.5);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("weights cannot be read from outside the model's folder", async () => {
    const outside = mkdtempSync(join(tmpdir(), "tweedie-runtime-"));
    const folder = join(outside, "model");
    try {
      mkdirSync(folder);
      writeFileSync(join(outside, "secret.bin"), new Uint8Array(8));
      symlinkSync(join(outside, "secret.bin"), join(folder, "link.bin"));
      for (const location of ["../secret.bin", join(outside, "secret.bin"), "link.bin"]) {
        const b = { ...initializerOf("b", zeros([2])), data: { kind: "external", location, offset: 0, length: 8 } as const };
        const model = { ...adder, graph: { ...adder.graph, inputs: [value("a", ["n"])], initializers: [b] } };
        await expect(openSession(model, { externalData: folder })).rejects.toThrow(RuntimeError);
      }
    } finally {
      rmSync(outside, { recursive: true });
    }
  });

  test("names model and node when ONNX Runtime refuses a graph", async () => {
    const wrong = modelOf("wrong", [node("Add", ["a"], ["y"])], [value("a", ["n"])], [value("y", ["n"])]);
    const error = await openSession(wrong).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(RuntimeError);
    expect(error).toMatchObject({ operation: "openSession", model: "wrong", node: '"Add_y" (Add)' });
    await expect(openSession("nowhere/missing.onnx")).rejects.toThrow(/missing\.onnx.*(exist|No such file)/);
    await expect(openSession(new Uint8Array([1, 2, 3]), { name: "three bytes" })).rejects.toThrow(/three bytes/);
  });

  test("does nothing under a signal that fired", async () => {
    await expect(openSession(adder, { signal: AbortSignal.abort() })).rejects.toMatchObject({ name: "AbortError" });
  });
});

test("every dtype but bfloat16 passes through unchanged, views included", async () => {
  const passing: DType[] = [
    "float32",
    "float64",
    "float16",
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "uint64",
    "bool",
  ];
  for (const dtype of passing) {
    await using session = await openSession(identity(dtype));
    const data = allocate(dtype, 8);
    for (let i = 0; i < 8; i++) {
      if (data instanceof BigInt64Array || data instanceof BigUint64Array) data[i] = 2n ** 40n + BigInt(i);
      else data[i] = dtype === "bool" ? i % 2 : i * 11;
    }
    const view = new Tensor(dtype, data, [8]).slice(3, 7);
    expect((await session.run({ x: view })).y).toEqual(view.clone());
    expect(data.length).toBe(8); // not detached
  }
  await using session = await openSession(identity("float32"));
  await expect(session.run({ x: zeros([2], "bfloat16") })).rejects.toThrow(/x is bfloat16.*convert/);
});

test("tensors over pooled and shared memory are copied, not taken", async () => {
  await using session = await openSession(identity("uint8"));
  const pooled = Buffer.from([1, 2, 3]);
  expect([...(await session.run({ x: new Tensor("uint8", pooled, [3]) })).y!.data]).toEqual([1, 2, 3]);
  expect(pooled.length).toBe(3);
  const shared = new Uint8Array(new SharedArrayBuffer(4)).fill(7);
  expect([...(await session.run({ x: new Tensor("uint8", shared, [4]) })).y!.data]).toEqual([7, 7, 7, 7]);
});

test("empty and scalar tensors keep their shapes", async () => {
  await using session = await openSession(adder);
  expect((await session.run({ a: float32([]), b: float32([]) })).y!.shape).toEqual([0]);
  await using step = await openSession(momentumStep);
  const { loss } = await step.run({ w: float32([3, 4]), m: zeros([2]), rate: scalar(0.1) });
  expect(loss).toEqual(scalar(25));
});

test("feeds may change as soon as run was called", async () => {
  await using session = await openSession(adder);
  const a = float32([1, 2]);
  const running = session.run({ a, b: float32([0, 0]) });
  a.data.fill(99);
  expect((await running).y).toEqual(float32([1, 2]));
});

test("fetches restrict the outputs; runs answer in the order of the calls", async () => {
  await using session = await openSession(momentumStep);
  const feeds = { w: float32([3, 4]), m: zeros([2]), rate: scalar(0.5) };
  expect(Object.keys(await session.run(feeds, { fetches: ["loss"] }))).toEqual(["loss"]);
  expect(await session.run(feeds, { fetches: [] })).toEqual({});
  const order: number[] = [];
  await Promise.all([1, 2, 3, 4].map((i) => session.run(feeds).then(() => order.push(i))));
  expect(order).toEqual([1, 2, 3, 4]);
});

describe("feeds that do not fit", () => {
  const a = float32([1, 2]);
  const b = float32([3, 4]);

  test("an unknown name is answered with the nearest ones", async () => {
    await using session = await openSession(momentumStep);
    const feeds = { w: a, m: b, rat: scalar(1) };
    await expect(session.run(feeds)).rejects.toThrow(
      new TypeError(
        'Session.run: momentum_step has no input "rat"; did you mean "rate"? its inputs: w float32[n]; m float32[n]; rate float32[]',
      ),
    );
    await expect(session.run({ w: a, m: b, rate: scalar(1) }, { fetches: ["los"] })).rejects.toThrow(
      /no output "los"; did you mean "loss"\?/,
    );
  });

  test("a missing one is described", async () => {
    await using session = await openSession(adder);
    await expect(session.run({ a })).rejects.toThrow(
      new TypeError("Session.run: adder also needs b float32[n]; feed every input"),
    );
  });

  test("another dtype, rank or size is caught before the run", async () => {
    await using session = await openSession(adder);
    await expect(session.run({ a, b: int64([1, 2]) })).rejects.toThrow(/expects b float32\[n\], got Tensor\(int64\[2\]\)/);
    await expect(session.run({ a, b: b.reshape([1, 2]) })).rejects.toThrow(RangeError);
    const raw = { a, b: b.data } as unknown as Record<string, Tensor>;
    await expect(session.run(raw)).rejects.toThrow(/got Float32Array; wrap it in a Tensor/);
  });

  test("what only the execution finds out names model and node", async () => {
    await using session = await openSession(adder);
    const error = await session.run({ a, b: float32([1, 2, 3]) }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(RuntimeError);
    expect(error).toMatchObject({ operation: "Session.run", model: "adder", node: '"Add_y" (Add)' });
    expect((await session.run({ a, b })).y).toEqual(float32([4, 6])); // the session is still sound
  });
});

test("release is idempotent and ends the session", async () => {
  const session = await openSession(adder);
  await Promise.all([session.release(), session.release()]);
  await session.release();
  await expect(session.run({ a: float32([1]), b: float32([1]) })).rejects.toThrow(/adder was released/);
});

test("runs asked for before release still answer", async () => {
  const session = await openSession(adder);
  const running = session.run({ a: float32([1]), b: float32([1]) });
  await session.release();
  expect((await running).y).toEqual(float32([2]));
});

test("tells the time its runs took inside the runtime", async () => {
  await using session = await openSession(matrixPower(4));
  expect(session.runMs).toBe(0);
  const x = zeros([300, 300]);
  const started = performance.now();
  await session.run({ x });
  const first = session.runMs;
  await session.run({ x });
  expect(first).toBeGreaterThan(0);
  expect(session.runMs).toBeGreaterThan(first);
  expect(session.runMs).toBeLessThan(performance.now() - started);
});

describe("cancellation", () => {
  test("a queued run never starts, one that runs is finished and dropped", async () => {
    await using session = await openSession(matrixPower(20));
    const x = zeros([256, 256]);
    const first = new AbortController();
    const second = new AbortController();
    const settled: string[] = [];
    const note = (name: string) => (e: Error) => {
      settled.push(`${name} ${e.name}`);
    };
    const running = session.run({ x }, { retain: ["y"], signal: first.signal }).catch(note("running"));
    const queued = session.run({ x }, { signal: second.signal }).catch(note("queued"));
    const last = session.run({ x }).then(() => settled.push("last"));
    first.abort();
    second.abort();
    await Promise.all([running, queued, last]);
    expect(settled).toEqual(["queued AbortError", "running AbortError", "last"]);
  });

  test("the signal's own reason is passed on", async () => {
    await using session = await openSession(adder);
    const reason = new Error("stop button");
    await expect(session.run({ a: float32([1]), b: float32([1]) }, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });
});

test("ScatterElements(add) sums duplicate indices rightly with 2 threads, where ScatterND(add) races", async () => {
  const rows = 8192;
  const columns = 16;
  const bins = 32;
  const model = modelOf(
    "scatter",
    [node("ScatterElements", ["zero", "index", "updates"], ["y"], { axis: 0, reduction: "add" })],
    [value("zero", [bins, columns]), value("index", [rows, columns], "int64"), value("updates", [rows, columns])],
    [value("y", [bins, columns])],
  );
  await using session = await openSession(model, { threads: 2 });
  const index = new BigInt64Array(rows * columns).map((_, i) => BigInt((Math.floor(i / columns) * 7919) % bins));
  const updates = new Float32Array(rows * columns).fill(1);
  const feeds = {
    zero: zeros([bins, columns]),
    index: new Tensor("int64", index, [rows, columns]),
    updates: float32(updates, [rows, columns]),
  };
  for (let repeat = 0; repeat < 5; repeat++) {
    const { y } = await session.run(feeds);
    expect(y).toEqual(float32(new Float32Array(bins * columns).fill(rows / bins), [bins, columns]));
  }
});
