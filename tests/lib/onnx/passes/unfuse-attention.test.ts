import { afterAll, describe, expect, it } from "vitest";
import {
  type AttributeInput,
  expose,
  float,
  type Model,
  UnsupportedAttentionError,
  unfuseAttention,
} from "../../../../lib/onnx/index.js";
import { GraphBuilder, type Value } from "../../../../lib/program/index.js";
import { closeRuntime, openSession } from "../../../../lib/runtime/index.js";
import { float32, Rng, sizeOf, Tensor } from "../../../../lib/tensor/index.js";

// Two rows, two heads; queries and keys are 4 wide, values 3 where they may differ.
const [batch, heads, queries, keys, width, valueWidth] = [2, 2, 5, 7, 4, 3];
const rng = new Rng(11);
const random = (...shape: number[]): Tensor =>
  float32(
    Float32Array.from({ length: sizeOf(shape) }, () => 3 * rng.uniform() - 1.5),
    shape,
  );
const ints = (values: number[], shape: number[]): Tensor => new Tensor("int32", Int32Array.from(values), shape);

interface Case {
  readonly op: string;
  readonly domain?: string;
  readonly opset?: number;
  readonly attributes: Readonly<Record<string, AttributeInput>>;
  /** By position; undefined is left out. */
  readonly inputs: readonly (Tensor | undefined)[];
}

function modelOf({ op, domain = "com.microsoft", opset = 18, attributes, inputs }: Case): Model {
  const g = new GraphBuilder({ name: "attention", opset });
  const values = inputs.map((t, i): Value | undefined => t && g.input(`input${i}`, t.dtype, t.shape));
  g.output(g.op(op, values, attributes, { domain, names: ["y"] }));
  const model = g.model();
  return { ...model, irVersion: 10 };
}

async function run(model: Model, inputs: Case["inputs"]): Promise<Readonly<Record<string, Tensor>>> {
  const session = await openSession(model);
  const feeds = Object.fromEntries(inputs.flatMap((t, i) => (t ? [[`input${i}`, t]] : [])));
  const results = await session.run(feeds);
  await session.release();
  return results;
}

const data = (t: Tensor | undefined): Float32Array => (t as Tensor<"float32">).data;
function worst(a: Tensor | undefined, b: Tensor | undefined): number {
  expect(a?.shape).toEqual(b?.shape);
  return data(a).reduce((most, x, i) => Math.max(most, Math.abs(x - data(b)[i]!)), 0);
}

afterAll(() => closeRuntime());

const q = random(batch, queries, heads * width);
const k = random(batch, keys, heads * width);
const v = random(batch, keys, heads * width);
const bias = random(3 * heads * width);
const num_heads = heads;
const paddingMask = ints([1, 1, 1, 1, 0, 0, 0, 1, 1, 1, 1, 1, 1, 0], [batch, keys]);
const multiHead: Record<string, Case> = {
  plain: { op: "MultiHeadAttention", attributes: { num_heads }, inputs: [q, k, v] },
  "values of another width": {
    op: "MultiHeadAttention",
    attributes: { num_heads },
    inputs: [q, k, random(batch, keys, heads * valueWidth)],
  },
  "a scale": { op: "MultiHeadAttention", attributes: { num_heads, scale: float(0.3) }, inputs: [q, k, v] },
  "a bias": { op: "MultiHeadAttention", attributes: { num_heads }, inputs: [q, k, v, bias] },
  "a padding mask": { op: "MultiHeadAttention", attributes: { num_heads }, inputs: [q, k, v, undefined, paddingMask] },
  "a mask's own value": {
    op: "MultiHeadAttention",
    attributes: { num_heads, mask_filter_value: float(-1.5) },
    inputs: [q, k, v, undefined, paddingMask],
  },
  "a bias of scores": {
    op: "MultiHeadAttention",
    attributes: { num_heads },
    inputs: [q, k, v, undefined, undefined, random(1, heads, queries, keys)],
  },
  "keys and values split before": {
    op: "MultiHeadAttention",
    attributes: { num_heads },
    inputs: [q, random(batch, heads, keys, width), random(batch, heads, keys, width)],
  },
  causal: {
    op: "MultiHeadAttention",
    attributes: { num_heads, unidirectional: 1 },
    inputs: [q, random(batch, queries, heads * width), random(batch, queries, heads * width)],
  },
};
const x = random(batch, queries, 6);
const weights = random(6, 3 * heads * width);
const packed: Record<string, Case> = {
  "packed weights": { op: "Attention", attributes: { num_heads }, inputs: [x, weights, bias] },
  "packed weights of several widths": {
    op: "Attention",
    attributes: { num_heads, qkv_hidden_sizes: [8, 8, 6], scale: float(0.7) },
    inputs: [x, random(6, 22), random(22)],
  },
  "packed weights, lengths": { op: "Attention", attributes: { num_heads }, inputs: [x, weights, bias, ints([2, 5], [batch])] },
  "packed weights, a mask per query": {
    op: "Attention",
    attributes: { num_heads },
    inputs: [
      x,
      weights,
      bias,
      ints(
        Array.from({ length: batch * queries * queries }, (_, i) => Number(i % 3 !== 1)),
        [batch, queries, queries],
      ),
    ],
  },
  "packed weights, causal": { op: "Attention", attributes: { num_heads, unidirectional: 1 }, inputs: [x, weights, bias] },
};
const onnx = (attributes: Case["attributes"], ...inputs: Case["inputs"]): Case => ({
  op: "Attention",
  domain: "",
  opset: 23,
  attributes,
  inputs,
});
const counts = { q_num_heads: heads, kv_num_heads: heads };
const standard: Record<string, Case> = {
  "ONNX, 3 axes": onnx(counts, q, k, v),
  "ONNX, 4 axes": onnx(
    {},
    random(batch, heads, queries, width),
    random(batch, heads, keys, width),
    random(batch, heads, keys, valueWidth),
  ),
  "ONNX, heads that serve several": onnx(
    { q_num_heads: 4, kv_num_heads: 2 },
    random(batch, queries, 16),
    random(batch, keys, 8),
    random(batch, keys, 8),
  ),
  "ONNX, a scale and a mask of numbers": onnx({ ...counts, scale: float(0.2) }, q, k, v, random(queries, keys)),
  "ONNX, a mask of Booleans": onnx(
    counts,
    q,
    k,
    v,
    new Tensor(
      "bool",
      Uint8Array.from({ length: queries * keys }, (_, i) => Number(i % 4 !== 2)),
      [queries, keys],
    ),
  ),
  "ONNX, causal": onnx({ ...counts, is_causal: 1 }, q, random(batch, queries, 8), random(batch, queries, 8)),
};

describe("unfuseAttention", () => {
  it.each(Object.entries({ ...multiHead, ...packed, ...standard }))("equals the runtime's kernel: %s", async (_, one) => {
    const model = modelOf(one);
    const opset = one.opset ?? 18;
    const graph = expose(["y:q", "y:k", "y:v", "y:scores", "y:probs"])(unfuseAttention(model.graph, { opset }));
    expect(graph.nodes.some((n) => n.opType.endsWith("Attention"))).toBe(false);
    const [fused, unfused] = [await run(model, one.inputs), await run({ ...model, graph }, one.inputs)];
    expect(worst(fused.y, unfused.y)).toBeLessThan(2e-6);
    // Probabilities of one query sum to 1, and they are those with which values were mixed.
    const probs = unfused["y:probs"]!;
    const [n, h, length, count] = probs.shape as [number, number, number, number];
    const values = unfused["y:v"]!;
    const perHead = values.shape[3]!;
    const isSplit = unfused.y!.shape.length === 4;
    for (let row = 0; row < n * h * length; row++) {
      const p = data(probs).subarray(row * count, (row + 1) * count);
      expect(p.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 5);
      const [b, head, place] = [Math.floor(row / (h * length)), Math.floor(row / length) % h, row % length];
      const valueHead = Math.floor((head * values.shape[1]!) / h);
      const first = p.reduce(
        (sum, pj, j) => sum + pj * data(values)[((b * values.shape[1]! + valueHead) * count + j) * perHead]!,
        0,
      );
      const at = isSplit ? row * perHead : ((b * length + place) * h + head) * perHead;
      expect(data(unfused.y)[at]).toBeCloseTo(first, 5);
    }
  });

  it("takes packed queries, keys and values apart, which the runtime's CPU kernel refuses", async () => {
    const [q3, k3, v3] = [q, k, v].map((t) => t.slice(0, batch));
    const interleave = (parts: Tensor[], length: number): Tensor => {
      const out = new Float32Array(batch * length * heads * parts.length * width);
      for (let i = 0; i < out.length; i++) {
        const [c, part, head] = [i % width, Math.floor(i / width) % parts.length, Math.floor(i / (width * parts.length)) % heads];
        const place = Math.floor(i / (width * parts.length * heads));
        out[i] = data(parts[part])[(place * heads + head) * width + c]!;
      }
      return float32(out, [batch, length, heads, parts.length, width]);
    };
    const separate = await run(modelOf(multiHead.plain!), [q, k, v]);
    const half: Case = { op: "MultiHeadAttention", attributes: { num_heads }, inputs: [q, interleave([k3!, v3!], keys)] };
    const model = modelOf(half);
    const unfused = await run({ ...model, graph: unfuseAttention(model.graph, { opset: 18 }) }, half.inputs);
    expect(worst(separate.y, unfused.y)).toBeLessThan(2e-6);

    const own: Case = {
      op: "MultiHeadAttention",
      attributes: { num_heads },
      inputs: [q3, random(batch, queries, 8), random(batch, queries, 8)],
    };
    const all: Case = { ...own, inputs: [interleave(own.inputs as Tensor[], queries)] };
    const packedModel = modelOf(all);
    const apart = await run({ ...packedModel, graph: unfuseAttention(packedModel.graph, { opset: 18 }) }, all.inputs);
    expect(worst((await run(modelOf(own), own.inputs)).y, apart.y)).toBeLessThan(2e-6);
  });

  it("does without a bias, on which the runtime's CPU kernel crashes", async () => {
    const one: Case = { ...packed["packed weights"]!, inputs: [x, weights] };
    const model = modelOf(one);
    const unfused = await run({ ...model, graph: unfuseAttention(model.graph, { opset: 18 }) }, one.inputs);
    const unbiased: Case = { ...one, inputs: [x, weights, float32(new Float32Array(24))] };
    expect(worst((await run(modelOf(unbiased), unbiased.inputs)).y, unfused.y)).toBeLessThan(2e-6);
  });

  it("leaves a graph alone in which nothing is asked for", () => {
    const { graph } = modelOf(multiHead.plain!);
    expect(unfuseAttention(graph, { opset: 18, outputs: [] })).toBe(graph);
    expect(unfuseAttention(graph, { opset: 18, outputs: ["another"] })).toBe(graph);
  });

  it("says what stands in the way", () => {
    const refusal = (one: Case): unknown => {
      try {
        return unfuseAttention(modelOf(one).graph, { opset: one.opset ?? 18 });
      } catch (error) {
        return error;
      }
    };
    const past = random(batch, heads, 3, width);
    const cached = refusal({ ...multiHead.plain!, inputs: [q, k, v, undefined, undefined, undefined, past, past] });
    expect(cached).toBeInstanceOf(UnsupportedAttentionError);
    expect(cached).toMatchObject({
      op: "MultiHeadAttention",
      message: expect.stringMatching(/earlier calls; export the model without/),
    });
    expect(refusal({ op: "Attention", attributes: { num_heads, do_rotary: 1 }, inputs: [x, weights, bias] })).toMatchObject({
      message: expect.stringMatching(/do_rotary/),
    });
    expect(refusal(onnx({ ...counts, softcap: float(5) }, q, k, v))).toMatchObject({ message: expect.stringMatching(/softcap/) });
    const offsets = ints([1, 2, 3, 4, 5, 6, 7, 8], [8]);
    expect(refusal({ ...multiHead.plain!, inputs: [q, k, v, undefined, offsets] })).toMatchObject({
      message: expect.stringMatching(/mask \[8\] is not one length for each of 2 rows/),
    });
    expect(refusal({ op: "GroupQueryAttention", attributes: { num_heads, kv_num_heads: 1 }, inputs: [q, k, v] })).toMatchObject({
      message: expect.stringMatching(/key–value cache/),
    });
  });
});
