import { expect, test } from "vitest";
import { productsOfEmptyAsGemm } from "../../../../lib/onnx/index.js";
import { GraphBuilder } from "../../../../lib/program/index.js";
import { openSession } from "../../../../lib/runtime/index.js";
import { float32 } from "../../../../lib/tensor/index.js";

/** x·pick(w): the rows of w where mask ≠ 0, and as many columns of x. */
function picked() {
  const g = new GraphBuilder({ name: "picked" });
  const x = g.input("x", "float32", [2, 3]);
  const w = g.input("w", "float32", [3, 4]);
  const indices = g.op("NonZero", [g.input("mask", "float32", [3])]).reshape([-1]);
  const fixed = x.matmul(w);
  g.output(g.op("Gather", [x, indices], { axis: 1 }).matmul(g.op("Gather", [w, indices], { axis: 0 })), "y");
  g.output(fixed, "z");
  return g.model();
}

test("products over a length that depends on data become Gemm, others stay", async () => {
  const model = productsOfEmptyAsGemm(picked());
  expect(model.graph.nodes.filter(({ opType }) => /MatMul|Gemm/.test(opType)).map((n) => n.opType)).toEqual(["MatMul", "Gemm"]);
  await using session = await openSession(model);
  const x = float32([1, 2, 3, 4, 5, 6], [2, 3]);
  const w = float32([1, 0, 0, 1, 0, 1, 0, 1, 0, 0, 1, 1], [3, 4]);
  const run = async (mask: readonly number[]) => [...(await session.run({ x, w, mask: float32(mask) })).y!.data];
  expect(await run([1, 0, 1])).toEqual([1, 0, 3, 4, 4, 0, 6, 10]);
  expect(await run([0, 0, 0])).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
});

test("a graph without such products is returned as it is", () => {
  const g = new GraphBuilder({ name: "plain" });
  g.output(g.input("x", "float32", ["batch", 3]).matmul(g.input("w", "float32", [3, 2])), "y");
  const model = g.model();
  expect(productsOfEmptyAsGemm(model)).toBe(model);
});
