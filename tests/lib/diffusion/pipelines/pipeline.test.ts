import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { load, ModelFolderError } from "../../../../lib/diffusion/formats/index.js";
import type { Pipeline } from "../../../../lib/diffusion/pipelines/index.js";
import { risingSamplers, type SamplerName, samplers } from "../../../../lib/diffusion/samplers/index.js";
import { at, select, UnknownHookPointError } from "../../../../lib/hooks/index.js";
import { saveModel } from "../../../../lib/onnx/index.js";
import { GraphBuilder } from "../../../../lib/program/index.js";
import { closeRuntime } from "../../../../lib/runtime/index.js";
import { type Picture, readSafetensors, Tensor, torchRandn } from "../../../../lib/tensor/index.js";
import { writeSmallPipeline } from "./small-pipeline.js";

// Compiling half a dozen variants of a U-Net takes its time on a busy machine.
vi.setConfig({ testTimeout: 60_000 });

let folder: string;
let pipe: Pipeline;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tweedie-pipeline-"));
  await writeSmallPipeline(folder);
  pipe = await load(folder);
}, 60_000);
afterAll(async () => {
  await pipe.release();
  await closeRuntime();
  await rm(folder, { recursive: true });
});

const quick = { steps: 3, seed: 7 } as const;

describe("generate", () => {
  it("gives pictures, latents and x̂₀ of every step", async () => {
    const run = await pipe.generate("a red circle", quick);
    expect(run.latents.shape).toEqual([3, 1, 4, 4, 4]);
    expect(run.denoised.shape).toEqual([3, 1, 4, 4, 4]);
    expect(run.pixels?.shape).toEqual([1, 3, 8, 8]);
    expect(run.images[0]).toMatchObject({ width: 8, height: 8, channels: 3 });
    expect([...run.timesteps]).toEqual([667, 334, 1]);
  });
  it("gives the same for the same seed, and for the noise of that seed", async () => {
    const run = await pipe.generate("a red circle", quick);
    const again = await pipe.generate("a red circle", { steps: 3, noise: torchRandn(7, [1, 4, 4, 4]) });
    expect(again.latents.bytes).toEqual(run.latents.bytes);
  });
  it("takes one noise for all pictures", async () => {
    const noise = torchRandn(7, [1, 4, 4, 4]);
    const three = await pipe.generate("a red circle", { steps: 3, noise, seeds: [1, 2, 3], sampler: "ddim" });
    const one = await pipe.generate("a red circle", { steps: 3, noise, sampler: "ddim" });
    for (const item of [0, 1, 2]) {
      const worst = three.finalLatents.row(item).data.map((v, i) => Math.abs(v - one.finalLatents.data[i]!));
      expect(Math.max(...worst)).toBeLessThan(1e-5);
    }
  });
  it("recalls predictions instead of running the network", async () => {
    const run = await pipe.generate("a red circle", { ...quick, capture: ["out_sample"] });
    const known = run.activations.out_sample!.tensor;
    const edits = [at("mid_block").scale(2)];
    const recalled = await pipe.generate("a red circle", {
      ...quick,
      edits,
      capture: ["mid_block"],
      recall: ({ step }) => (step < 2 ? known.row(step).reshape([2, 4, 4, 4]) : undefined),
    });
    expect(recalled.latents.slice(0, 2).data).toEqual(run.latents.slice(0, 2).data);
    expect(recalled.finalLatents.data).not.toEqual(run.finalLatents.data);
    expect(recalled.calls.map((call) => call.step)).toEqual([2]);
  });
  it.each((Object.keys(samplers) as SamplerName[]).filter((name) => !risingSamplers.has(name)))(
    "runs %s on the pipeline's schedule",
    async (sampler) => {
      const run = await pipe.generate("a red circle", { ...quick, sampler, guidanceScale: 1, decode: false });
      expect(run.manifest.sampler).toBe(sampler);
      expect(run.latents.shape).toEqual([3, 1, 4, 4, 4]);
      // Untrained, it predicts little noise: what is left is at most the start, x₀ + σ₀ε.
      expect(run.finalLatents.data.every((value) => Math.abs(value) < 100)).toBe(true);
    },
  );
  it("computes several prompts and seeds as it computes each alone, in batches of any size", async () => {
    const prompts = ["a red circle", "a blue square", "two"];
    const together = await pipe.generate(prompts, {
      steps: 2,
      seeds: [1, 2, 3],
      batchSize: 2,
      negativePrompt: "blur",
      capture: ["mid_block"],
    });
    for (const [i, prompt] of prompts.entries()) {
      const alone = await pipe.generate(prompt, { steps: 2, seed: i + 1, negativePrompt: "blur", capture: ["mid_block"] });
      expectClose(together.finalLatents.row(i), alone.finalLatents.row(0));
      const mine = { step: 1, branch: 1 } as const;
      expectClose(
        select(together.activations.mid_block!, { ...mine, item: i }).tensor,
        select(alone.activations.mid_block!, { ...mine, item: 0 }).tensor,
      );
    }
  });
  it("keeps the guidance branches of an activation apart", async () => {
    const { activations, branches, calls } = await pipe.generate("a red circle", {
      ...quick,
      capture: [{ at: "mid_block", reduce: "mean" }, "**.attn2.probs"],
    });
    expect(branches).toEqual(["uncond", "cond"]);
    expect(calls.map((c) => c.timestep)).toEqual([667, 334, 1]);
    expect(activations.mid_block).toMatchObject({
      axes: ["step", "branch", "item", "channel"],
      tensor: { shape: [3, 2, 1, 16] },
    });
    const probs = activations["mid_block.attentions.0.transformer_blocks.0.attn2.probs"]!;
    expect(probs.axes.slice(0, 3)).toEqual(["step", "branch", "item"]);
    const ofOnePlace = select(probs, { step: 0, branch: 1, item: 0, head: 1, query: 3 }).tensor.data;
    expect(ofOnePlace.length).toBe(77);
    expect(ofOnePlace.reduce((a, b) => a + b)).toBeCloseTo(1, 5);
    const [uncond, cond] = [0, 1].map((branch) => [...select(activations.mid_block!, { step: 0, branch }).tensor.data]);
    expect(uncond).not.toEqual(cond);
  });
  it("has one branch without guidance, and no unconditional numbers outside the guidance interval", async () => {
    const alone = await pipe.generate("two", { ...quick, guidanceScale: 1, capture: ["mid_block"] });
    expect(alone.branches).toEqual(["cond"]);
    const part = await pipe.generate("two", {
      ...quick,
      guidanceInterval: [100, 500],
      capture: [{ at: "mid_block", reduce: "mean" }],
    });
    const missing = [0, 1, 2].map((step) =>
      [0, 1].map((branch) => Number.isNaN(select(part.activations.mid_block!, { step, branch }).tensor.data[0])),
    );
    expect(missing).toEqual([[true, false], [false, false], [true, false]]); // biome-ignore format: one row per step
  });
  it("keeps only the calls asked for, and counts both calls of a Heun step", async () => {
    const run = await pipe.generate("two", { ...quick, capture: ["mid_block"], captureAt: ({ step }) => step === 1 });
    expect(run.activations.mid_block?.tensor.shape[0]).toBe(1);
    const heun = await pipe.generate("two", { ...quick, sampler: "heun", capture: ["mid_block"] });
    expect(heun.calls.map((c) => c.step)).toEqual([0, 0, 1, 1, 2]);
  });
  it("edits through a view that leaves the pipeline as it is", async () => {
    const plain = await pipe.generate("two", quick);
    const view = pipe.with(at("mid_block").scale(1), at("up_blocks.1").add(new Float32Array(8).fill(1), 0));
    expect((await view.generate("two", quick)).latents.bytes).toEqual(plain.latents.bytes);
    const ablated = await pipe.with(at("mid_block").scale(0)).generate("two", quick);
    expect(ablated.latents.bytes).not.toEqual(plain.latents.bytes);
    expect(ablated.manifest.edits).toEqual(["mid_block × 0"]);
    expect((await pipe.generate("two", quick)).latents.bytes).toEqual(plain.latents.bytes);
  });
  it("lets an edit of one branch leave the other alone", async () => {
    const capture = ["mid_block"];
    const plain = await pipe.generate("two", { ...quick, steps: 1, capture });
    const edited = await pipe.generate("two", {
      ...quick,
      steps: 1,
      capture,
      edits: [at("mid_block").scale(0, { branch: "cond" })],
    });
    const half = (run: typeof plain, branch: number): Float32Array => select(run.activations.mid_block!, { branch }).tensor.data;
    expect(half(edited, 0)).toEqual(half(plain, 0));
    expect(half(edited, 1).every((v) => v === 0)).toBe(true);
  });
  it("reports steps and stops at a signal", async () => {
    const controller = new AbortController();
    const seen: number[] = [];
    const run = pipe.generate("two", {
      steps: 5,
      signal: controller.signal,
      onStep: ({ index }) => {
        seen.push(index);
        if (index === 1) controller.abort();
      },
    });
    await expect(run).rejects.toThrow(/abort/);
    expect(seen).toEqual([0, 1]);
  });
  it("says what is wrong before it computes", async () => {
    await expect(pipe.generate(["a", "b"], { seeds: [1, 2, 3] })).rejects.toThrow(/1 or 3 prompts, got 2/);
    await expect(pipe.generate("a", { height: 9 })).rejects.toThrow(/multiple of 2 pixels/);
    await expect(pipe.generate("a", { capture: ["mid_blok"] })).rejects.toThrow(UnknownHookPointError);
  });
});

describe("a pipeline without text", () => {
  it("samples pixels without guidance", async () => {
    const bare = join(folder, "unconditional");
    await mkdir(join(bare, "unet"), { recursive: true });
    await cp(join(folder, "scheduler"), join(bare, "scheduler"), { recursive: true });
    await writeFile(join(bare, "model_index.json"), '{"_class_name":"DDPMPipeline"}');
    await writeFile(join(bare, "unet", "config.json"), '{"in_channels":3,"sample_size":4}');
    const g = new GraphBuilder({ opset: 18 });
    const sample = g.input("sample", "float32", ["batch", 3, 4, 4]);
    const level = g.input("timestep", "float32", ["batch"]).reshape([-1, 1, 1, 1]).mul(0.001);
    g.output(
      g.scope("mid_block", () => sample.mul(level)),
      "out_sample",
    );
    await saveModel(g.model(), join(bare, "unet", "model.onnx"));
    await using unconditional = await load(bare);
    const run = await unconditional.generate("", { steps: 2, seeds: [1, 2], capture: ["mid_block"] });
    expect(run.branches).toEqual(["cond"]);
    expect(run.images.length).toBe(2);
    // ε = t/1000·input at both steps, t = 501 first.
    const captured = select(run.activations.mid_block!, { step: 0, branch: 0 }).tensor;
    const noise = [1, 2].flatMap((seed) => [...torchRandn(seed, [1, 3, 4, 4]).data]);
    expectClose(
      captured,
      new Tensor(
        "float32",
        Float32Array.from(noise, (v) => v * 0.501),
        [2, 3, 4, 4],
      ),
    );
    await expect(unconditional.encodePrompt("two")).rejects.toThrow(/no text encoder/);
  });
});

describe("the latent space", () => {
  it("decodes what it encodes to the size it had", async () => {
    const picture: Picture = { pixels: new Uint8Array(8 * 8 * 3).fill(128), width: 8, height: 8, channels: 3 };
    const latents = await pipe.encodeImage([picture, picture]);
    expect(latents.shape).toEqual([2, 4, 4, 4]);
    expectClose(latents.row(0), latents.row(1));
    expect((await pipe.decode(latents)).shape).toEqual([2, 3, 8, 8]);
  });
  it("shows x̂₀ of one item as a film", async () => {
    const run = await pipe.generate("two", { steps: 3, seeds: [1, 2] });
    const film = await pipe.film(run, 1);
    expect(film.denoised.length).toBe(3);
    expect([...film.sigmas]).toEqual([...run.sigmas].slice(0, 3));
  });
});

describe("save", () => {
  it("writes pictures, tensors with their axes, and the manifest", async () => {
    const run = await pipe.generate("two", { ...quick, capture: ["mid_block"] });
    const out = join(folder, "run");
    await run.save(out);
    expect((await readdir(out)).sort()).toEqual(["image-0.png", "manifest.json", "recipe.json", "tensors.safetensors"]);
    const { tensors, metadata } = readSafetensors(join(out, "tensors.safetensors"));
    expect(tensors["activations.mid_block"]?.shape).toEqual([3, 2, 1, 16, 2, 2]);
    expect(metadata["activations.mid_block"]).toBe("step,branch,item,channel,y,x");
    const manifest = JSON.parse(await readFile(join(out, "manifest.json"), "utf8"));
    expect(manifest).toMatchObject({ model: pipe.digest, items: [{ prompt: "two", seed: 7 }], sampler: "ddim", steps: 3 });
  });
});

describe("load", () => {
  const broken = async (change: (copy: string) => Promise<unknown>): Promise<unknown> => {
    const copy = await mkdtemp(join(tmpdir(), "tweedie-broken-"));
    try {
      await cp(folder, copy, { recursive: true });
      await change(copy);
      return await load(copy).catch((error) => error);
    } finally {
      await rm(copy, { recursive: true });
    }
  };
  it.each([
    ["a missing folder", (f: string) => rm(join(f, "vae_decoder"), { recursive: true }), "vae_decoder", "nothing"],
    ["a missing file", (f: string) => rm(join(f, "unet", "model.onnx")), join("unet", "model.onnx"), "nothing"],
    ["no JSON", (f: string) => writeFile(join(f, "model_index.json"), "{"), "model_index.json", '"{"'],
    [
      "another pipeline",
      (f: string) => writeFile(join(f, "model_index.json"), '{"_class_name":"StableDiffusonPipeline"}'),
      "model_index.json",
      '"StableDiffusonPipeline"',
    ],
    [
      "a wrong field",
      (f: string) => writeFile(join(f, "unet", "config.json"), '{"in_channels":"4"}'),
      join("unet", "config.json"),
      '"4"',
    ],
    [
      "a scheduler there is none of, with the nearest",
      (f: string) => writeFile(join(f, "scheduler", "scheduler_config.json"), '{"_class_name":"EulerDiscretScheduler"}'),
      join("scheduler", "scheduler_config.json"),
      "did you mean EulerDiscreteScheduler",
    ],
    [
      "an option of no scheduler, with the nearest",
      (f: string) => writeFile(join(f, "scheduler", "scheduler_config.json"), '{"timestep_spacin":"leading"}'),
      join("scheduler", "scheduler_config.json"),
      "did you mean timestep_spacing",
    ],
  ])("names %s", async (_, change, file, found) => {
    const error = (await broken(change)) as ModelFolderError;
    expect(error).toBeInstanceOf(ModelFolderError);
    expect(error.file.endsWith(file)).toBe(true);
    expect(error.found).toContain(found);
  });
  it("reads the infinities that Python writes into a scheduler's configuration", async () => {
    const config = '{"_class_name":"DPMSolverMultistepScheduler","lambda_min_clipped":-Infinity,"solver_order":2}';
    const loaded = await broken((f) => writeFile(join(f, "scheduler", "scheduler_config.json"), config));
    expect((loaded as unknown as Pipeline).schedulerConfig.lambda_min_clipped).toBe("-Infinity");
    await (loaded as unknown as Pipeline).release();
  });
  it("does not follow a link out of the folder", async () => {
    const error = (await broken(async (f) => {
      await rm(join(f, "unet", "config.json"));
      await symlink(join(folder, "unet", "config.json"), join(f, "unet", "config.json"));
    })) as ModelFolderError;
    expect(error.message).toMatch(/a link to/);
  });
  it("names a folder that is not there", async () => {
    await expect(load(join(folder, "nowhere"))).rejects.toThrow(/model_index\.json, found nothing/);
  });
});

function expectClose(actual: Tensor<"float32">, expected: Tensor<"float32">): void {
  expect(actual.shape).toEqual(expected.shape);
  const worst = Math.max(...actual.data.map((v, i) => Math.abs(v - expected.data[i]!)));
  expect(worst).toBeLessThan(1e-4);
}
