import { describe, expect, it } from "vitest";
import { conv2d, GraphBuilder, initialize, upsample2, upsampleConv2d } from "../../../lib/program/index.js";
import { openSession } from "../../../lib/runtime/index.js";
import { float32, Rng, type Tensor } from "../../../lib/tensor/index.js";

describe("upsampleConv2d", () => {
  it("is the convolution of the doubled picture, with or without a fixed batch", async () => {
    const shape = [2, 3, 4, 5];
    const rng = new Rng(1);
    const x = float32(rng.normals(2 * 3 * 4 * 5), shape);
    for (const batch of [2, "batch"]) {
      const g = new GraphBuilder();
      const image = g.input("x", "float32", [batch, ...shape.slice(1)]);
      g.output(upsampleConv2d(g, "conv", image, 6), "fast");
      g.output(conv2d(g, "conv", upsample2(g, image), 6, 3), "plain");
      await using session = await openSession(g.model({ weights: initialize(g.parameters.values(), rng) }));
      const { fast, plain } = await session.run({ x });
      expect(fast!.shape).toEqual([2, 6, 8, 10]);
      const [a, b] = [fast, plain].map((t) => (t as Tensor<"float32">).data) as [Float32Array, Float32Array];
      expect(a.every((value, i) => Math.abs(value - b[i]!) < 1e-6)).toBe(true);
    }
  });
});
