import { afterAll, describe, expect, it } from "vitest";
import { denoise } from "../../../lib/diffusion/index.js";
import { closeRuntime } from "../../../lib/runtime/index.js";
import { lossRecovered, reconstruct, Sae } from "../../../lib/sae/index.js";
import { columnMeans } from "../../../lib/sae/metrics.js";
import { float32, Rng } from "../../../lib/tensor/index.js";
import { toyPipeline } from "../activations/toy-pipeline.js";

// The toy network's noise is a tenth of down_blocks.0, which holds its input √ᾱ·x₀ + √(1−ᾱ)·ε (and the mean token id).
const pipe = toyPipeline();
const latents = float32(new Rng(2).normals(6 * 32), [6, 2, 4, 4]);
const options = { at: "down_blocks.0", timesteps: [900, 500, 20], prompts: "red", batchSize: 4 } as const;

/** Codes are the positive and negative parts of each channel, decoded at `gain` around `offset`. */
function signedSae(gain: number, offset: ArrayLike<number> = [0, 0, 0]): Sae {
  const rows = [0, 1, 2].flatMap((c) => [1, -1].map((sign) => [0, 1, 2].map((i) => (i === c ? sign : 0))));
  return new Sae(
    { variant: "relu", width: 3, features: 6, scale: 1 },
    {
      W_enc: float32(rows.flat(), [6, 3]),
      b_enc: float32(new Float32Array(6)),
      W_dec: float32(
        rows.flat().map((v) => gain * v),
        [6, 3],
      ),
      b_dec: float32(Float32Array.from(offset)),
    },
  );
}

afterAll(async () => {
  await pipe.release();
  await closeRuntime();
});

describe("lossRecovered", () => {
  it("is exactly 1 for a perfect reconstruction, which changes no prediction", async () => {
    for (const row of await lossRecovered(pipe, signedSae(1), { latents }, options)) {
      expect(row.sae).toBe(row.original);
      for (const { recovered, low, high, epsRatio } of [row.overMean, row.overZero])
        expect([recovered, low, high, epsRatio]).toEqual([1, 1, 1, 0]);
    }
  });

  it("is exactly 0 over mean ablation for an SAE that gives the mean, and over zero ablation for one that gives zero", async () => {
    const run = await denoise(pipe, { latents }, { ...options, capture: [{ at: "down_blocks.0", reduce: "tokens" }] });
    const mean = columnMeans([run.activations["down_blocks.0"]!.tensor.reshape([-1, 3])]);
    for (const { overMean } of await lossRecovered(pipe, signedSae(0, mean), { latents }, options))
      expect([overMean.recovered, overMean.low + 0, overMean.high + 0, overMean.epsRatio]).toEqual([0, 0, 0, 1]);
    for (const { overZero } of await lossRecovered(pipe, signedSae(0), { latents }, options))
      expect([overZero.recovered, overZero.epsRatio]).toEqual([0, 1]);
  });

  it("compares losses to the true noise, as worked out by hand", async () => {
    const rows = await lossRecovered(pipe, signedSae(0.5), { latents }, options);
    const { noise, sigmas } = await denoise(pipe, { latents }, options);
    expect(rows.map((r) => r.timestep)).toEqual([900, 500, 20]);
    for (const [step, row] of rows.entries()) {
      const signal = 1 / Math.sqrt(1 + sigmas[step]! ** 2);
      const input = latents.data.map((v, i) => signal * (v + sigmas[step]! * noise.data[i]!));
      const loss = (gain: number): number => noise.data.reduce((sum, n, i) => sum + (gain * input[i]! - n) ** 2, 0) / noise.size;
      expect(row.original).toBeCloseTo(loss(0.1), 5);
      expect(row.sae).toBeCloseTo(loss(0.05), 5);
      expect(row.zeroAblated).toBeCloseTo(loss(0), 5);
      expect(row.overZero.recovered).toBeCloseTo((loss(0) - loss(0.05)) / (loss(0) - loss(0.1)), 3);
      expect(row.overZero.epsRatio).toBeCloseTo(0.25, 5);
      expect(row.overZero.low).toBeLessThanOrEqual(row.overZero.recovered);
      expect(row.overZero.high).toBeGreaterThanOrEqual(row.overZero.recovered);
    }
  });

  it("is not clipped: a reconstruction that overshoots loses more than the ablation", async () => {
    const [row] = await lossRecovered(pipe, signedSae(-30), { latents }, options);
    expect(row!.overZero.recovered).toBeLessThan(-1);
    expect(row!.overZero.epsRatio).toBeCloseTo(31 ** 2, 0);
  });

  it("names the place and the SAE when they do not fit", async () => {
    await expect(lossRecovered(pipe, signedSae(1), { latents }, { ...options, at: "**.0" })).resolves.toHaveLength(3);
    await expect(lossRecovered(pipe, signedSae(1), { latents }, { ...options, at: "*" })).rejects.toThrow(
      /names several hook points/,
    );
    await expect(lossRecovered(pipe, signedSae(1), { latents }, { ...options, at: "out_sample" })).rejects.toThrow(
      /the SAE reads vectors of length 3, this activation has 2 channels/,
    );
    expect(reconstruct(signedSae(1), { at: "down_blocks.0" }).label).toMatch(
      /^down_blocks.0 ← reconstruction by SAE [0-9a-f]{12}$/,
    );
  });
});
