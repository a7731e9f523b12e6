import { describe, expect, test } from "vitest";
import { load } from "../../../../lib/diffusion/index.js";
import { computeInFloat16, inferGraph, type Model, opsetOf } from "../../../../lib/onnx/index.js";
import {
  conv2d,
  GraphBuilder,
  groupNorm,
  initialize,
  linear,
  scaledDotProduct,
  silu,
  timestepEmbedding,
} from "../../../../lib/program/index.js";
import { openSession, type SessionOptions } from "../../../../lib/runtime/index.js";
import { expectFloat32, float32, Rng, type Tensor } from "../../../../lib/tensor/index.js";

/** A residual block with a timestep, self-attention and a head: what diffusion models are made of. */
function block(): Model {
  const g = new GraphBuilder({ name: "block" });
  const time = linear(g, "time", timestepEmbedding(g, g.input("timestep", "float32", [1]), 32), 16);
  let h = conv2d(g, "conv_in", g.input("x", "float32", [1, 4, 8, 8]), 16, 3);
  h = h.add(conv2d(g, "conv", silu(g, "act", groupNorm(g, "norm", h, 4)), 16, 3)).add(time.reshape([1, 16, 1, 1]));
  const tokens = h.reshape([0, 16, 64]).transpose([0, 2, 1]);
  const [q, k, v] = ["q", "k", "v"].map((name) => linear(g, name, tokens, 16));
  g.output(h, "h");
  g.output(linear(g, "out", tokens.add(scaledDotProduct(q!, k!, v!, 2)), 4), "y");
  return g.model({ weights: initialize(g.parameters.values(), new Rng(0)) });
}

const feeds = { x: float32(new Rng(1).normals(4 * 64), [1, 4, 8, 8]), timestep: float32([937]) };

async function run(model: Model, options: SessionOptions = {}): Promise<Record<string, Tensor>> {
  await using session = await openSession(model, options);
  return session.run(feeds);
}

function apart(got: Tensor, expected: Tensor): number {
  const [ours, theirs] = [expectFloat32(got, "got").data, expectFloat32(expected, "expected").data];
  const largest = theirs.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  return theirs.reduce((most, x, i) => Math.max(most, Math.abs(ours[i]! - x)), 0) / largest;
}

describe("computeInFloat16", () => {
  const { graph } = computeInFloat16(block());
  const dtypes = inferGraph(graph, { opset: opsetOf(block()) });
  const dtypesRead = (opType: string): (string | undefined)[] => [
    ...new Set(graph.nodes.filter((n) => n.opType === opType).flatMap((n) => n.inputs.map((name) => dtypes.get(name)?.dtype))),
  ];

  test("puts products, convolutions and what joins them into half precision", () => {
    expect(dtypesRead("Conv")).toEqual(["float16"]);
    expect(dtypesRead("MatMul")).toEqual(["float16"]);
    expect(graph.nodes.filter((n) => n.opType === "Add").some((n) => dtypes.get(n.outputs[0]!)?.dtype === "float16")).toBe(true);
  });

  test("leaves norms, softmax and the timestep's sines in float32", () => {
    for (const sensitive of ["Softmax", "InstanceNormalization", "GroupNormalization", "Sin", "Cos"])
      expect(dtypesRead(sensitive)).not.toContain("float16");
    expect(dtypesRead("Softmax")).toEqual(["float32"]);
    expect(dtypesRead("Sin")).toEqual(["float32"]);
  });

  test("keeps names and dtypes of inputs and outputs", () => {
    expect(graph.inputs).toEqual(block().graph.inputs);
    expect(graph.outputs).toEqual(block().graph.outputs);
    for (const { name } of graph.outputs) expect(dtypes.get(name)?.dtype).toBe("float32");
  });

  test("agrees with float32 within 5e-3 of the largest number, and differs", async () => {
    const expected = await run(block());
    const got = await run(block(), { precision: "float16" });
    for (const name of ["h", "y"]) {
      expect(got[name]!.dtype).toBe("float32");
      expect(apart(got[name]!, expected[name]!)).toBeLessThan(5e-3);
      expect(apart(got[name]!, expected[name]!)).toBeGreaterThan(1e-6);
    }
  });

  test("keeps constants finite: masks are the lowest float32 there is", async () => {
    const g = new GraphBuilder({ name: "masked" });
    const scores = g.input("x", "float32", [2, 2]).matmul(g.constant(float32([1, 0, 0, 1], [2, 2])));
    const visible = g.constant(float32([0, 1, 0, 0], [2, 2]));
    g.output(scores.add(visible.mul(g.constant(float32([-3.4e38])))).softmax(-1), "y");
    const plain = g.model();
    const x = float32([1, 1, 0, 0], [2, 2]);
    await using session = await openSession(plain, { precision: "float16" });
    expect([...(await session.run({ x })).y!.data]).toEqual([1, 0, 0.5, 0.5]);
  });

  test("values that subgraphs capture are there for them", async () => {
    const g = new GraphBuilder({ name: "captured" });
    const y = g.input("x", "float32", [2, 2]).matmul(g.constant(float32([2, 0, 0, 2], [2, 2])));
    const { state } = g.loop(3, [g.constant(float32([0, 0, 0, 0], [2, 2]))], (_, __, [sum]) => ({
      state: [sum!.add(y)],
      stacked: [],
    }));
    g.output(state[0]!, "sum");
    await using session = await openSession(g.model(), { precision: "float16" });
    expect([...(await session.run({ x: float32([1, 2, 3, 4], [2, 2]) })).sum!.data]).toEqual([6, 12, 18, 24]);
  });
});

test("weights of a model are not changed, only read through casts", () => {
  const model = block();
  expect(computeInFloat16(model).graph.initializers.slice(0, model.graph.initializers.length)).toEqual(model.graph.initializers);
});

test("the embedded pipeline draws the same picture in half precision, within a grey level and a half on average", async () => {
  const [full, half] = [await load("shapes"), await load("shapes", { session: { precision: "float16" } })];
  const options = { steps: 4, seed: 3 };
  const expected = await full.generate("a red circle", options);
  const got = await half.generate("a red circle", options);
  expect(apart(got.latents, expected.latents)).toBeLessThan(2e-2);
  const off = expected.pixels!.data.reduce((sum, x, i) => sum + Math.abs(x - got.pixels!.data[i]!), 0) / expected.pixels!.size;
  expect(off).toBeLessThan(1.5 / 255);
  expect(off).toBeGreaterThan(0);
});
