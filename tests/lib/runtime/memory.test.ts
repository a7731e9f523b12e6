import { afterAll, expect, test } from "vitest";
import { type Initializer, initializerOf, type Model } from "../../../lib/onnx/index.js";
import { availableMemoryBytes, closeRuntime, MemoryBudgetError, openSession, runtimeStats } from "../../../lib/runtime/index.js";
import { openingBytes } from "../../../lib/runtime/memory.js";
import { float32, zeros } from "../../../lib/tensor/index.js";
import { adder, node, value } from "./tiny-models.js";

afterAll(() => closeRuntime());

test("the machine's memory is known", () => {
  expect(availableMemoryBytes()).toBeGreaterThan(2 ** 26);
});

test("a model that does not fit the budget is not opened", async () => {
  const b = zeros([2 ** 18]);
  const model: Model = {
    ...adder,
    graph: { ...adder.graph, inputs: [value("a", ["n"])], initializers: [initializerOf("b", b)] },
  };
  const error = await openSession(model, { memoryBudgetBytes: 2 ** 20 }).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(MemoryBudgetError);
  expect(error).toMatchObject({ neededBytes: 2 ** 21, availableBytes: 2 ** 20 });
  expect(runtimeStats().sessions).toBe(0);
});

test("weights in a file take less, half-precision ones what they are on the CPU", () => {
  const stored = { kind: "external", location: "w", offset: 0, length: 2048 } as const;
  const withWeight = (weight: Initializer): Model => ({ ...adder, graph: { ...adder.graph, initializers: [weight] } });
  expect(openingBytes(withWeight(initializerOf("b", zeros([1024]))))).toBe(2 * 4096);
  expect(openingBytes(withWeight(initializerOf("b", zeros([1024], "float16"))))).toBe(2 * 4096);
  expect(openingBytes(withWeight({ name: "b", dtype: "float16", shape: [1024], data: stored }))).toBe(1.5 * 4096);
});

test("a run that does not fit the budget is not started, a smaller one is", async () => {
  await using session = await openSession(adder, { memoryBudgetBytes: 2 ** 16 });
  const big = zeros([2 ** 14]);
  await expect(session.run({ a: big, b: big })).rejects.toThrow(
    /Session\.run: adder: needs about 0\.1 MiB, only 0\.1 MiB may be used; .*smaller batches/,
  );
  expect((await session.run({ a: float32([1]), b: float32([2]) })).y).toEqual(float32([3]));
});

test("what the machine cannot hold without swapping is refused before the run", async () => {
  const columns = 2 ** 16;
  const rows = Math.ceil(availableMemoryBytes() / columns / 4);
  const model: Model = {
    ...adder,
    graph: {
      ...adder.graph,
      name: "huge",
      nodes: [node("Expand", ["a", "shape"], ["y"])],
      inputs: [value("a", [1]), value("shape", [2], "int64")],
      outputs: [value("y", [rows, columns])],
    },
  };
  await using session = await openSession(model);
  await expect(session.run({ a: float32([1]), shape: zeros([2], "int64") })).rejects.toThrow(MemoryBudgetError);
});
