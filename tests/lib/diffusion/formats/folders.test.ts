import { cp, mkdir, readdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { families } from "../../../../lib/diffusion/formats/families.js";
import { load, ModelFolderError, pipelineClasses } from "../../../../lib/diffusion/index.js";
import { schedulerClasses } from "../../../../lib/diffusion/schedules/index.js";
import { at } from "../../../../lib/hooks/index.js";
import { dataTypeCodes, encodeModel, type Graph, type Model, renameReads, toAttributes } from "../../../../lib/onnx/index.js";
import { float32 } from "../../../../lib/tensor/index.js";
import { expectGolden, worstOf } from "../closed-form/expect-golden.js";
import { writeJson } from "../closed-form/folder.js";
import { goldenRuns } from "../closed-form/goldens.js";
import * as nets from "../closed-form/networks.js";
import { clipText } from "../closed-form/text-encoders.js";
import { closeAll, euler, open, parts, reshaped, temporary, written } from "./opened.js";

afterAll(closeAll);

/** A text encoder that takes its tokens as int32. */
function withInt32({ graph, ...rest }: Model): Model {
  const ids = { name: "input_ids", dtype: "int32", shape: ["batch", 77] } as const;
  const cast = {
    opType: "Cast",
    domain: "",
    name: "to_int64",
    inputs: [ids.name],
    outputs: ["ids"],
    attributes: toAttributes({ to: dataTypeCodes.int64 }),
  };
  const nodes = graph.nodes.map((node) => renameReads(node, new Map([[ids.name, "ids"]])));
  return { ...rest, graph: { ...graph, inputs: [ids], nodes: [cast, ...nodes] } };
}

describe("folders as exporters have written them", () => {
  it("of Diffusers' own script open: no configurations, int32 tokens, one timestep per row, weights beside the model", async () => {
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
        text_encoder: { model: withInt32(clipText({ hiddenStates: false })) },
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
    // Edits find the rows that they are for, in whichever run those are.
    const prompts = ["a cat", "a photo", "world"];
    const edits = [at("out_sample").scale(0.5, { branch: "uncond" })];
    const edited = { steps: 2, seeds: [1, 2, 3], edits, decode: false } as const;
    const [one, other] = [await pipe.generate(prompts, edited), await free.generate(prompts, edited)];
    expect(worstOf(one.latents, other.latents)).toBeLessThan(1e-5);
    const plain = await free.generate(prompts, { ...edited, edits: [] });
    expect(worstOf(one.latents, plain.latents)).toBeGreaterThan(0.01);
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

  it("of latent diffusion without text open, their decoder in vqvae; statistics of channels scale its latents", async () => {
    const config = { latent_channels: 4, block_out_channels: [4, 8], scaling_factor: 0.5 };
    const latents = { ...config, latents_mean: [1, 2, 3, 4], latents_std: [1, 0.5, 0.25, 2] };
    const unet = { model: reshaped(nets.dit(4), {}), config: { in_channels: 4, sample_size: 8, num_class_embeds: 1000 } };
    const folder = await written({
      index: { _class_name: "LDMPipeline" },
      networks: { unet, vqvae: { model: nets.vaeDecoder(), config: latents } },
      scheduler: { _class_name: "DDIMScheduler" },
    });
    const pipe = await open(folder);
    expect(pipe.latentSpace).toEqual({ channels: 4, size: 8, factor: 2, scale: [0.5, 1, 2, 0.25], shift: [1, 2, 3, 4] });
    expect((await pipe.generate("7", { steps: 2 })).pixels!.shape).toEqual([1, 3, 16, 16]);
    await writeJson(join(folder, "vqvae", "config.json"), { ...latents, latents_std: [1, 0, 1, 1] });
    await expect(open(folder)).rejects.toThrow(/"latents_std" other than 0/);
    await writeJson(join(folder, "vqvae", "config.json"), { ...latents, latents_mean: [1] });
    await expect(open(folder)).rejects.toThrow(/4 numbers "latents_mean", found \[1\]/);
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
    const controlled = { ...parts(), index: { _class_name: "StableDiffusionControlNetPipeline" }, scheduler };
    expect((await open(await written(controlled))).schedulerConfig).toMatchObject(scheduler);
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
      "a tokenizer that a link brings from outside",
      async (f) => {
        await rename(join(f, "tokenizer"), `${f}-tokenizer`);
        temporary.push(`${f}-tokenizer`);
        await symlink(`${f}-tokenizer`, join(f, "tokenizer"));
      },
      /expected a file inside the model folder, found a link to/,
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
