import { afterAll, describe, expect, it } from "vitest";
import { gradientThrough } from "../../../lib/autodiff/index.js";
import type { Model } from "../../../lib/onnx/index.js";
import { embed, GraphBuilder } from "../../../lib/program/index.js";
import { closeRuntime, openSession } from "../../../lib/runtime/index.js";
import { float32, type Tensor } from "../../../lib/tensor/index.js";

afterAll(() => closeRuntime());

/** y = w·x² + b at an operator set, reshaped by an inner constant. */
function parabola(w: number, b: number, opset = 18): Model {
  const g = new GraphBuilder({ name: "parabola", opset });
  const x = g.input("x", "float32", ["batch", 2]);
  g.output(
    x
      .mul(x)
      .mul(g.constant(float32([w, w]), "w"))
      .reshape([0, 2])
      .add(g.constant(float32([b]), "b")),
    "y",
  );
  return g.model();
}

const x = float32([1, 2, 3, 4], [2, 2]);

describe("embed", () => {
  it("chains networks, the same one twice included", async () => {
    const g = new GraphBuilder();
    const input = g.input("x", "float32", [2, 2]);
    const inner = embed(g, parabola(2, 1), { x: input }).y!;
    g.output(embed(g, parabola(3, -1, 14), { x: inner.add(1) }).y!, "z");
    g.output(embed(g, parabola(2, 1), { x: input }).y!, "again");
    await using session = await openSession(g.model());
    const { z, again } = (await session.run({ x })) as Record<string, Tensor<"float32">>;
    expect([...again!.data]).toEqual([3, 9, 19, 33]);
    expect([...z!.data]).toEqual([3, 9, 19, 33].map((y) => 3 * (y + 1) ** 2 - 1));
  });

  it("casts to the dtype that a network declares", () => {
    const g = new GraphBuilder();
    const { y } = embed(g, parabola(2, 1), { x: g.input("x", "float64", [2, 2]) });
    expect(y!.dtype).toBe("float32");
    expect(y!.shape).toEqual([2, 2]);
  });

  it("refuses missing and unknown inputs, and operator sets that do not go together", () => {
    const g = new GraphBuilder();
    const input = g.input("x", "float32", [2, 2]);
    expect(() => embed(g, parabola(2, 1), { X: input })).toThrow(/missing: x, unknown: X/);
    expect(() => embed(g, parabola(2, 1, 20), { x: input })).toThrow(/operator set is 20/);
  });
});

describe("gradientThrough", () => {
  it("differentiates a chain of networks", async () => {
    const model = gradientThrough((g) => {
      const input = g.input("x", "float32", [2, 2]);
      const inner = embed(g, parabola(2, 1), { x: input }, "first").y!;
      const outer = embed(g, parabola(3, -1), { x: inner }, "second").y!;
      return { of: outer.sum(), withRespectTo: { x: input, inner }, outputs: { outer } };
    });
    await using session = await openSession(model);
    const results = (await session.run({ x })) as Record<string, Tensor<"float32">>;
    const inner = [...x.data].map((v) => 2 * v * v + 1);
    expect([...results.outer!.data]).toEqual(inner.map((y) => 3 * y * y - 1));
    expect(results.value!.data[0]).toBe(inner.reduce((sum, y) => sum + 3 * y * y - 1, 0));
    expect([...results["gradient:inner"]!.data]).toEqual(inner.map((y) => 6 * y));
    expect([...results["gradient:x"]!.data]).toEqual([...x.data].map((v, i) => 6 * inner[i]! * 4 * v));
  });
});
