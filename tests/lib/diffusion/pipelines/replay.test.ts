import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type GenerateOptions, load, type Pipeline } from "../../../../lib/diffusion/index.js";
import { at } from "../../../../lib/hooks/index.js";
import { closeRuntime } from "../../../../lib/runtime/index.js";
import { float32, fromPlain, type Tensor, toPlain, torchRandn } from "../../../../lib/tensor/index.js";
import { writeSmallPipeline } from "./small-pipeline.js";

let pipe: Pipeline;
let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), "tweedie-replay-"));
  await writeSmallPipeline(join(scratch, "model"));
  pipe = await load(join(scratch, "model"));
});
afterAll(async () => {
  await pipe.release();
  await closeRuntime();
  await rm(scratch, { recursive: true });
});

const picture = { pixels: Uint8Array.from({ length: 192 }, (_, i) => (7 * i) % 256), width: 8, height: 8, channels: 3 } as const;
const half = float32(
  Float32Array.from({ length: 64 }, (_, i) => (i % 8 < 4 ? 1 : 0)),
  [1, 1, 8, 8],
);

describe("a run", () => {
  const runs: readonly [what: string, options: GenerateOptions][] = [
    ["with a negative prompt and a sampler that draws", { seeds: [3, 4], negativePrompt: "blur", sampler: "euler-ancestral" }],
    ["from noise of one's own", { noise: torchRandn(9, [1, 4, 4, 4]), guidanceInterval: [100, 900], guidanceRescale: 0.5 }],
    ["from a picture", { image: picture, strength: 0.7, seed: 5 }],
    ["into a mask", { image: [picture], mask: half, seed: 5, eta: 0.3, sampler: "ddim" }],
    [
      "with edits and captures",
      {
        edits: [at("mid_block").add(torchRandn(1, [16]), 2), at("up_blocks.0").scale(0.5, { branch: "cond" })],
        capture: ["mid_block", { at: "**.attn2", reduce: "mean" }],
      },
    ],
    ["with edits of h-space", { asyrp: { edits: [at("mid_block").add(torchRandn(2, [16]))], until: 300 } }],
    ["at chosen timesteps of another schedule", { steps: [900, 500, 100], scheduler: { prediction_type: "v_prediction" } }],
  ];
  it.each(runs)("%s is made again bit by bit, also from its folder", async (_, options) => {
    const run = await pipe.generate(["a red circle"], { steps: 3, ...options });
    const again = await pipe.replay(run);
    expect(again.latents.bytes).toEqual(run.latents.bytes);
    const folder = await mkdtemp(join(scratch, "run-"));
    await run.save(folder);
    const saved = await pipe.replay(folder);
    expect(saved.latents.bytes).toEqual(run.latents.bytes);
    expect(saved.pixels!.bytes).toEqual(run.pixels!.bytes);
    expect(Object.keys(saved.activations)).toEqual(Object.keys(run.activations));
    expect({ ...saved.manifest, environment: 0 }).toEqual({ ...run.manifest, environment: 0 });
  });

  it("of an edited view is made again by the plain pipeline, and by a view with other edits", async () => {
    const view = pipe.with(at("mid_block").scale(0));
    const run = await view.generate("two", { steps: 2 });
    expect((await pipe.replay(run)).latents.bytes).toEqual(run.latents.bytes);
    expect((await pipe.with(at("mid_block").scale(3)).replay(run)).latents.bytes).toEqual(run.latents.bytes);
    expect((await pipe.generate("two", { steps: 2 })).latents.bytes).not.toEqual(run.latents.bytes);
  });
  it("is made anew where an option differs", async () => {
    const run = await pipe.generate("two", { steps: 2, seed: 1 });
    const other = await pipe.replay(run, { seed: 2 });
    expect(other.latents.bytes).toEqual((await pipe.generate("two", { steps: 2, seed: 2 })).latents.bytes);
  });
  it("with functions needs them again, and says which", async () => {
    const edits = [at("mid_block").scale(0, { when: ({ step }) => step === 1 })];
    const run = await pipe.generate("two", { steps: 2, edits, captureAt: ({ step }) => step === 0, capture: ["mid_block"] });
    expect([...run.recipe.given].sort()).toEqual(["captureAt", "edits"]);
    await expect(pipe.replay(run)).rejects.toThrow(/captureAt, edits held functions/);
    const again = await pipe.replay(run, { edits, captureAt: ({ step }) => step === 0 });
    expect(again.latents.bytes).toEqual(run.latents.bytes);
  });
  it("of another model, or a folder without one, is refused", async () => {
    const run = await pipe.generate("two", { steps: 1 });
    await expect(pipe.replay({ ...run, manifest: { ...run.manifest, model: "f00" } } as typeof run)).rejects.toThrow(
      /was model f00's/,
    );
    await expect(pipe.replay(scratch)).rejects.toThrow(/there is no .*recipe\.json/);
    const broken = await mkdtemp(join(scratch, "broken-"));
    await writeFile(join(broken, "recipe.json"), '{"prompts":1}');
    await expect(pipe.replay(broken)).rejects.toThrow(/holds no recipe/);
  });
});

describe("plain data", () => {
  it("keeps tensors, bytes and numbers that JSON lacks", () => {
    const tensors: Record<string, Tensor> = {};
    const value = {
      a: [1, Number.NaN, Number.NEGATIVE_INFINITY],
      t: float32([1, 2]),
      b: Uint8Array.of(3, 4),
      none: undefined,
      ok: true,
    };
    const json = JSON.parse(JSON.stringify(toPlain(value, "v", tensors)));
    expect(json).toEqual({
      a: [1, { $number: "NaN" }, { $number: "-Infinity" }],
      t: { $tensor: "v.t" },
      b: { $bytes: "v.b" },
      ok: true,
    });
    const back = fromPlain(json, tensors) as typeof value;
    expect(back.a).toEqual(value.a);
    expect(back.t.data).toEqual(value.t.data);
    expect([...back.b]).toEqual([3, 4]);
    expect(() => fromPlain({ $tensor: "x" }, tensors)).toThrow(/tensor "x" is missing/);
  });
  it("refuses functions and objects with a class", () => {
    expect(() => toPlain({ f: () => 1 }, "o", {})).toThrow(/o\.f cannot be written down: it is a function/);
    expect(() => toPlain(new Map(), "m", {})).toThrow(/object of a class/);
  });
});
