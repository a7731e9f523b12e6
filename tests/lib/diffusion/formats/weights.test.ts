import { afterAll, describe, expect, it } from "vitest";
import type { Pipeline } from "../../../../lib/diffusion/index.js";
import { fromBfloat16, type Graph, initializerOf, type Model, toAttributes } from "../../../../lib/onnx/index.js";
import { GraphBuilder } from "../../../../lib/program/index.js";
import { arrayFromBytes, bfloat16ToFloat32, float32, float32ToBfloat16, Tensor } from "../../../../lib/tensor/index.js";
import { worstOf } from "../closed-form/expect-golden.js";
import * as nets from "../closed-form/networks.js";
import { closeAll, open, parts, written } from "./opened.js";

afterAll(closeAll);

describe("weights of other types", () => {
  it("in bfloat16 are computed in float32, said aloud", async () => {
    const model = nets.unet();
    const toBfloat16 = (graph: Graph): Graph => ({
      ...graph,
      initializers: graph.initializers.map((w) =>
        w.dtype === "float32" && w.data.kind === "bytes"
          ? initializerOf(w.name, new Tensor("bfloat16", float32ToBfloat16(arrayFromBytes("float32", w.data.bytes)), w.shape))
          : w,
      ),
      inputs: graph.inputs.map((i) => (i.dtype === "float32" ? { ...i, dtype: "bfloat16" } : i)),
      outputs: graph.outputs.map((o) => ({ ...o, dtype: "bfloat16" })),
      nodes: graph.nodes.map((n) => (n.opType === "Cast" ? { ...n, attributes: { to: { type: "int", value: 16 } } } : n)),
    });
    const rounded: Graph = {
      ...model.graph,
      initializers: model.graph.initializers.map((w) =>
        w.dtype === "float32" && w.data.kind === "bytes"
          ? initializerOf(w.name, float32(bfloat16ToFloat32(float32ToBfloat16(arrayFromBytes("float32", w.data.bytes))), w.shape))
          : w,
      ),
    };
    const half = toBfloat16(model.graph);
    expect(fromBfloat16(half).inputs.every((input) => input.dtype === "float32")).toBe(true);
    const config = { in_channels: 4, sample_size: 8 };
    const notes: string[] = [];
    const pipe = await open(await written(parts({ unet: { model: { ...model, graph: half }, config } })), {
      onNote: (n) => notes.push(n),
    });
    const other = await open(await written(parts({ unet: { model: { ...model, graph: rounded }, config } })));
    expect(notes).toEqual([expect.stringMatching(/unet.model\.onnx: bfloat16 is computed in float32/)]);
    expect(pipe.notes).toEqual(notes);
    const quick = { steps: 2, decode: false } as const;
    const [a, b] = [await pipe.generate("a cat", quick), await other.generate("a cat", quick)];
    expect(a.latents.data).toEqual(b.latents.data);
  });

  it("in float16 run with float16 inputs and outputs", async () => {
    const unet = new GraphBuilder({ name: "unet", opset: 18 });
    const x = unet.input("sample", "float16", ["batch", 4, "height", "width"]);
    const t = unet.input("timestep", "float16", ["batch"]);
    const states = unet.input("encoder_hidden_states", "float16", ["batch", 77, 8]);
    const bias = t
      .mul(0.001)
      .unsqueeze(-1)
      .add(states.mean([1, 2]).unsqueeze(-1))
      .unsqueeze(-1, -2);
    unet.output(x.mul(0.5).add(bias), "out_sample");
    const pipe = await open(await written(parts({ unet: { model: unet.model(), config: { in_channels: 4, sample_size: 8 } } })));
    const run = await pipe.generate("a cat", { steps: 2, capture: ["out_sample"] });
    expect(run.latents.data.every(Number.isFinite)).toBe(true);
    expect(run.activations.out_sample!.tensor.dtype).toBe("float32");
  });

  it.each(["QDQ", "MatMulInteger", "ConvInteger"])("in 8 bits run: %s", async (kind) => {
    const g = new GraphBuilder({ name: "unet", opset: 18 });
    const x = g.input("sample", "float32", ["batch", 4, 8, 12]);
    g.input("timestep", "int64", []);
    const states = g.input("encoder_hidden_states", "float32", ["batch", 77, 8]).mean([1, 2], true).unsqueeze(-1);
    const weights = new Tensor(
      "int8",
      Int8Array.from({ length: 16 }, (_, i) => (i % 5 === 0 ? 64 : i - 8)),
      [4, 4, 1, 1],
    );
    const scale = g.scalar(1 / 64);
    const zero = g.constant(new Tensor("int8", new Int8Array(1), []));
    let out: typeof x;
    if (kind === "QDQ") {
      out = g.op("Conv", [x, g.op("DequantizeLinear", [g.constant(weights), scale, zero])]);
    } else {
      const [quantized, step, middle] = g.ops("DynamicQuantizeLinear", [x], {}, 3) as [typeof x, typeof x, typeof x];
      const asBytes = new Tensor(
        "uint8",
        Uint8Array.from(weights.data, (v) => v + 128),
        [4, 4, 1, 1],
      );
      const offset = g.constant(new Tensor("uint8", Uint8Array.of(128), []));
      if (kind === "ConvInteger") {
        out = g
          .op("ConvInteger", [quantized, g.constant(asBytes), middle, offset])
          .cast("float32")
          .mul(step)
          .mul(scale);
      } else {
        const rows = quantized.transpose([0, 2, 3, 1]);
        const columns = g.constant(
          new Tensor(
            "uint8",
            Uint8Array.from({ length: 16 }, (_, i) => asBytes.data[(i % 4) * 4 + Math.floor(i / 4)]!),
            [4, 4],
          ),
        );
        const product = g.op("MatMulInteger", [rows, columns, middle, offset]);
        out = product.cast("float32").mul(step).mul(scale).transpose([0, 3, 1, 2]);
      }
    }
    g.output(out.add(states), "out_sample");
    const plain = new GraphBuilder({ name: "unet", opset: 18 });
    const px = plain.input("sample", "float32", ["batch", 4, 8, 12]);
    plain.input("timestep", "int64", []);
    const pstates = plain.input("encoder_hidden_states", "float32", ["batch", 77, 8]).mean([1, 2], true).unsqueeze(-1);
    const floats = float32(
      Float32Array.from(weights.data, (v) => v / 64),
      [4, 4, 1, 1],
    );
    plain.output(plain.op("Conv", [px, plain.constant(floats)]).add(pstates), "out_sample");
    const config = { in_channels: 4, sample_size: 8 };
    const quick = { steps: 1, height: 16, width: 24, guidanceScale: 1, capture: ["out_sample"], decode: false };
    const eight = await open(await written(parts({ unet: { model: g.model(), config } })));
    const exact = await open(await written(parts({ unet: { model: plain.model(), config } })));
    const predicted = async (pipe: Pipeline): Promise<Tensor> =>
      (await pipe.generate("a cat", quick)).activations.out_sample!.tensor;
    const [a, b] = [await predicted(eight), await predicted(exact)];
    // Activations in 8 bits are off by half a step of 1/255 of their range, weights here are not rounded.
    expect(worstOf(a, b)).toBeLessThan(kind === "QDQ" ? 1e-6 : 0.01);
  });
});

describe("weights in 4 bits", () => {
  it("run where the runtime multiplies them itself (MatMulNBits), and can be hooked around", async () => {
    const channels = 32;
    const node = (opType: string, inputs: string[], output: string, attributes: object, domain = ""): Graph["nodes"][number] => ({
      opType,
      domain,
      name: output,
      inputs,
      outputs: [output],
      attributes: toAttributes(attributes as never),
    });
    // Each weight is (nibble − 8)·scale; byte b of an output's row holds inputs 2b, low, and 2b + 1, high.
    const packed = Uint8Array.from({ length: channels * 16 }, (_, i) => (i * 37) % 256);
    const scales = Float32Array.from({ length: channels }, (_, n) => 0.01 * (1 + n));
    const graph: Graph = {
      name: "unet",
      nodes: [
        node("Transpose", ["sample"], "last", { perm: [0, 2, 3, 1] }),
        node(
          "MatMulNBits",
          ["last", "w", "scales"],
          "product",
          { K: channels, N: channels, bits: 4, block_size: 32 },
          "com.microsoft",
        ),
        node("Transpose", ["product"], "out_sample", { perm: [0, 3, 1, 2] }),
      ],
      initializers: [
        initializerOf("w", new Tensor("uint8", packed, [channels, 1, 16])),
        initializerOf("scales", float32(scales)),
      ],
      inputs: [
        { name: "sample", dtype: "float32", shape: ["batch", channels, 2, 2] },
        { name: "timestep", dtype: "int64", shape: [] },
      ],
      outputs: [{ name: "out_sample", dtype: "float32", shape: ["batch", channels, 2, 2] }],
      valueInfo: [],
    };
    const model: Model = {
      irVersion: 8,
      opsets: [
        { domain: "", version: 18 },
        { domain: "com.microsoft", version: 1 },
      ],
      graph,
    };
    const pipe = await open(
      await written({
        index: { _class_name: "DDPMPipeline" },
        networks: { unet: { model, config: { in_channels: channels, sample_size: 2 } } },
        scheduler: { _class_name: "DDIMScheduler" },
      }),
    );
    const noise = float32(
      Float32Array.from({ length: channels * 4 }, (_, i) => Math.sin(i)),
      [1, channels, 2, 2],
    );
    const run = await pipe.generate("", { steps: 1, noise, capture: ["out_sample"], decode: false });
    expect(pipe.tree().root.parameters).toBeGreaterThan(0);
    const out = run.activations.out_sample!.tensor.data;
    for (let n = 0; n < channels; n++) {
      let sum = 0;
      for (let k = 0; k < channels; k++) {
        const byte = packed[n * 16 + (k >> 1)]!;
        sum += ((k % 2 === 0 ? byte & 15 : byte >> 4) - 8) * scales[n]! * noise.data[k * 4]!;
      }
      expect(out[n * 4]).toBeCloseTo(sum, 4);
    }
  });
});
