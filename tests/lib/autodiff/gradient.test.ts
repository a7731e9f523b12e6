import { describe, expect, it } from "vitest";
import { backward, gradient, UnsupportedOpError } from "../../../lib/autodiff/index.js";
import type { Model } from "../../../lib/onnx/index.js";
import {
  conv2d,
  GraphBuilder,
  groupNorm,
  initialize,
  layerNorm,
  linear,
  scaledDotProduct,
  silu,
  upsample2,
  upsampleConv2d,
  type Value,
} from "../../../lib/program/index.js";
import { openSession } from "../../../lib/runtime/index.js";
import { float32, int64, Rng, sizeOf, Tensor } from "../../../lib/tensor/index.js";
import { branchingGraph } from "../onnx/passes/small-graphs.js";

const boolean = (value: boolean): Tensor => new Tensor("bool", Uint8Array.of(Number(value)), []);

type Net = (g: GraphBuilder, x: Value) => Value;

/**
 * Compares the gradient of Σ y·c with central differences along random directions, for the input and every parameter.
 * @returns the largest error relative to the largest directional derivative
 */
async function gradientError(shape: readonly number[], net: Net): Promise<number> {
  const g = new GraphBuilder();
  const x = g.input("x", "float32", shape);
  const y = net(g, x);
  const c = g.input("c", "float32", y.dims);
  const loss = g.output(y.mul(c).sum(), "loss");
  const names = ["x", ...g.parameters.keys()];
  backward(
    g,
    loss,
    names.map((n) => g.value(n)),
  ).forEach((d, i) => {
    g.output(d, `d:${names[i]}`);
  });
  await using session = await openSession(g.model());
  const rng = new Rng(5);
  const at: Record<string, Tensor<"float32">> = {
    x: float32(rng.normals(sizeOf(shape)), shape),
    c: float32(rng.normals(y.size), y.dims),
  };
  const start = initialize(g.parameters.values(), rng);
  for (const [name, w] of Object.entries(start))
    at[name] = float32(
      (w.data as Float32Array).map((v) => v + 0.1 * rng.normal()),
      w.shape,
    );
  const outputs = await session.run(at);
  let worst = 0;
  let largest = 1e-3;
  for (const name of names) {
    const d = (outputs[`d:${name}`] as Tensor<"float32">).data;
    expect(outputs[`d:${name}`]!.shape).toEqual(at[name]!.shape);
    for (let trial = 0; trial < 2; trial++) {
      const direction = rng.normals(d.length);
      const step = 1e-2;
      const moved = async (sign: number): Promise<number> => {
        const there = float32(
          at[name]!.data.map((v, i) => v + sign * step * direction[i]!),
          at[name]!.shape,
        );
        return Number(((await session.run({ ...at, [name]: there }, { fetches: ["loss"] })).loss as Tensor<"float32">).data[0]);
      };
      const numeric = ((await moved(1)) - (await moved(-1))) / (2 * step);
      const analytic = d.reduce((sum, v, i) => sum + v * direction[i]!, 0);
      worst = Math.max(worst, Math.abs(numeric - analytic));
      largest = Math.max(largest, Math.abs(analytic));
    }
  }
  return worst / largest;
}

const nets: Record<string, readonly [readonly number[], Net]> = {
  "a linear layer with GELU and a residual": [
    [3, 5],
    (g, x) =>
      linear(g, "a", x, 5)
        .mul(linear(g, "b", x, 5).erf())
        .add(x),
  ],
  "3×3 convolutions, by rows and columns": [[2, 6, 5, 7], (g, x) => conv2d(g, "a", x, 5, 3)],
  "5×5 convolutions, tap by tap": [[2, 6, 5, 7], (g, x) => conv2d(g, "a", x, 5, 5)],
  "convolutions of few channels": [[2, 3, 6, 5], (g, x) => conv2d(g, "a", x, 5, 3)],
  "strided convolutions of few channels": [[2, 3, 7, 6], (g, x) => conv2d(g, "a", x, 5, 5, { stride: 2 })],
  "convolutions to few channels": [[2, 6, 6, 5], (g, x) => conv2d(g, "a", x, 3, 3)],
  "asymmetrically padded convolutions to few channels": [[2, 6, 6, 5], (g, x) => conv2d(g, "a", x, 2, 5, { pads: [0, 1, 4, 2] })],
  "1×1 convolutions": [[2, 6, 4, 4], (g, x) => conv2d(g, "a", x, 5, 1)],
  "strided, asymmetrically padded convolutions": [
    [2, 6, 8, 8],
    (g, x) => conv2d(g, "a", x, 5, 3, { stride: 2, pads: [0, 0, 1, 1] }),
  ],
  "grouped convolutions": [[2, 6, 5, 5], (g, x) => conv2d(g, "a", x, 6, 3, { group: 3 })],
  "group normalization and SiLU, differentiated as units": [[2, 8, 3, 3], (g, x) => silu(g, "act", groupNorm(g, "norm", x, 4))],
  "layer normalization": [[4, 7], (g, x) => layerNorm(g, "norm", x)],
  attention: [[2, 4, 8], (g, x) => scaledDotProduct(linear(g, "q", x, 8), linear(g, "k", x, 8), linear(g, "v", x, 8), 2)],
  "doubled pictures convolved": [[2, 3, 3, 4], (g, x) => upsampleConv2d(g, "a", x, 5)],
  "the gradient of group normalization and SiLU": [
    [2, 4, 3, 3],
    (g, x) =>
      backward(
        g,
        silu(g, "act", groupNorm(g, "norm", x, 2))
          .square()
          .sum(),
        [x],
      )[0]!,
  ],
  "nearest upsampling": [[1, 2, 3, 3], (_g, x) => upsample2(x.builder, x.square())],
  "broadcasting, slices, pads and concatenation": [
    [3, 4],
    (g, x) =>
      g
        .concat([x.slice(1, 0, 3, 2).pad([0, 1, 0, 0]), x.mul(x.mean([0], true)).slice(1, 1, 3)], 1)
        .div(x.square().sum([1], true).add(1)),
  ],
};

describe("backward", () => {
  for (const [name, [shape, net]] of Object.entries(nets)) {
    it(`agrees with finite differences through ${name}`, async () => {
      expect(await gradientError(shape, net)).toBeLessThan(5e-3);
    });
  }

  it("is zero with respect to what the value does not depend on", async () => {
    const g = new GraphBuilder();
    const x = g.input("x", "float32", [4]);
    const z = g.input("z", "float32", [2]);
    g.output(backward(g, x.sum(), [z])[0]!, "dz");
    await using session = await openSession(g.model());
    const { dz } = await session.run({ x: float32([1, 2, 3, 4]), z: float32([5, 6]) });
    expect([...dz!.data]).toEqual([0, 0]);
  });

  it("stops at functions that are constant in pieces, and at integers", async () => {
    const g = new GraphBuilder();
    const x = g.input("x", "float32", [3]);
    const steps = g
      .op("Floor", [x])
      .add(g.op("Round", [x]))
      .add(x.cast("int64").cast("float32"))
      .add(x.sign());
    g.output(backward(g, steps.mul(x).sum(), [x])[0]!, "dx");
    g.output(steps, "steps");
    await using session = await openSession(g.model());
    const { dx, steps: constant } = await session.run({ x: float32([-1.7, 0.2, 2.6]) });
    expect(dx).toEqual(constant);
  });

  it("gives a vector of zeros a norm of gradient 0, and the first of equal maxima all of it", async () => {
    const g = new GraphBuilder();
    const x = g.input("x", "float32", [1, 1, 2, 2]);
    const norm = g.op("ReduceL2", [x]);
    const largest = g.op("MaxPool", [x], { kernel_shape: [2, 2] });
    [norm, largest].forEach((y, i) => void g.output(backward(g, y, [x])[0]!, `d${i}`));
    await using session = await openSession(g.model());
    const { d0, d1 } = await session.run({ x: float32([0, 0, 0, 0], [1, 1, 2, 2]) });
    expect([...d0!.data]).toEqual([0, 0, 0, 0]);
    expect([...d1!.data]).toEqual([1, 0, 0, 0]);
  });

  it("takes a unit apart when one of its inner values is asked for", async () => {
    const g = new GraphBuilder();
    const x = g.input("x", "float32", [3]);
    const y = silu(g, "act", x).sum();
    const sigmoid = g.value("/act/Sigmoid_output_0");
    backward(g, y, [x, sigmoid]).forEach((d, i) => void g.output(d, `d${i}`));
    await using session = await openSession(g.model());
    const { d0, d1 } = await session.run({ x: float32([-1, 0, 2]) });
    expect([...d1!.data]).toEqual([-1, 0, 2]);
    const derivative = (v: number): number => (1 + v * (1 - 1 / (1 + Math.exp(-v)))) / (1 + Math.exp(-v));
    for (const [i, v] of [-1, 0, 2].entries()) expect(d0!.data[i]).toBeCloseTo(derivative(v), 6);
  });

  it("loses no update of a table whose rows are read often, on several threads", async () => {
    const [rows, width, reads] = [5, 64, 20_000];
    const g = new GraphBuilder();
    const table = g.input("table", "float32", [rows, width]);
    const ids = g.input("ids", "int64", [reads]);
    g.output(backward(g, table.gather(ids), [table])[0]!, "dTable");
    await using session = await openSession(g.model(), { threads: 2 });
    const rng = new Rng(11);
    const drawn = Array.from({ length: reads }, () => rng.int(rows));
    const counts = Array.from({ length: rows }, (_, row) => drawn.filter((id) => id === row).length);
    const expected = Float32Array.from({ length: rows * width }, (_, i) => counts[Math.floor(i / width)]!);
    for (let run = 0; run < 5; run++) {
      const { dTable } = await session.run({ table: float32(new Float32Array(rows * width), [rows, width]), ids: int64(drawn) });
      expect(dTable!.data).toEqual(expected);
    }
  });
});

/** y = f(x) of two elements as a model that was loaded. */
function loaded(write: (g: GraphBuilder, x: Value) => Value, opset = 18): Model {
  const g = new GraphBuilder({ opset });
  g.output(write(g, g.input("x", "float32", [2])), "y");
  return g.model();
}

describe("gradient", () => {
  const of = "y";
  const withRespectTo = ["x"];

  it("adds outputs and leaves the model's own as they are", async () => {
    const model = gradient(
      loaded((_g, x) => x.square()),
      { of, withRespectTo, cotangent: true },
    );
    expect(model.graph.inputs.map((v) => v.name)).toEqual(["x", "cotangent:y"]);
    expect(model.graph.outputs.map((v) => v.name)).toEqual(["y", "gradient:x"]);
    await using session = await openSession(model);
    const outputs = await session.run({ x: float32([3, -2]), "cotangent:y": float32([1, 10]) });
    expect([...outputs.y!.data]).toEqual([9, 4]);
    expect([...outputs["gradient:x"]!.data]).toEqual([6, -40]);
  });

  it("can be taken of a gradient", async () => {
    const first = gradient(
      loaded((_g, x) => x.square().mul(x)),
      { of, withRespectTo },
    );
    const second = gradient(first, { of: "gradient:x", withRespectTo, prefix: "second" });
    await using session = await openSession(second);
    const outputs = await session.run({ x: float32([3, -2]) });
    expect([...outputs["gradient:x"]!.data]).toEqual([27, 12]);
    expect([...outputs["second:x"]!.data]).toEqual([18, -12]);
  });

  it("names the operator and the node without a rule, before anything runs", () => {
    const model = loaded((g, x) => g.op("Hardmax", [x]));
    const attempt = (): Model => gradient(model, { of, withRespectTo });
    expect(attempt).toThrow(UnsupportedOpError);
    expect(attempt).toThrow(expect.objectContaining({ op: "Hardmax", node: "/Hardmax" }));
    expect(attempt).toThrow(/operator Hardmax \(node "\/Hardmax"\).*add a rule/);
  });

  it("needs no rule for an operator that is not on the way", () => {
    const model = loaded((g, x) => g.op("Hardmax", [x]).add(g.op("Exp", [x])));
    expect(gradient(model, { of, withRespectTo: ["/Exp_output_0"] }).graph.outputs).toHaveLength(2);
  });

  it("gives its values names that no subgraph uses", async () => {
    const { initializers, ...graph } = branchingGraph();
    // what the gradient of a Relu would be called
    const named: typeof graph = JSON.parse(
      JSON.stringify(graph).replaceAll('"t"', '"/Mul_output_0"').replaceAll('"Mul_t"', '"/Mul"'),
    );
    const model: Model = { irVersion: 8, opsets: [{ domain: "", version: 17 }], graph: { ...named, initializers } };
    await using session = await openSession(gradient(model, { of, withRespectTo }));
    const outputs = await session.run({ x: float32([1, 2, -9]), c: boolean(true) });
    expect([...outputs["gradient:x"]!.data]).toEqual([1, 1, 0]);
  });

  it("refuses what a rule does not cover rather than leave it out", () => {
    const refused: Record<string, (g: GraphBuilder, x: Value) => Value> = {
      Loop: (g, x) => g.loop(2, [x], (_inner, _trip, [state]) => ({ state: [state!.mul(x)], stacked: [] })).state[0]!,
      Dropout: (g, x) => g.op("Dropout", [x, undefined, g.constant(boolean(true))]),
      Resize: (g, x) =>
        g.op("Resize", [x.reshape([1, 1, 1, 2]), undefined, g.constant(float32([1, 1, 1, 0.5]))], {
          mode: "linear",
          antialias: 1,
        }),
      ScatterElements: (g, x) => g.op("ScatterElements", [x, g.ints([0]), x.slice(0, 0, 1)], { reduction: "mul" }),
      Einsum: (g, x) => g.op("Einsum", [x.reshape([1, 2])], { equation: "...i->...i" }),
    };
    for (const [op, write] of Object.entries(refused))
      expect(() => gradient(loaded(write), { of, withRespectTo }), op).toThrow(expect.objectContaining({ op }));
  });

  it("refuses names, dtypes and shapes that it cannot differentiate", () => {
    const model = loaded((_g, x) => x.cast("int64").cast("float32"));
    expect(() => gradient(model, { of, withRespectTo: ["z"] })).toThrow(/there is no value "z"/);
    expect(() => gradient(model, { of, withRespectTo: ["/Cast_output_0"] })).toThrow(
      /int64; only floating-point values have gradients/,
    );
    const g = new GraphBuilder();
    g.output(g.op("Conv", [g.input("x", "float32", ["n", 1, "h", "w"]), g.constant(float32([1], [1, 1, 1, 1]))]), "y");
    expect(() => gradient(g.model(), { of, withRespectTo })).toThrow(/is not a fixed number; give concrete input shapes/);
  });
});
