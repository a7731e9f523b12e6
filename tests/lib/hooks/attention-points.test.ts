import { readFileSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { at, HookedModel, hookedSession, moduleTree } from "../../../lib/hooks/index.js";
import { decodeModel, float, type Model, UnsupportedAttentionError } from "../../../lib/onnx/index.js";
import { GraphBuilder, linear, type Value } from "../../../lib/program/index.js";
import { closeRuntime } from "../../../lib/runtime/index.js";
import { float32, Rng, sizeOf, type Tensor } from "../../../lib/tensor/index.js";

interface Golden {
  readonly shape: number[];
  readonly data: number[];
}

const golden = new URL("../../golden/torch-attention/", import.meta.url);
const values = JSON.parse(readFileSync(new URL("values.json", golden), "utf8")) as Record<string, Golden>;
const exported = (opset: number): Model => decodeModel(readFileSync(new URL(`opset${opset}.onnx`, golden)));
const tensorOf = ({ shape, data }: Golden): Tensor<"float32"> => float32(Float32Array.from(data), shape);
const feeds = { tokens: tensorOf(values.tokens!), context: tensorOf(values.context!) };

const data = (t: Tensor | undefined): Float32Array => (t as Tensor<"float32">).data;
const worst = (a: Tensor | undefined, b: ArrayLike<number>): number =>
  data(a).reduce((most, x, i) => Math.max(most, Math.abs(x - b[i]!)), Math.abs(data(a).length - b.length));

afterAll(() => closeRuntime());

describe.each([14, 17])("hook points of a PyTorch export at opset %i", (opset) => {
  const points = Object.keys(values).filter((name) => name.startsWith("block"));

  it("hold what PyTorch computes there", async () => {
    expect(points).toHaveLength(21);
    await using model = new HookedModel(exported(opset));
    const inside = points.filter((p) => /\.(q|k|v|scores|probs|z)$/.test(p));
    const plain = await model.run(feeds);
    // Shapes are needed to be sure of an update.
    const inputShapes = { tokens: [2, 4, 4], context: [2, 3, 6] };
    await using shaped = new HookedModel(exported(opset), { inputShapes });
    for (const [hooked, capture] of [
      [model, inside],
      [shaped, points],
    ] as const) {
      const { outputs, activations } = await hooked.run(feeds, { capture });
      for (const path of capture) {
        expect(activations[path]!.tensor.shape, path).toEqual(values[path]!.shape);
        expect(worst(activations[path]!.tensor, values[path]!.data), path).toBeLessThan(2e-6);
      }
      expect(outputs.y!.bytes).toEqual(plain.outputs.y!.bytes);
    }
  });

  it("can be edited, and unchanged keep every bit", async () => {
    await using model = new HookedModel(exported(opset), { inputShapes: { tokens: [2, 4, 4], context: [2, 3, 6] } });
    const { outputs: plain } = await model.run(feeds);
    for (const path of [
      "block:in",
      "block.attn2:in1",
      "block:update",
      ...["q", "k", "v", "scores", "probs", "z"].map((p) => `block.attn2.${p}`),
    ]) {
      const { outputs: same } = await model.run(feeds, { edits: [at(path).scale(1)] });
      expect(same.y!.bytes, path).toEqual(plain.y!.bytes);
      const { outputs: other } = await model.run(feeds, { edits: [at(path).scale(0.5)] });
      expect(worst(other.y, data(plain.y)), path).toBeGreaterThan(1e-4);
    }
  });

  it("an update without its module's work leaves the input", async () => {
    const inputShapes = { tokens: [2, 4, 4], context: [2, 3, 6] };
    await using model = new HookedModel(exported(opset), { inputShapes });
    const { activations } = await model.run(feeds, { edits: [at("block:update").scale(0)], capture: ["block", "block:in"] });
    expect(worst(activations.block?.tensor, data(activations["block:in"]?.tensor))).toBeLessThan(1e-6);
  });
});

/** Attention of given q [2, 2, 5, 4], k and v [2, 2, 3, 4], written in another way. */
type Writing = (g: GraphBuilder, q: Value, k: Value, v: Value) => Value;
const fold = (x: Value): Value => x.reshape([4, -1, 4]);
const writings: Record<string, Writing> = {
  "as plain products": (_, q, k, v) =>
    q
      .matmul(k.transpose([0, 1, 3, 2]))
      .mul(0.5)
      .softmax()
      .matmul(v),
  "as Einsum": (g, q, k, v) => {
    const scores = g.op("Einsum", [q, k], { equation: "bhid,bhjd->bhij" }).mul(0.5);
    return g.op("Einsum", [scores.softmax(), v], { equation: "b h i j, b h j d -> b h i d" });
  },
  "as Einsum with folded heads": (g, q, k, v) => {
    const scores = g.op("Einsum", [fold(q), fold(k)], { equation: "b i d, b j d -> b i j" }).mul(0.5);
    return g.op("Einsum", [scores.softmax(), fold(v)], { equation: "b i j, b j d -> b i d" }).reshape([2, 2, 5, 4]);
  },
  "as products with their scale": (g, q, k, v) =>
    g
      .op("FusedMatMul", [q, k], { transB: 1, alpha: float(0.5) }, { domain: "com.microsoft" })
      .softmax()
      .matmul(v),
  "as PyTorch 2 exports scaled_dot_product_attention": (g, q, k, v) => {
    const width = g.op("Shape", [q]).slice(0, -1, Number.MAX_SAFE_INTEGER).cast("float32");
    const root = g.scalar(1).div(width.sqrt()).sqrt();
    return q
      .mul(root)
      .matmul(k.transpose([0, 1, 3, 2]).mul(root))
      .softmax()
      .matmul(v);
  },
  "with a mask, and a guard against rows without keys": (g, q, k, v) => {
    const scores = q
      .matmul(k.transpose([0, 1, 3, 2]))
      .div(2)
      .add(g.constant(float32(new Float32Array(15), [1, 1, 5, 3])));
    const probs = scores.softmax();
    return g.where(g.op("IsNaN", [probs]), g.scalar(0), probs).matmul(v);
  },
};

describe("attentions", () => {
  const rng = new Rng(6);
  const given = Object.fromEntries([5, 3, 3].map((n, i) => [["q", "k", "v"][i]!, float32(rng.normals(16 * n), [2, 2, n, 4])]));
  const parts = ["q", "k", "v", "scores", "probs", "z"];

  async function inside(write: Writing) {
    const g = new GraphBuilder({ name: "written" });
    const inputs = ["q", "k", "v"].map((name) => g.input(name, "float32", given[name]!.shape).add(0)) as [Value, Value, Value];
    g.output(
      g.scope("attn", () => write(g, ...inputs)),
      "y",
    );
    await using model = new HookedModel(g.model());
    return (await model.run(given, { capture: [`attn.{${parts}}`] })).activations;
  }

  it.each(Object.entries(writings).slice(1))("are found written %s", async (_, write) => {
    const expected = await inside(writings["as plain products"]!);
    const found = await inside(write);
    for (const part of parts) {
      const { tensor, axes } = found[`attn.${part}`]!;
      expect(axes, part).toEqual(expected[`attn.${part}`]!.axes);
      expect(tensor.shape, part).toEqual(expected[`attn.${part}`]!.tensor.shape);
      expect(worst(tensor, data(expected[`attn.${part}`]!.tensor)), part).toBeLessThan(2e-6);
    }
    for (const part of ["q", "k", "v"]) expect(found[`attn.${part}`]!.tensor.bytes).toEqual(given[part]!.bytes);
  });
  it("are none where a classifier's softmax weighs a table", () => {
    const g = new GraphBuilder({ name: "codebook" });
    const x = g.input("x", "float32", ["batch", 6, 8]);
    const table = g.constant(float32(new Rng(1).normals(40), [5, 8]), "head.table");
    g.output(
      g.scope("head", () => x.matmul(table.transpose()).softmax().matmul(table)),
      "y",
    );
    expect(
      moduleTree(g.graph(), { opset: 18 })
        .find("head.*")
        .map((p) => p.path),
    ).toEqual(["head.probs"]);
  });
});

/** Self-attention of [batch, 4, 8] in two heads by the operator of ONNX Runtime, with an input beside the model's. */
function fusedNet(extra: (g: GraphBuilder) => (Value | undefined)[] = () => []): Model {
  const g = new GraphBuilder({ name: "fused", opset: 18 });
  const x = g.input("x", "float32", ["batch", 4, 8]);
  const mixed = g.scope("attn", () => {
    const [q, k, v] = ["to_q", "to_k", "to_v"].map((name) => linear(g, name, x, 8, { bias: false }));
    const z = g.op("MultiHeadAttention", [q, k, v, ...extra(g)], { num_heads: 2 }, { domain: "com.microsoft" });
    return linear(g, "to_out.0", z, 8);
  });
  g.output(mixed.add(x), "y");
  const weights: Record<string, Tensor> = {};
  const rng = new Rng(3);
  for (const { name, shape } of g.parameters.values()) weights[name] = float32(rng.normals(sizeOf(shape)), shape);
  return g.model({ weights });
}

describe("fused attention", () => {
  const x = float32(new Rng(4).normals(2 * 4 * 8), [2, 4, 8]);

  it("is told in the tree", () => {
    const tree = moduleTree(fusedNet().graph, { opset: 18 });
    expect(tree.modules().find((m) => m.path === "attn")?.attention).toEqual({ heads: 2, fusedAs: "MultiHeadAttention" });
    expect(tree.toString()).toContain("attn  [batch, 4, 8]  attention with 2 heads, fused as MultiHeadAttention");
    expect(tree.find("**.probs")[0]).toMatchObject({ axes: ["batch", "head", "query", "key"], shape: ["batch", 2, 4, 4] });
  });

  it("is taken apart for what is inside, and left alone for what is not", async () => {
    const model = fusedNet();
    await using session = await hookedSession(model, { capture: ["attn.{q,k,v,z}"] }).then((s) => ({
      run: s.run,
      [Symbol.asyncDispose]: () => s.release(),
    }));
    const whole = await session.run({ x });
    await using hooked = new HookedModel(model);
    const plain = await hooked.run({ x });
    expect(whole.outputs.y!.bytes).toEqual(plain.outputs.y!.bytes);

    const { outputs, activations } = await hooked.run({ x }, { capture: ["attn.{q,k,v,scores,probs,z}"] });
    expect(worst(outputs.y, data(plain.outputs.y))).toBeLessThan(1e-5);
    for (const part of ["q", "k", "v", "z"]) {
      const apart = activations[`attn.${part}`]!;
      expect(apart.tensor.shape).toEqual([2, 2, 4, 4]);
      expect(worst(apart.tensor, data(whole.activations[`attn.${part}`]!.tensor))).toBeLessThan(1e-5);
    }
    // By hand, for row 1, head 1, query 2.
    const row = (part: string, token: number): Float32Array =>
      data(activations[`attn.${part}`]!.tensor).subarray((12 + token) * 4, (13 + token) * 4);
    const scores = [0, 1, 2, 3].map((j) => row("q", 2).reduce((sum, v, c) => sum + v * row("k", j)[c]!, 0) / 2);
    const weights = scores.map((s) => Math.exp(s - Math.max(...scores)));
    const probs = weights.map((w) => w / weights.reduce((a, b) => a + b, 0));
    expect(Math.max(...probs.map((p, j) => Math.abs(p - row("probs", 2)[j]!)))).toBeLessThan(1e-5);
    const z = [0, 1, 2, 3].map((c) => probs.reduce((sum, p, j) => sum + p * row("v", j)[c]!, 0));
    expect(Math.max(...z.map((v, c) => Math.abs(v - row("z", 2)[c]!)))).toBeLessThan(1e-4);
  });

  it("edits probabilities", async () => {
    await using hooked = new HookedModel(fusedNet());
    const { activations } = await hooked.run({ x }, { edits: [at("attn.probs").scale(0)], capture: ["attn.z"] });
    expect(data(activations["attn.z"]!.tensor).every((v) => v === 0)).toBe(true);
  });

  it("says what keeps it from being taken apart", async () => {
    const past = (g: GraphBuilder): (Value | undefined)[] => {
      const kept = [g.input("past_k", "float32", ["batch", 2, 3, 4]), g.input("past_v", "float32", ["batch", 2, 3, 4])];
      return [undefined, undefined, undefined, ...kept];
    };
    await using hooked = new HookedModel(fusedNet(past));
    await expect(hooked.run({ x }, { capture: ["attn.probs"] })).rejects.toThrow(UnsupportedAttentionError);
    await expect(hooked.run({ x }, { capture: ["attn.probs"] })).rejects.toThrow(/earlier calls/);
  });
});
