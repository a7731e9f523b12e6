import { afterAll, describe, expect, it } from "vitest";
import { ActivationRecorder } from "../../../lib/diffusion/pipelines/activation-recorder.js";
import { type Activation, at, type Capture, HookedModel, type Reduction, type StepContext } from "../../../lib/hooks/index.js";
import type { Model } from "../../../lib/onnx/index.js";
import { GraphBuilder } from "../../../lib/program/index.js";
import { closeRuntime } from "../../../lib/runtime/index.js";
import { float32, Rng, sizeOf, type Tensor, toFloat32 } from "../../../lib/tensor/index.js";

/** A picture [batch, 3, 4, 6], a sequence [batch, 16, 3] and probabilities [batch, 2, 16, 5] of it, all computed from x. */
function net(opset: number): Model {
  const g = new GraphBuilder({ name: "net", opset });
  const x = g.input("x", "float32", ["batch", 3, 4, 6]);
  const picture = g.scope("picture", () => x.mul(2));
  const rows = g.scope("sequence", () => picture.slice(3, 0, 4).reshape([0, 3, 16]).transpose([0, 2, 1]).add(1));
  const probs = g.scope("attn", () => {
    const keys = g.constant(float32(new Rng(1).normals(3 * 10), [3, 10]));
    const scores = rows.matmul(keys).reshape([0, 16, 2, 5]).transpose([0, 2, 1, 3]);
    return scores.softmax(-1);
  });
  g.output(
    picture
      .sum([1, 2, 3])
      .add(probs.sum([1, 2, 3]))
      .add(rows.sum([1, 2])),
    "y",
  );
  return g.model();
}

const x = float32(new Rng(2).normals(4 * 3 * 4 * 6), [4, 3, 4, 6]);
const guided: StepContext = { step: 0, branches: ["uncond", "uncond", "cond", "cond"] };

afterAll(() => closeRuntime());

/** The element of a tensor at an index. */
const element = ({ data, shape }: Tensor<"float32">, ...index: number[]): number =>
  data[index.reduce((n, i, axis) => n * shape[axis]! + i, 0)]!;

/** A tensor from its elements. */
function made(shape: number[], of: (...index: number[]) => number): Float32Array {
  return Float32Array.from({ length: sizeOf(shape) }, (_, n) => {
    let rest = n;
    const index = shape.toReversed().map((d) => {
      const i = rest % d;
      rest = Math.floor(rest / d);
      return i;
    });
    return of(...index.reverse());
  });
}

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
const total = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
const cells = upTo(4).flatMap((y) => upTo(6).map((c) => [y, c] as const));
const half = float32([0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 1, 0.5, 0, 0], [4, 4]);

type Case = [
  name: string,
  at: string,
  reduce: Reduction,
  axes: string[],
  shape: number[],
  of: (t: Tensor<"float32">) => (...i: number[]) => number,
];
const cases: Case[] = [
  [
    "mean",
    "picture",
    "mean",
    ["batch", "channel"],
    [4, 3],
    (t) => (b, c) => mean(cells.map(([y, k]) => element(t, b!, c!, y, k))),
  ],
  ["sum", "sequence", "sum", ["batch", "channel"], [4, 3], (t) => (b, c) => total(upTo(16).map((p) => element(t, b!, p, c!)))],
  [
    "max",
    "picture",
    "max",
    ["batch", "channel"],
    [4, 3],
    (t) => (b, c) => Math.max(...cells.map(([y, k]) => element(t, b!, c!, y, k))),
  ],
  [
    "mean over a box",
    "picture",
    { region: { top: 0.5, left: 0, bottom: 1, right: 1 / 3 } },
    ["batch", "channel"],
    [4, 3],
    (t) => (b, c) => mean([2, 3].flatMap((y) => [0, 1].map((k) => element(t, b!, c!, y, k)))),
  ],
  [
    "max over a box",
    "picture",
    { region: { top: 0.5, left: 0, bottom: 1, right: 1 / 3 }, by: "max" },
    ["batch", "channel"],
    [4, 3],
    (t) => (b, c) => Math.max(...[2, 3].flatMap((y) => [0, 1].map((k) => element(t, b!, c!, y, k)))),
  ],
  [
    "mean over a soft mask of a sequence's grid",
    "sequence",
    { region: half },
    ["batch", "channel"],
    [4, 3],
    (t) => (b, c) => total(upTo(16).map((p) => half.data[p]! * element(t, b!, p, c!))) / 3.5,
  ],
  [
    "a grid of a picture",
    "picture",
    { grid: 2 },
    ["batch", "channel", "y", "x"],
    [4, 3, 2, 2],
    (t) => (b, c, y, k) => mean([0, 1].flatMap((dy) => [0, 1, 2].map((dx) => element(t, b!, c!, 2 * y! + dy, 3 * k! + dx)))),
  ],
  [
    "a grid's maxima of a sequence",
    "sequence",
    { grid: 2, by: "max" },
    ["batch", "token", "channel"],
    [4, 4, 3],
    (t) => (b, p, c) => {
      const [y, k] = [p! >> 1, p! & 1];
      return Math.max(...[0, 1].flatMap((dy) => [0, 1].map((dx) => element(t, b!, (2 * y + dy) * 4 + 2 * k + dx, c!))));
    },
  ],
  [
    "a grid of queries, for chosen keys, over heads",
    "attn.probs",
    [{ keys: [1, 4] }, { heads: "mean" }, { grid: 2 }],
    ["batch", "query", "key"],
    [4, 4, 2],
    (t) => (b, q, j) => {
      const [y, k] = [q! >> 1, q! & 1];
      const places = [0, 1].flatMap((dy) => [0, 1].map((dx) => (2 * y + dy) * 4 + 2 * k + dx));
      return mean(places.flatMap((place) => [0, 1].map((h) => element(t, b!, h, place, j === 0 ? 1 : 4))));
    },
  ],
  [
    "heads and queries",
    "attn.probs",
    [{ heads: [1] }, { queries: [0, -1] }],
    ["batch", "head", "query", "key"],
    [4, 1, 2, 5],
    (t) => (b, _, q, j) => element(t, b!, 1, q === 0 ? 0 : 15, j!),
  ],
  [
    "tokens",
    "sequence",
    { tokens: [3, 0] },
    ["batch", "token", "channel"],
    [4, 2, 3],
    (t) => (b, p, c) => element(t, b!, [3, 0][p!]!, c!),
  ],
  [
    "tokens of a picture, of chosen channels",
    "picture",
    [{ channels: [2, 0] }, "tokens"],
    ["batch", "token", "channel"],
    [4, 24, 2],
    (t) => (b, p, c) => element(t, b!, [2, 0][c!]!, Math.floor(p! / 6), p! % 6),
  ],
];

describe.each([14, 18])("reductions at opset %i", (opset) => {
  it.each(cases)("%s is what is computed of the whole activation by hand", async (_, path, reduce, axes, shape, of) => {
    await using model = new HookedModel(net(opset));
    const { outputs: plain } = await model.run({ x });
    const capture: Capture[] = [path, { at: path, reduce, as: "reduced" }, { at: path, reduce, dtype: "float16", as: "half" }];
    const { outputs, activations } = await model.run({ x }, { capture });
    const [whole, reduced] = [activations[path]!, activations.reduced!];
    expect(reduced.axes).toEqual(axes);
    expect(reduced.tensor.shape).toEqual(shape);
    const expected = made(shape, of(whole.tensor as Tensor<"float32">));
    const { data } = reduced.tensor as Tensor<"float32">;
    expect(Math.max(...data.map((v, i) => Math.abs(v - expected[i]!)))).toBeLessThan(2e-6);
    expect(activations.half!.tensor.dtype).toBe("float16");
    expect(
      Math.max(...toFloat32(activations.half!.tensor).data.map((v, i) => Math.abs(v - data[i]!) / (1 + Math.abs(v)))),
    ).toBeLessThan(2 ** -11);
    expect(outputs.y!.bytes).toEqual(plain.y!.bytes);
  });
});

describe("captures of one branch", () => {
  it("let only its rows out of the graph, behind edits and before reductions", async () => {
    await using model = new HookedModel(net(18));
    const { activations } = await model.run(
      { x },
      {
        context: guided,
        edits: [at("picture").scale(3, { branch: "cond" })],
        capture: [
          "picture",
          { at: "picture", branch: "cond", as: "cond" },
          { at: "picture", branch: "uncond", reduce: "max", as: "uncond" },
        ],
      },
    );
    const whole = activations.picture!.tensor as Tensor<"float32">;
    expect(activations.cond).toMatchObject({ branch: "cond", axes: ["batch", "channel", "y", "x"] });
    expect(activations.cond!.tensor.bytes).toEqual(whole.slice(2, 4).bytes);
    const maxima = made([2, 3], (b, c) => Math.max(...cells.map(([y, k]) => element(whole, b!, c!, y, k))));
    expect([...(activations.uncond!.tensor.data as Float32Array)]).toEqual([...maxima]);
  });

  it("need a run that has branches, and rows that are the batch's", async () => {
    await using model = new HookedModel(net(18));
    const capture: Capture[] = [{ at: "picture", branch: "cond" }];
    await expect(model.run({ x }, { capture })).rejects.toThrow(/branch "cond" needs a guided run/);
  });

  it("are recorded without an axis for it, NaN where a call did without that branch", async () => {
    await using model = new HookedModel(net(18));
    const capture: Capture[] = [
      { at: "picture", branch: "uncond", reduce: "mean", dtype: "float16", as: "uncond" },
      { at: "picture", branch: "cond", reduce: "mean", as: "cond" },
      { at: "picture", reduce: "mean", as: "both" },
    ];
    const recorder = new ActivationRecorder(2, 2);
    const first = await model.run({ x }, { capture, context: guided });
    recorder.add([{ items: 2, branches: 2, activations: first.activations }], { step: 0, timestep: 900, sigma: 1 });
    const second = await model.run({ x: x.slice(2, 4) }, { capture, context: { step: 1, branches: ["cond", "cond"] } });
    recorder.add([{ items: 2, branches: 1, activations: second.activations }], { step: 1, timestep: 800, sigma: 1 });
    const { uncond, cond, both } = recorder.activations() as Record<string, Activation<Tensor<"float32">>>;
    expect(both!.axes).toEqual(["step", "branch", "item", "channel"]);
    expect(cond).toMatchObject({ axes: ["step", "item", "channel"], branch: "cond" });
    expect(cond!.tensor.shape).toEqual([2, 2, 3]);
    expect(cond!.tensor.row(0).data).toEqual(both!.tensor.row(0).row(1).data);
    expect(cond!.tensor.row(1).data).toEqual(both!.tensor.row(1).row(1).data);
    expect(uncond!.tensor.row(1).data.every(Number.isNaN)).toBe(true);
    const rounded = uncond!.tensor.row(0).data.map((v, i) => Math.abs(v - both!.tensor.row(0).row(0).data[i]!));
    expect(Math.max(...rounded)).toBeLessThan(1e-3);
  });
});

describe("captures that cannot be", () => {
  it.each<[Capture, RegExp]>([
    [{ at: "sequence", reduce: { heads: "mean" } }, /no head axis among \[batch, token, channel\]/],
    [{ at: "picture", reduce: { grid: 4 } }, /4 × 6 cannot be divided into 4 × 4 fields/],
    [{ at: "attn.probs", reduce: { keys: [5] } }, /key: expected whole numbers in 0…4, got 5/],
    [{ at: "picture", reduce: { channels: [] } }, /got none/],
    [{ at: "picture", reduce: { region: float32(new Float32Array(24), [4, 6]) } }, /reaches no place/],
    [{ at: "picture", reduce: ["mean", "max"] }, /nothing to reduce, its axes are \[batch, channel\]/],
    [{ at: "attn.probs", reduce: "tokens" }, /no vectors at places/],
  ])("%o says why", async (capture, message) => {
    await using model = new HookedModel(net(18));
    await expect(model.run({ x }, { capture: [capture] })).rejects.toThrow(message);
  });
});
