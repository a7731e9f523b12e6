import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { type Activations, ActivationsFolderError, collect, openActivations, replay } from "../../../lib/activations/index.js";
import { denoise } from "../../../lib/diffusion/index.js";
import { select, UnknownHookPointError } from "../../../lib/hooks/index.js";
import { closeRuntime } from "../../../lib/runtime/index.js";
import type { Picture } from "../../../lib/tensor/index.js";
import { toyPipeline } from "./toy-pipeline.js";

const pipe = toyPipeline();
const prompts = ["red", "blue", "red blue", "blue red", "blue blue"];
const settings = { at: "down_blocks.0", steps: 4, captureSteps: [1, 3], guidanceScale: 2, batchSize: 2 } as const;

const folders: string[] = [];
async function freshFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "activations-"));
  folders.push(folder);
  return join(folder, "collection");
}

/** Every number a collection holds, as plain arrays. */
function content(a: Activations): unknown {
  return { vectors: [...a.vectors.data], rows: a.table().objects() };
}

afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true });
});
afterAll(async () => {
  await pipe.release();
  await closeRuntime();
});

describe("collect", () => {
  it("keeps the vectors that stand where their provenance says", async () => {
    const acts = await collect(pipe, prompts, { ...settings, branch: "both", vectors: 101, seed: 5 });
    expect(acts.vectors.shape).toEqual([101, 3]);
    expect(new Set(acts.table().array("image"))).toEqual(new Set([0, 1, 2, 3, 4]));
    for (const [i, row] of (acts.table().objects() as Record<string, never>[]).entries()) {
      const { prompt, seed, step, timestep, sigma, branch, y, x, image } = row;
      expect([prompt, seed]).toEqual([prompts[image], 5 + image]);
      const run = await pipe.generate(prompt, { ...settings, seed, capture: ["down_blocks.0"], decode: false });
      const { tensor } = select(run.activations["down_blocks.0"]!, { step, branch: run.branches.indexOf(branch), item: 0 });
      expect([...acts.rows([i]).data]).toEqual([0, 1, 2].map((c) => tensor.data[c * 16 + y * 4 + x]));
      expect([timestep, sigma]).toEqual([run.calls[step]!.timestep, Math.fround(run.calls[step]!.sigma)]);
    }
  });

  it("draws other positions in every picture, none twice", async () => {
    const acts = await collect(pipe, prompts, { ...settings, tokensPerImage: 4 });
    expect(acts.count).toBe(5 * 2 * 4);
    const cells = new Map<string, Set<string>>();
    for (const { image, step, y, x } of acts.table().objects() as Record<string, number>[]) {
      const cell = `${image}/${step}`;
      cells.set(cell, (cells.get(cell) ?? new Set()).add(`${y},${x}`));
    }
    expect([...cells.values()].every((places) => places.size === 4)).toBe(true);
    expect(new Set([...cells.values()].map((places) => [...places].join())).size).toBeGreaterThan(5);
  });

  it("knows the grid in attention's sequences", async () => {
    const image = await collect(pipe, "red", { ...settings, vectors: 9 });
    const sequence = await collect(pipe, "red", { ...settings, at: "mid_block.attn2", vectors: 9 });
    expect(sequence.plan.hookPoints[0]).toMatchObject({ axes: ["batch", "token", "channel"], positions: 16, columns: 4 });
    expect(sequence.vectors.data).toEqual(image.vectors.data);
    const { hookPoint: _a, ...places } = image.provenance;
    const { hookPoint: _b, ...same } = sequence.provenance;
    expect(same).toEqual(places);
  });

  it("takes everything unless told otherwise, and finds the nearest timesteps", async () => {
    const acts = await collect(pipe, "red", { at: "**.0", steps: 4, timesteps: [490, 10], seeds: [3, 4], guidanceScale: 1 });
    expect(acts.count).toBe(2 * 2 * 16);
    expect(acts.plan.captureSteps).toEqual([1, 3]);
    expect(acts.images.map((i) => i.seed)).toEqual([3, 4]);
    expect(String(acts)).toBe("Activations(64 × 3 at down_blocks.0, 2 steps of 2 pictures)");
  });

  it("refuses settings that do not fit, before anything runs", async () => {
    const refused = (options: object): Promise<unknown> => collect(pipe, prompts, { ...settings, ...options });
    await expect(refused({ at: "down_blocks.7" })).rejects.toThrow(UnknownHookPointError);
    await expect(refused({ vectors: 161 })).rejects.toThrow(/vectors must be 1…160/);
    await expect(refused({ vectors: 3, tokensPerImage: 3 })).rejects.toThrow(/not both/);
    await expect(refused({ captureSteps: [4] })).rejects.toThrow(/0…3/);
    await expect(refused({ at: ["down_blocks.0", "out_sample"] })).rejects.toThrow(/equally many channels/);
    await expect(refused({ budgetBytes: 100 })).rejects.toThrow(/over the budget of 100; give a folder/);
    await expect(refused({ branch: "uncond", guidanceScale: 1 })).rejects.toThrow(/no "uncond" branch/);
  });
});

describe("collect from given pictures", () => {
  const picture = (shade: number): Picture => ({
    pixels: Uint8Array.from({ length: 48 }, (_, i) => (shade * i) % 256),
    width: 4,
    height: 4,
    channels: 3,
  });
  const pictures = [5, 9, 13].map(picture);
  const given = { pictures, prompts: ["red", "blue", "red blue"] };
  const noised = { at: "down_blocks.0", timesteps: [10, 600], seeds: [3, 4] } as const;

  it("keeps what the network holds of each picture, noised to each timestep with each seed", async () => {
    const acts = await collect(pipe, given, { ...noised, vectors: 90, batchSize: 4 });
    expect(acts.images.map((i) => [i.promptIndex, i.prompt, i.seed])).toEqual(
      given.prompts.flatMap((prompt, i) => [3, 4].map((seed) => [i, prompt, seed])),
    );
    expect(acts.plan.timesteps).toEqual([600, 10]);
    expect(acts.pictures).toEqual(acts.images.map((i) => pictures[i.promptIndex]));
    for (const [i, row] of (acts.table().objects() as Record<string, never>[]).entries()) {
      const { prompt, seed, timestep, y, x, promptIndex } = row;
      const one = [pictures[promptIndex]!];
      const run = await denoise(pipe, one, { timesteps: [timestep], prompts: prompt, seeds: [seed], capture: ["down_blocks.0"] });
      const { tensor } = select(run.activations["down_blocks.0"]!, { step: 0, branch: 0, item: 0 });
      expect([...acts.rows([i]).data]).toEqual([0, 1, 2].map((c) => tensor.data[c * 16 + y * 4 + x]));
    }
  });

  it("resumes in a folder, and wants the same pictures to look at it again", async () => {
    const folder = await freshFolder();
    const control = new AbortController();
    const stop = { signal: control.signal, onProgress: () => control.abort(new Error("enough")) };
    await expect(collect(pipe, given, { ...noised, folder, batchSize: 2, ...stop })).rejects.toThrow("enough");
    const others = { ...given, pictures: [picture(6), ...pictures.slice(1)] };
    await expect(collect(pipe, others, { ...noised, folder })).rejects.toThrow(/with other pictures/);
    const resumed = await collect(pipe, given, { ...noised, folder });
    expect(content(resumed)).toEqual(content(await collect(pipe, given, noised)));
    const opened = await openActivations(folder, { pictures });
    expect(opened.pictures).toEqual(resumed.pictures);
    await expect(openActivations(folder, { pictures: others.pictures })).rejects.toThrow(/not of these pictures/);
    const { plan } = await openActivations(folder);
    await expect(replay(pipe, plan, [0])).rejects.toThrow(/needs them again, 6, got none/);
    await expect(replay(pipe, plan, [6], { pictures: opened.pictures })).rejects.toThrow(/pictures are 0…5, got 6/);
    const other = { ...plan, model: "another" };
    await expect(replay(pipe, other, [0], { pictures: opened.pictures })).rejects.toThrow(
      /of model another, this pipeline is toy/,
    );
    expect((await replay(pipe, plan, [5], { pictures: opened.pictures })).images).toEqual([pictures[2]]);
  });

  it("refuses what belongs to sampling, and timesteps that were never trained", async () => {
    const refused = (options: object): Promise<unknown> => collect(pipe, given, { ...noised, ...options });
    await expect(refused({ steps: 20, guidanceScale: 2 })).rejects.toThrow(/leave out steps, guidanceScale/);
    await expect(refused({ timesteps: [1000] })).rejects.toThrow(/0…999, got \[1000\]/);
    await expect(refused({ batchSize: 0 })).rejects.toThrow(/batchSize must be a whole number ≥ 1, got 0/);
    const wide = { ...picture(1), width: 8, height: 2 };
    await expect(collect(pipe, { pictures: [wide] }, noised)).rejects.toThrow(/must be 4×4 for this pipeline, got 8×2/);
    await expect(refused({ timesteps: undefined })).rejects.toThrow(/need the timesteps/);
    await expect(collect(pipe, { pictures: [] }, noised)).rejects.toThrow(/no pictures/);
    await expect(collect(pipe, { pictures, prompts: ["red"] }, noised)).rejects.toThrow(/expected 3 prompts/);
  });
});

describe("a collection in a folder", () => {
  const sharded = { ...settings, vectors: 77, shardBytes: 300 } as const;

  it("holds what a collection in memory holds, in shards that can be read row by row", async () => {
    const folder = await freshFolder();
    const inMemory = await collect(pipe, prompts, { ...settings, vectors: 77 });
    const written = await collect(pipe, prompts, { ...sharded, folder });
    expect(content(written)).toEqual(content(inMemory));
    expect((await readdir(folder)).sort()).toEqual([
      "manifest.json",
      ...[0, 1, 2].flatMap((i) => [`shard-0000${i}.arrow`, `shard-0000${i}.safetensors`]),
    ]);
    const onDisk = await openActivations(folder, { budgetBytes: 0 });
    expect(() => onDisk.vectors).toThrow(/rows\(\) or parts\(\)/);
    const some = [76, 0, 40, 40, 3];
    expect([...onDisk.rows(some).data]).toEqual([...inMemory.rows(some).data]);
    const parts: number[] = [];
    for await (const { vectors } of onDisk.parts()) parts.push(...vectors.data);
    expect(parts).toEqual([...inMemory.vectors.data]);
  });

  it("is finished after being killed at any moment, with nothing lost or doubled", async () => {
    const whole = content(await collect(pipe, prompts, { ...settings, vectors: 77 }));
    const folder = await freshFolder();
    await collect(pipe, prompts, { ...sharded, folder });
    const manifest = JSON.parse(await readFile(join(folder, "manifest.json"), "utf8")) as { shards: unknown[] };
    // Killed after two shards' files were written but before the second was named: its files are there, cut short.
    await writeFile(join(folder, "manifest.json"), JSON.stringify({ ...manifest, shards: manifest.shards.slice(0, 1) }));
    await truncate(join(folder, "shard-00001.safetensors"), 40);
    await expect(openActivations(folder)).rejects.toThrow(/holds 2 of 5 pictures/);
    const progress: number[] = [];
    const resumed = await collect(pipe, prompts, { ...sharded, folder, onProgress: (p) => progress.push(p.images) });
    expect(content(resumed)).toEqual(whole);
    expect(progress).toEqual([4, 5]);
    await collect(pipe, prompts, { ...sharded, folder, onProgress: () => expect.unreachable() });
  });

  it("keeps finished pictures when interrupted, and goes on in other batches", async () => {
    const folder = await freshFolder();
    const control = new AbortController();
    const stop = { signal: control.signal, onProgress: () => control.abort(new Error("enough")) };
    await expect(collect(pipe, prompts, { ...sharded, folder, shardBytes: 1e6, ...stop })).rejects.toThrow("enough");
    const resumed = await collect(pipe, prompts, { ...sharded, folder, batchSize: 3 });
    expect(content(resumed)).toEqual(content(await collect(pipe, prompts, { ...settings, vectors: 77 })));
  });

  it("refuses to mix collections, changed files and folders of something else", async () => {
    const folder = await freshFolder();
    await collect(pipe, prompts, { ...sharded, folder });
    await expect(collect(pipe, prompts, { ...sharded, folder, steps: 5 })).rejects.toThrow(/with other steps/);
    const file = join(folder, "shard-00001.safetensors");
    const bytes = await readFile(file);
    bytes[bytes.length - 1]! ^= 1;
    await writeFile(file, bytes);
    await expect(openActivations(folder)).rejects.toThrow(/SHA-256 differs/);
    await rm(file);
    await expect(openActivations(folder)).rejects.toThrow(ActivationsFolderError);
    await writeFile(join(folder, "manifest.json"), "{}");
    await expect(openActivations(folder)).rejects.toThrow(/expected a manifest of tweedie activations/);
    await expect(openActivations(tmpdir())).rejects.toThrow(/no manifest.json/);
  });
});
