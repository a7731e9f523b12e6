import { describe, expect, it } from "vitest";
import { blockConvolutions, encodeModel, hasComputedKernels, type Model, subgraphsOf } from "../../../../lib/onnx/index.js";
import { GraphBuilder } from "../../../../lib/program/index.js";
import { openSession } from "../../../../lib/runtime/index.js";
import { float32, Rng, sizeOf, type Tensor } from "../../../../lib/tensor/index.js";

const shapes = { x: [2, 16, 6, 5], w: [32, 16, 3, 3], bias: [32], v: [16, 32, 3, 3], odd: [3, 16, 3, 3] } as const;

/** Convolutions with fed kernels: strided with bias and dilated ones inside a loop, a shared input, odd channels outside. */
function net(): Model {
  const g = new GraphBuilder({ name: "convolutions" });
  const [x, w, bias, v, odd] = Object.entries(shapes).map(([name, shape]) => g.input(name, "float32", shape));
  const { state } = g.loop(2, [x!], (inner, _trip, [h]) => {
    const down = inner.op("Conv", [h, w, bias], { kernel_shape: [3, 3], pads: [1, 1, 1, 1], strides: [2, 2] });
    const wide = inner.op("Conv", [h, w], { pads: [2, 2, 2, 2], dilations: [2, 2] });
    const up = inner.op("Conv", [wide.mul(down.mean([2, 3], true)).tanh(), v], { pads: [1, 1, 1, 1] });
    return { state: [up], stacked: [] };
  });
  g.output(state[0]!, "h");
  g.output(g.op("Conv", [state[0], odd], {}), "y");
  return g.model();
}

const domainsOf = (model: Model): string[] =>
  [
    ...model.graph.nodes.flatMap((n) => subgraphsOf(n).flatMap((body) => body.nodes.filter((m) => m.opType === "Conv"))),
    ...model.graph.nodes.filter((n) => n.opType === "Conv"),
  ].map((n) => n.domain);

describe("blockConvolutions", () => {
  it("moves convolutions of whole blocks of channels, in loops too, and leaves the others", () => {
    expect(domainsOf(blockConvolutions(net(), 16))).toEqual([...new Array(3).fill("com.microsoft.nchwc"), ""]);
    expect(domainsOf(blockConvolutions(net(), 32))).toEqual(new Array(4).fill(""));
  });

  it("reads an image once for all convolutions of it", () => {
    const [body] = blockConvolutions(net(), 16).graph.nodes.flatMap(subgraphsOf);
    expect(body!.nodes.filter((n) => n.opType === "ReorderInput")).toHaveLength(2);
  });

  it("leaves constant kernels, however computed, to the runtime", () => {
    const g = new GraphBuilder();
    const w = g.constant(float32(new Float32Array(sizeOf(shapes.w)), shapes.w)).neg();
    g.output(g.op("Conv", [g.input("x", "float32", shapes.x), w], {}), "y");
    expect(hasComputedKernels(g.model().graph)).toBe(false);
    expect(hasComputedKernels(net().graph)).toBe(true);
  });

  it("computes the same", async () => {
    const rng = new Rng(3);
    const feeds: Record<string, Tensor> = {};
    for (const [name, shape] of Object.entries(shapes))
      feeds[name] = float32(
        rng.normals(sizeOf(shape)).map((value) => value / 4),
        shape,
      );
    const model = net();
    // The bytes of a model are run as they are, the model itself as the machine likes it.
    await using plain = await openSession(encodeModel(model));
    await using special = await openSession(model);
    const [expected, actual] = [await plain.run(feeds), await special.run(feeds)];
    for (const name of ["h", "y"]) {
      const a = (actual[name] as Tensor<"float32">).data;
      const b = (expected[name] as Tensor<"float32">).data;
      const largest = b.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
      const error = a.reduce((max, value, k) => Math.max(max, Math.abs(value - b[k]!)), 0);
      expect(largest).toBeGreaterThan(0.1);
      expect(error / largest).toBeLessThan(1e-5);
    }
  });
});
