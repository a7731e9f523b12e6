import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { collect, openActivations } from "../../../lib/activations/index.js";
import { denoise } from "../../../lib/diffusion/index.js";
import { steer } from "../../../lib/features/index.js";
import { at } from "../../../lib/hooks/index.js";
import { umap } from "../../../lib/reduction/index.js";
import { closeRuntime } from "../../../lib/runtime/index.js";
import { loadSae, trainSae } from "../../../lib/sae/index.js";
import { float32, tensorDigest } from "../../../lib/tensor/index.js";
import packageJson from "../../../package.json" with { type: "json" };
import { toyPipeline } from "../activations/toy-pipeline.js";

const pipe = toyPipeline();
const environment = {
  library: `tweedie ${packageJson.version}`,
  runtime: `onnxruntime-node ${packageJson.dependencies["onnxruntime-node"]}`,
  device: "cpu",
};
const training = { features: 8, k: 2, steps: 4, stepsPerRun: 2, batchSize: 16, seed: 3 } as const;

afterAll(async () => {
  await pipe.release();
  await closeRuntime();
});

describe("manifests", () => {
  it("of a generation name the model, every item and option, and what ran it", async () => {
    const noise = float32(new Float32Array(32).fill(0.5), [1, 2, 4, 4]);
    const edit = at("mid_block").add([1, 2, 3], 4);
    const scheduler = { timestep_spacing: "trailing" };
    const options = { steps: 2, seed: 9, guidanceScale: 3, noise, edits: [edit], scheduler, decode: false };
    const { manifest } = await pipe.generate("red", options);
    expect(manifest).toEqual({
      model: "toy",
      pipelineClass: "StableDiffusionPipeline",
      items: [{ prompt: "red", negativePrompt: "", seed: 9 }],
      sampler: "ddim",
      steps: 2,
      timesteps: [999, 499],
      guidanceScale: 3,
      guidanceRescale: 0,
      scheduler,
      size: [4, 4],
      noise: tensorDigest(noise),
      edits: [`mid_block + 4·[3] ${tensorDigest(float32([1, 2, 3])).slice(0, 12)}`],
      captures: [],
      environment,
    });
  });

  it("of noised pictures do so too", async () => {
    const latents = float32(new Float32Array(32), [1, 2, 4, 4]);
    const { manifest } = await denoise(pipe, { latents }, { timesteps: [7], prompts: "blue", seeds: [2] });
    const own = { latents: tensorDigest(latents), prompts: ["blue"], seeds: [2], timesteps: [7], edits: [] };
    expect(manifest).toEqual({ model: "toy", ...own, environment });
  });

  it("follow activations into the SAE, its file, its edits, and embeddings", async () => {
    const folder = await mkdtemp(join(tmpdir(), "manifests-"));
    try {
      const collection = join(folder, "acts");
      const settings = { at: "down_blocks.0", steps: 4, guidanceScale: 2, folder: collection };
      const acts = await collect(pipe, ["red", "blue", "red blue"], settings);
      expect(acts.manifest).toMatchObject({ plan: { model: "toy", steps: 4, pictures: "generated" }, environment });
      expect((await openActivations(collection)).manifest).toEqual(acts.manifest);

      const some = acts.ofImages([2, 0]);
      expect(some.count).toBe(2 * 4 * 16);
      expect(some.rows([0, some.count - 1]).data).toEqual(acts.rows([0, acts.count - 1]).data);
      expect(() => acts.ofImages([3])).toThrow(/0…2, got 3/);
      await using sae = await trainSae(some, training);
      const { stepsPerRun: _, ...named } = training;
      expect(sae.manifest).toMatchObject({
        data: { count: some.count, width: 3, source: { ...acts.manifest, images: [0, 2] } },
        training: { ...named, variant: "topk", clipNorm: 1, inOrder: false },
        environment,
      });
      await sae.save(join(folder, "sae"));
      await using loaded = await loadSae(join(folder, "sae"));
      expect(loaded.manifest).toEqual(JSON.parse(JSON.stringify(sae.manifest)));
      expect(loaded.digest).toBe(sae.digest);
      const { label } = steer(sae, 1, 2, { at: "down_blocks.0" });
      expect(label).toBe(`down_blocks.0 + 2 of feature 1, SAE ${sae.digest.slice(0, 12)}`);

      const embedding = await umap(acts.vectors, { neighbours: 5, epochs: 2, seed: 4, source: acts.manifest });
      expect(embedding.manifest).toMatchObject({
        method: "umap",
        options: { neighbours: 5, seed: 4, epochs: 2 },
        data: { count: acts.count, width: 3, sha256: tensorDigest(acts.vectors), source: acts.manifest },
        environment,
      });
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
