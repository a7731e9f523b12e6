import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { stillOf } from "../../../lib/figures/index.js";
import { type TrainSaeOptions, trainSae, type VectorSource } from "../../../lib/sae/index.js";
import { geometricMedian, normalizingScale } from "../../../lib/sae/start-weights.js";
import { shuffledBatches } from "../../../lib/sae/vector-source.js";
import { float32, Rng } from "../../../lib/tensor/index.js";
import { planted } from "./planted.js";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "sae-"));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const { vectors } = planted({ count: 300, width: 16, atoms: 32, active: 3 });
const short: TrainSaeOptions = { features: 32, k: 4, steps: 24, batchSize: 64, stepsPerRun: 4, seed: 5, session: { threads: 1 } };

describe("trainSae", () => {
  it("resumes bit-exactly after an interrupt", async () => {
    await using unbroken = await trainSae(vectors, short);
    const checkpoint = join(folder, "resumed.safetensors");
    const stop = new AbortController();
    const interrupted = trainSae(vectors, {
      ...short,
      checkpoint,
      signal: stop.signal,
      onProgress: ({ step }) => (step === 12 ? stop.abort(new Error("enough")) : undefined),
    });
    await expect(interrupted).rejects.toThrow("enough");
    await using resumed = await trainSae(vectors, { ...short, checkpoint });
    for (const [name, tensor] of Object.entries(unbroken.weights))
      expect(Buffer.compare(Buffer.from(tensor.bytes), Buffer.from(resumed.weights[name as "W_enc"].bytes)), name).toBe(0);
    expect(resumed.history!.firstStep).toBe(12);
    const { "text/html": html, "text/plain": text } = (await resumed.mimeBundle()) as Record<string, string>;
    expect(stillOf(html!)).toContain("at the end of training L0");
    expect(text).toContain(String(resumed));
    expect([...resumed.history!.loss]).toEqual([...unbroken.history!.loss.slice(12)]);
  });

  it("gives another SAE for another seed", async () => {
    await using a = await trainSae(vectors, { ...short, steps: 4 });
    await using b = await trainSae(vectors, { ...short, steps: 4, seed: 6 });
    expect(a.history!.loss[0]).not.toBe(b.history!.loss[0]);
  });

  it("takes a matrix, its parts and a source of the caller's alike", async () => {
    const parts = [vectors.slice(0, 100), vectors.slice(100)];
    const source: VectorSource = {
      count: 300,
      width: 16,
      rows: async (indices) =>
        float32(
          Float32Array.from(
            { length: indices.length * 16 },
            (_, i) => vectors.data[indices[Math.floor(i / 16)]! * 16 + (i % 16)]!,
          ),
          [indices.length, 16],
        ),
    };
    const options = { ...short, steps: 4 };
    const losses = [];
    for (const data of [vectors, parts, source]) {
      await using sae = await trainSae(data, options);
      losses.push([...sae.history!.loss]);
    }
    expect(losses[1]).toEqual(losses[0]);
    expect(losses[2]).toEqual(losses[0]);
  });

  it("gives weights for activations in their own units, whatever their size", async () => {
    const large = float32(
      vectors.data.map((v) => v * 100),
      vectors.shape,
    );
    await using small = await trainSae(vectors, short);
    await using same = await trainSae(large, short);
    expect(same.config.scale).toBeCloseTo(small.config.scale / 100, 6);
    const [a, b] = [await small.metrics(vectors), await same.metrics(large)];
    expect(b.fvu).toBeCloseTo(a.fvu, 3);
    expect(b.mse).toBeCloseTo(a.mse * 1e4, 0);
  });

  it("keeps the decoder's rows at unit norm, in normalised units", async () => {
    await using sae = await trainSae(vectors, short);
    for (let f = 0; f < 32; f++) expect(Math.hypot(...sae.weights.W_dec.row(f).data) * sae.config.scale).toBeCloseTo(1, 5);
  });

  it("turns BatchTopK's budget into a threshold that keeps about k codes per vector", async () => {
    await using sae = await trainSae(vectors, { ...short, variant: "batch-topk", steps: 400, k: 3, stepsPerRun: 20 });
    const { l0 } = await sae.metrics(vectors);
    expect(sae.weights.threshold!.data[0]).toBeGreaterThan(0);
    expect(l0).toBeGreaterThan(2);
    expect(l0).toBeLessThan(4);
  });

  it("says what is wrong with options", async () => {
    await expect(trainSae(vectors, { ...short, k: 33 })).rejects.toThrow(/k must be a whole number in 1…32, got 33/);
    await expect(trainSae(vectors, { ...short, features: 0 })).rejects.toThrow(/features must be a whole number ≥ 1, got 0/);
    await expect(trainSae(float32([1, 2, 3]), short)).rejects.toThrow(/rows \[n, d\]/);
    await expect(trainSae([vectors, float32([1, 2], [1, 2])], short)).rejects.toThrow(/length 16 are followed by/);
  });
});

describe("how an SAE starts", () => {
  it("scales vectors to a mean squared norm of d", () => {
    const x = float32([3, 4, 0, 0], [2, 2]);
    const scale = normalizingScale(x);
    expect((scale ** 2 * 25) / 2).toBeCloseTo(2, 12);
  });

  it("finds the geometric median where the mean is drawn away by an outlier", () => {
    const x = float32([0, 0, 1, 0, -1, 0, 0, 1, 0, -1, 1000, 1000], [6, 2]);
    const median = geometricMedian(x, 500);
    expect(Math.hypot(...median.data)).toBeLessThan(0.25);
  });
});

describe("shuffledBatches", () => {
  it("shows every vector once per epoch, in an order that depends on the step alone", () => {
    const at = shuffledBatches(10, 4, new Rng(1));
    const epochs = [0, 1, 2, 3, 4].flatMap((step) => [...at(step)]);
    expect(epochs.slice(0, 10).sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(epochs.slice(10).sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(epochs.slice(0, 10)).not.toEqual(epochs.slice(10));
    expect([...shuffledBatches(10, 4, new Rng(1))(3)]).toEqual(epochs.slice(12, 16));
  });
});
