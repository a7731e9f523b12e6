import { describe, expect, it } from "vitest";
import { backward, UnsupportedOpError } from "../../../lib/autodiff/index.js";
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
import { float32, Rng, sizeOf, type Tensor } from "../../../lib/tensor/index.js";

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
  attention: [[2, 4, 8], (g, x) => scaledDotProduct(g, linear(g, "q", x, 8), linear(g, "k", x, 8), linear(g, "v", x, 8), 2)],
  "doubled pictures convolved": [[2, 3, 3, 4], (g, x) => upsampleConv2d(g, "a", x, 5)],
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

  it("names the operator and node without a rule, before anything runs", () => {
    const g = new GraphBuilder();
    const x = g.input("x", "float32", [4]);
    const y = g.op("Hardmax", [x]);
    expect(() => backward(g, y.sum(), [x])).toThrow(UnsupportedOpError);
    expect(() => backward(g, y.sum(), [x])).toThrow(/Hardmax.*\/Hardmax/);
  });

  it("is zero with respect to what the value does not depend on", () => {
    const g = new GraphBuilder();
    const x = g.input("x", "float32", [4]);
    const z = g.input("z", "float32", [2]);
    const [dz] = backward(g, x.sum(), [z]);
    expect(dz!.shape).toEqual([2]);
  });
});
