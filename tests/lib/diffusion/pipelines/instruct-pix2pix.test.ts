import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { denoisedOf, gradients, networkCall } from "../../../../lib/attribution/index.js";
import { denoise, invert, load, type Pipeline } from "../../../../lib/diffusion/index.js";
import { at, select } from "../../../../lib/hooks/index.js";
import { closeRuntime } from "../../../../lib/runtime/index.js";
import type { Picture } from "../../../../lib/tensor/index.js";
import { writeSmallPipeline } from "./small-pipeline.js";

let pipe: Pipeline;
let plain: Pipeline;
let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "tweedie-edits-"));
  await writeSmallPipeline(join(scratch, "edits"), { edits: true });
  await writeSmallPipeline(join(scratch, "plain"));
  [pipe, plain] = [await load(join(scratch, "edits")), await load(join(scratch, "plain"))];
});
afterAll(async () => {
  await pipe.release();
  await plain.release();
  await closeRuntime();
  await rm(scratch, { recursive: true });
});

const drawn = (step: number): Picture => ({
  pixels: Uint8Array.from({ length: 192 }, (_, i) => (step * i) % 256),
  width: 8,
  height: 8,
  channels: 3,
});
const settings = { steps: 3, seed: 7, image: drawn(7), imageGuidanceScale: 1.8, guidanceScale: 4 } as const;

describe("a pipeline that edits a picture", () => {
  it("has three branches, which see nothing, the picture, and the picture with the prompt", async () => {
    const run = await pipe.generate("make it red", { ...settings, decode: false, capture: ["sample", "encoder_hidden_states"] });
    expect(run.branches).toEqual(["uncond", "imageCond", "cond"]);
    const { sample, encoder_hidden_states: text } = run.activations;
    expect(sample!.tensor.shape).toEqual([3, 3, 1, 8, 4, 4]);
    const [nothing, image, both] = [0, 1, 2].map((branch) => select(sample!, { step: 1, branch, item: 0 }).tensor.data);
    expect(image).toEqual(both);
    expect(nothing!.slice(0, 64)).toEqual(both!.slice(0, 64));
    expect(nothing!.slice(64)).toEqual(new Float32Array(64));
    // The encoder's mean, as it comes out of it.
    const latents = (await pipe.encodeImage(drawn(7))).data;
    const scale = pipe.latentSpace.scale as number;
    latents.forEach((v, i) => void expect(both![64 + i]).toBeCloseTo(v / scale, 5));
    const told = [0, 1, 2].map((branch) => select(text!, { step: 1, branch, item: 0 }).tensor.data);
    expect(told[0]).toEqual(told[1]);
    expect(told[1]).not.toEqual(told[2]);
  });

  it("captures and edits the branch that sees the picture alone", async () => {
    const mid = ["mid_block"];
    const run = await pipe.generate("make it red", { ...settings, decode: false, capture: mid });
    const alone = await pipe.generate("make it red", {
      ...settings,
      decode: false,
      capture: [{ at: "mid_block", branch: "imageCond" }],
    });
    expect(alone.activations.mid_block!.tensor.row(0).data).toEqual(run.activations.mid_block!.tensor.row(0).row(1).data);
    const edits = [at("mid_block").scale(0, { branch: "imageCond", steps: [0] })];
    const edited = await pipe.generate("make it red", { ...settings, decode: false, edits, capture: mid });
    const after = [0, 1, 2].map((branch) => select(edited.activations.mid_block!, { step: 0, branch }).tensor.data);
    const before = [0, 1, 2].map((branch) => select(run.activations.mid_block!, { step: 0, branch }).tensor.data);
    expect(after[0]).toEqual(before[0]);
    expect(after[1]!.every((v) => v === 0)).toBe(true);
    expect(after[2]).toEqual(before[2]);
  });

  it("takes each branch's own activations from another run", async () => {
    const other = await pipe.generate("make it blue", { ...settings, seed: 9, decode: false, capture: ["mid_block"] });
    const edits = [at("mid_block").patch(other.activations.mid_block!)];
    const run = await pipe.generate("make it red", { ...settings, decode: false, edits, capture: ["mid_block"] });
    expect(run.activations.mid_block!.tensor.data).toEqual(other.activations.mid_block!.tensor.data);
  });

  it("gives in batches what it gives at once, each picture with its own", async () => {
    const { image: _, seed: __, ...rest } = settings;
    const both = { ...rest, seeds: [1, 2], image: [drawn(7), drawn(11)], decode: false };
    const at1 = await pipe.generate(["red", "blue"], { ...both, batchSize: 1 });
    const at2 = await pipe.generate(["red", "blue"], both);
    at2.latents.data.forEach((v, i) => void expect(at1.latents.data[i]).toBeCloseTo(v, 4));
    const second = await pipe.generate("blue", { ...rest, seed: 2, image: drawn(11), decode: false });
    second.finalLatents.data.forEach((v, i) => void expect(at2.finalLatents.data[64 + i]).toBeCloseTo(v, 4));
  });

  it("is guided inside its interval alone, and x̂₀ of a call is the run's on both sides", async () => {
    const guidanceInterval = [500, 1000] as const;
    const told = { ...settings, guidanceInterval };
    const run = await pipe.generate("make it red", { ...told, decode: false, capture: ["mid_block"] });
    const { tensor } = run.activations.mid_block!;
    const isSkipped = [0, 1, 2].map((step) => [0, 1, 2].map((branch) => Number.isNaN(tensor.row(step).row(branch).data[0])));
    expect(isSkipped).toEqual([
      [false, false, false],
      [true, true, false],
      [true, true, false],
    ]);
    for (const [call, branches] of [
      [0, ["uncond", "imageCond", "cond"]],
      [1, ["cond"]],
    ] as const) {
      const made = await networkCall(pipe, "make it red", { ...told, call });
      expect(made.branches).toEqual(branches);
      const { value } = await gradients(made, { of: (network) => denoisedOf(made, network).square().sum(), at: "mid_block" });
      const expected = run.denoised.row(call).data.reduce((sum, v) => sum + v * v, 0);
      expect(value / expected).toBeCloseTo(1, 4);
    }
  });

  it("is made again from its recipe, with the picture", async () => {
    const run = await pipe.generate("make it red", settings);
    expect(run.manifest.imageGuidanceScale).toBe(1.8);
    expect(run.manifest.start?.image).toMatch(/^[0-9a-f]{64}$/);
    const folder = join(scratch, "run");
    await run.save(folder);
    expect((await pipe.replay(folder)).latents.bytes).toEqual(run.latents.bytes);
  });

  it("is as Diffusers has it by default: 100 steps, guidance 7.5 by the prompt and 1.5 by the picture", async () => {
    expect(pipe.defaults).toEqual({ steps: 100, guidanceScale: 7.5 });
    const run = await pipe.generate("make it red", { steps: 1, image: drawn(7), decode: false });
    expect(run.manifest.imageGuidanceScale).toBe(1.5);
  });

  it("says what it needs, and what other pipelines do not take", async () => {
    await expect(pipe.generate("make it red", { steps: 1 })).rejects.toThrow(/edits a picture and starts in noise; give `image`/);
    await expect(pipe.generate("red", { ...settings, strength: 0.5 })).rejects.toThrow(/neither strength nor mask/);
    await expect(plain.generate("red", { steps: 1, imageGuidanceScale: 2 })).rejects.toThrow(/StableDiffusionPipeline does not/);
    const two = { steps: 1, guidanceScale: 2, decode: false } as const;
    const edits = [at("mid_block").scale(0, { branch: "imageCond" })];
    await expect(plain.generate("red", { ...two, edits })).rejects.toThrow(
      /edit at mid_block: branch "imageCond" needs a network/,
    );
    const capture = [{ at: "mid_block", branch: "imageCond" }] as const;
    await expect(plain.generate("red", { ...two, capture })).rejects.toThrow(/capture mid_block: branch "imageCond" needs/);
    await expect(denoise(pipe, [drawn(7)], { timesteps: [10] })).rejects.toThrow(
      /denoise: expected a network that sees its state alone/,
    );
    await expect(invert(pipe, drawn(7), { steps: 2 })).rejects.toThrow(/sees a picture besides/);
  });
});
