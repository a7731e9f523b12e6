import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { families } from "../../../../lib/diffusion/formats/families.js";
import { type LoadOptions, load, ModelFolderError, type Pipeline, pipelineClasses } from "../../../../lib/diffusion/index.js";
import { schedulerClasses } from "../../../../lib/diffusion/schedules/index.js";
import { encodeModel, fromBfloat16, type Graph, initializerOf, type Model, type Shape } from "../../../../lib/onnx/index.js";
import { GraphBuilder } from "../../../../lib/program/index.js";
import { closeRuntime } from "../../../../lib/runtime/index.js";
import { arrayFromBytes, bfloat16ToFloat32, float32, float32ToBfloat16, Tensor } from "../../../../lib/tensor/index.js";
import { expectGolden, worstOf } from "../closed-form/expect-golden.js";
import { type WrittenFolder, writeFolder, writeJson } from "../closed-form/folder.js";
import { goldenRuns } from "../closed-form/goldens.js";
import * as nets from "../closed-form/networks.js";
import { clipText } from "../closed-form/text-encoders.js";

const temporary: string[] = [];
const pipelines: Pipeline[] = [];

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "tweedie-folder-"));
  temporary.push(folder);
  return folder;
}

async function open(folder: string, options: LoadOptions = {}): Promise<Pipeline> {
  const pipe = await load(folder, { session: { threads: 1 }, onNote: () => {}, ...options });
  pipelines.push(pipe);
  return pipe;
}

afterAll(async () => {
  await Promise.all(pipelines.map((pipe) => pipe.release()));
  await closeRuntime();
  await Promise.all(temporary.map((folder) => rm(folder, { recursive: true })));
});

const euler = goldenRuns("stable-diffusion").euler!;

/** Stable Diffusion in closed form. */
function parts(change: Partial<WrittenFolder["networks"]> = {}): WrittenFolder {
  return {
    index: { _class_name: "ORTStableDiffusionPipeline" },
    networks: {
      unet: { model: nets.unet(), config: { in_channels: 4, sample_size: 8, cross_attention_dim: 8 } },
      text_encoder: { model: clipText({ hiddenStates: false }), config: {} },
      vae_decoder: { model: nets.vaeDecoder(), config: { latent_channels: 4, block_out_channels: [4, 8] } },
      ...(change as WrittenFolder["networks"]),
    },
    tokenizers: { tokenizer: "clip" },
    scheduler: euler.scheduler,
  };
}

async function written(folder: WrittenFolder = parts()): Promise<string> {
  const path = await newFolder();
  await writeFolder(path, folder);
  return path;
}

/** A model whose inputs have other axes. */
function reshaped(model: Model, shapes: Readonly<Record<string, Shape>>): Model {
  const inputs = model.graph.inputs.map((input) => ({ ...input, shape: shapes[input.name] ?? input.shape! }));
  return { ...model, graph: { ...model.graph, inputs } };
}

describe("folders as exporters have written them", () => {
  it("of Diffusers' own script open: no configurations, int32 tokens, one timestep per row, weights.pb", async () => {
    const unet = reshaped(nets.unet(), {
      sample: ["batch", "channels", "height", "width"],
      timestep: ["batch"],
      encoder_hidden_states: ["batch", "sequence", 8],
    });
    const folder = await written({
      ...parts(),
      index: { _class_name: "OnnxStableDiffusionPipeline" },
      networks: {
        unet: { model: unet, save: { externalData: true, thresholdBytes: 0 } },
        text_encoder: { model: clipText({ hiddenStates: false }) },
        vae_decoder: { model: nets.vaeDecoder() },
      },
    });
    const [data] = (await readdir(join(folder, "unet"))).filter((name) => name.endsWith(".data"));
    expect(data).toBeDefined();
    const pipe = await open(folder);
    // What Diffusers' OnnxStableDiffusionPipeline knows by heart.
    expect(pipe.latentSpace).toEqual({ channels: 4, size: 64, factor: 8, scale: 0.18215, shift: 0 });
    await expectGolden(pipe, euler, { height: 64, width: 96 });
  });

  it.each([1, 2, 3])("for %i rows alone run in as many runs as it takes", async (rows) => {
    const shapes = { sample: [rows, 4, "height", "width"], encoder_hidden_states: [rows, 77, 8] };
    const unet = { model: reshaped(nets.unet(), shapes), config: { in_channels: 4, sample_size: 8 } };
    const decoder = {
      model: reshaped(nets.vaeDecoder(), { latent_sample: [1, 4, "height", "width"] }),
      config: { block_out_channels: [4, 8] },
    };
    const encoder = { model: reshaped(clipText({ hiddenStates: false }), { input_ids: [1, 77] }), config: {} };
    const pipe = await open(await written(parts({ unet, vae_decoder: decoder, text_encoder: encoder })));
    const run = await expectGolden(pipe, goldenRuns("stable-diffusion")["euler-batch"]!, { capture: ["sample"], decode: true });
    const { axes, tensor } = run.activations.sample!;
    expect([axes.slice(0, 3), tensor.shape]).toEqual([
      ["step", "branch", "item"],
      [3, 2, 4, 4, 8, 12],
    ]);
    const free = await open(await written());
    const same = await expectGolden(free, goldenRuns("stable-diffusion")["euler-batch"]!, { capture: ["sample"], decode: true });
    expect(worstOf(tensor, same.activations.sample!.tensor)).toBeLessThan(1e-5);
    expect(worstOf(run.pixels!, same.pixels!)).toBeLessThan(1e-5);
  });

  it("for one size alone say so, and have it by default", async () => {
    const unet = { model: reshaped(nets.unet(), { sample: ["batch", 4, 8, 8] }), config: { in_channels: 4, sample_size: 64 } };
    const pipe = await open(await written(parts({ unet })));
    const run = await pipe.generate("a cat", { steps: 1 });
    expect(run.pixels!.shape).toEqual([1, 3, 16, 16]);
    await expect(pipe.generate("a cat", { width: 24 })).rejects.toThrow(/exported for a width of 16 pixels alone, got 24/);
  });

  it("with another name of the model open if it is the only one, and by variant", async () => {
    const folder = await written();
    await rename(join(folder, "unet", "model.onnx"), join(folder, "unet", "unet_quantized.onnx"));
    await expectGolden(await open(folder), euler);
    await cp(join(folder, "unet", "unet_quantized.onnx"), join(folder, "unet", "model_fp16.onnx"));
    await expect(open(folder)).rejects.toThrow(
      /model\.onnx: expected a file, found model_fp16\.onnx, unet_quantized\.onnx; pass \{ variant: "fp16" \}/,
    );
    for (const part of ["text_encoder", "vae_decoder"]) {
      await cp(join(folder, part, "model.onnx"), join(folder, part, "model_fp16.onnx"));
    }
    await expectGolden(await open(folder, { variant: "fp16" }), euler);
  });

  it("with weights in many files beside the model open, and have another digest with other weights", async () => {
    const folder = await written();
    const before = await open(folder);
    const model = nets.unet();
    await rm(join(folder, "unet", "model.onnx"));
    const scattered: Graph["initializers"] = await Promise.all(
      model.graph.initializers.map(async (weight, i) => {
        if (weight.data.kind !== "bytes") return weight;
        await mkdir(join(folder, "unet", "weights"), { recursive: true });
        await writeFile(join(folder, "unet", "weights", `w${i}`), Buffer.concat([new Uint8Array(8), weight.data.bytes]));
        const length = weight.data.bytes.length;
        return { ...weight, data: { kind: "external", location: `weights/w${i}`, offset: 8, length } as const };
      }),
    );
    await writeFile(
      join(folder, "unet", "model.onnx"),
      encodeModel({ ...model, graph: { ...model.graph, initializers: scattered } }),
    );
    const pipe = await open(folder);
    await expectGolden(pipe, euler);
    const file = join(folder, "unet", "weights", "w1");
    const bytes = await readFile(file);
    bytes[9]! ^= 1;
    await writeFile(file, bytes);
    const changed = await open(folder);
    expect(new Set([before.digest, pipe.digest, changed.digest]).size).toBe(3);
  });

  it("that are a lone network open as an unconditional pipeline, with DDPM's schedule where none is there", async () => {
    const folder = await written({
      index: { _class_name: "DDPMPipeline" },
      networks: { unet: { model: nets.unconditionalUNet(), config: { in_channels: 3, sample_size: 8 } } },
      scheduler: goldenRuns("pixels")["edm-euler"]!.scheduler,
    });
    const notes: string[] = [];
    const bare = await open(join(folder, "unet"), { onNote: (note) => notes.push(note) });
    expect(bare.schedulerConfig).toEqual({ _class_name: "DDPMScheduler" });
    expect([bare.pipelineClass, ...notes]).toEqual(["UNet2DModel", expect.stringMatching(/DDPM's.*is assumed/)]);
    await cp(join(folder, "scheduler", "scheduler_config.json"), join(folder, "unet", "scheduler_config.json"));
    await expectGolden(await open(join(folder, "unet")), goldenRuns("pixels")["edm-euler"]!);
  });

  it("of score SDEs show pixels in 0…1 as they are", async () => {
    const pipe = await open(
      await written({
        index: { _class_name: "ScoreSdeVePipeline" },
        networks: { unet: { model: nets.unconditionalUNet(), config: { in_channels: 3, sample_size: 8 } } },
        scheduler: { _class_name: "ScoreSdeVeScheduler" },
      }),
    );
    const pixels = await pipe.decode(
      float32(
        Float32Array.from({ length: 192 }, (_, i) => i / 100 - 0.5),
        [1, 3, 8, 8],
      ),
    );
    for (const [i, v] of pixels.data.entries()) expect(v).toBeCloseTo(Math.min(Math.max(i / 100 - 0.5, 0), 1), 6);
    expect(pipe.defaults).toEqual({ steps: 2000, guidanceScale: 1 });
  });
});

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

describe("defaults", () => {
  const base = euler.scheduler;
  it.each([
    ["plain Stable Diffusion", base, undefined, { steps: 20, guidanceScale: 7.5 }],
    ["Turbo, by its trailing timesteps", { ...base, timestep_spacing: "trailing" }, undefined, { steps: 1, guidanceScale: 0 }],
    ["an LCM that takes no guidance", { _class_name: "LCMScheduler" }, undefined, { steps: 4, guidanceScale: 1 }],
    ["an LCM that does", { _class_name: "LCMScheduler" }, 8, { steps: 4, guidanceScale: 8.5 }],
  ])("of %s", async (_, scheduler, width, defaults) => {
    const unet = {
      model: nets.unet(width === undefined ? {} : { timestepCond: width }),
      config: { in_channels: 4, sample_size: 8, time_cond_proj_dim: width ?? null },
    };
    const pipe = await open(await written({ ...parts({ unet }), scheduler }));
    expect(pipe.defaults).toEqual(defaults);
    const { manifest } = await pipe.generate("a cat", { decode: false });
    expect([manifest.steps, manifest.guidanceScale]).toEqual([defaults.steps, defaults.guidanceScale]);
  });

  it("force Stable Diffusion's steps_offset and clip_sample as its pipeline does", async () => {
    const scheduler = { _class_name: "DDIMScheduler", steps_offset: 0, clip_sample: true };
    const pipe = await open(await written({ ...parts(), scheduler }));
    expect(pipe.schedulerConfig).toMatchObject({ steps_offset: 1, clip_sample: false });
  });

  it("are there for every class, whose schedulers and families exist", () => {
    for (const { family, scheduler, required } of Object.values(pipelineClasses)) {
      expect(Object.keys(families)).toContain(family);
      expect(required[0]).toBe("network");
      if (scheduler !== undefined) expect(Object.keys(schedulerClasses)).toContain(scheduler);
    }
  });
});

describe("what cannot be opened", () => {
  const refusals: readonly [string, (folder: string) => Promise<unknown>, RegExp][] = [
    [
      "a class that is not known, with the nearest",
      (f) => writeJson(join(f, "model_index.json"), { _class_name: "StableDiffusionXXLPipeline" }),
      /did you mean StableDiffusionXLPipeline.*pass \{ pipelineClass \}/,
    ],
    [
      "a name that every object has",
      (f) => writeJson(join(f, "model_index.json"), { _class_name: "constructor" }),
      /found "constructor"/,
    ],
    ["no class", (f) => writeJson(join(f, "model_index.json"), {}), /found null/],
    [
      "weights of PyTorch",
      async (f) => {
        await rename(join(f, "unet", "model.onnx"), join(f, "unet", "diffusion_pytorch_model.safetensors"));
      },
      /found diffusion_pytorch_model\.safetensors; export the pipeline with Optimum/,
    ],
    [
      "a text encoder without its tokenizer",
      (f) => rm(join(f, "tokenizer"), { recursive: true }),
      /tokenizer: expected a folder, found nothing/,
    ],
    [
      "another number of channels",
      (f) => writeJson(join(f, "unet", "config.json"), { in_channels: 5, sample_size: 8 }),
      /in_channels 4, for 4 latent_channels of the VAE, found 5/,
    ],
    [
      "a network whose input has other channels than its configuration",
      (f) =>
        writeJson(join(f, "vae_decoder", "config.json"), { latent_channels: 9 }).then(() =>
          writeJson(join(f, "unet", "config.json"), { in_channels: 9, sample_size: 8 }),
        ),
      /input sample with 9 channels, the configuration's in_channels, found \["batch",4/,
    ],
    [
      "a state that fits no memory",
      (f) => writeJson(join(f, "unet", "config.json"), { in_channels: 4, sample_size: 8000 }),
      /a state of at most/,
    ],
    [
      "a size that is no number",
      (f) => writeJson(join(f, "unet", "config.json"), { in_channels: 4, sample_size: "8" }),
      /a whole number "sample_size", 1…8192, found "8"/,
    ],
    ["a scaling factor of 0", (f) => writeJson(join(f, "vae_decoder", "config.json"), { scaling_factor: 0 }), /other than 0/],
    [
      "text that is not UTF-8",
      (f) => writeFile(join(f, "model_index.json"), Uint8Array.of(0x7b, 0xff, 0x7d)),
      /expected text in UTF-8/,
    ],
    ["JSON without end", (f) => writeFile(join(f, "model_index.json"), `{"a":${"[".repeat(100_000)}`), /expected JSON/],
    [
      "values nested too deep",
      (f) => writeFile(join(f, "model_index.json"), `{"_class_name":${"[".repeat(100_000)}${"]".repeat(100_000)}}`),
      /_class_name one of/,
    ],
  ];
  it.each(refusals)("says so: %s", async (_, change, message) => {
    const folder = await written();
    await change(folder);
    const error = await load(folder).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(ModelFolderError);
    expect((error as Error).message).toMatch(message);
  });

  it("opens as a class that is named for it", async () => {
    const folder = await written();
    await writeJson(join(folder, "model_index.json"), { _class_name: "MyOwnPipeline" });
    const pipe = await open(folder, { pipelineClass: "StableDiffusionPipeline" });
    await expectGolden(pipe, euler);
  });
});
