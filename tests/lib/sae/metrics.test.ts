import { describe, expect, it } from "vitest";
import { densityHistogram, fvu, Sae } from "../../../lib/sae/index.js";
import { columnMeans } from "../../../lib/sae/metrics.js";
import { float32, Rng } from "../../../lib/tensor/index.js";

describe("fvu", () => {
  const x = float32([1, 2, 3, 4, 5, 9], [3, 2]);

  it("is 0 for a perfect prediction", () => {
    expect(fvu(x, x)).toBe(0);
  });

  it("is the residual over the variance around the mean of all vectors", () => {
    // mean (3, 5): variance 4+9+0+1+4+16 = 34; residual 1² + 2² = 5
    expect(fvu(x, float32([1, 2, 4, 4, 5, 7], [3, 2]))).toBeCloseTo(5 / 34, 12);
  });

  it("leaves the mean predictor an explained variance of exactly 0", () => {
    const rng = new Rng(5);
    const data = float32(
      rng.normals(500 * 7).map((v, i) => 3 * v + (i % 7)),
      [500, 7],
    );
    const mean = columnMeans([data]);
    const prediction = float32(
      Float32Array.from({ length: data.size }, (_, i) => mean[i % 7]!),
      data.shape,
    );
    expect(1 - fvu(data, prediction)).toBe(0);
  });

  it("does not change when the vectors come in parts with different means", () => {
    const mean = columnMeans([x.slice(0, 1), x.slice(1)]);
    expect([...mean]).toEqual([3, 5]);
  });
});

describe("densityHistogram", () => {
  it("bins log10 rates and counts the dead apart", () => {
    const { edges, counts, dead } = densityHistogram([0, 0, 0.001, 0.05, 0.5, 1], 1000, 1);
    expect([...edges]).toEqual([-3, -2, -1, 0]);
    expect([...counts]).toEqual([1, 1, 2]);
    expect(dead).toBe(2);
  });
});

describe("Sae", () => {
  // Two features along the axes of the plane, one that never fires; b_dec (1, 0).
  const config = { variant: "topk", width: 2, features: 3, k: 1, scale: 1 };
  const weights = {
    W_enc: float32([1, 0, 0, 1, 0, 0], [3, 2]),
    b_enc: float32([0, 0, -9]),
    W_dec: float32([1, 0, 0, 1, 1, 1], [3, 2]),
    b_dec: float32([1, 0]),
  };
  const x = float32([4, 0, 1, 2, 3, 1, 0, -1], [4, 2]);

  it("encodes, decodes and reconstructs as worked out by hand", async () => {
    await using sae = new Sae(config, weights, {}, { threads: 1 });
    const codes = await sae.encode(x);
    expect([...codes.data]).toEqual([3, 0, 0, 0, 2, 0, 2, 0, 0, 0, 0, 0]);
    expect([...(await sae.decode(codes)).data]).toEqual([4, 0, 1, 2, 3, 0, 1, 0]);
    expect([...(await sae.reconstruct(x)).data]).toEqual([4, 0, 1, 2, 3, 0, 1, 0]);
  });

  it("measures FVU, L0, dead features and firing rates over all vectors", async () => {
    await using sae = new Sae(config, weights, {}, { threads: 1 });
    const metrics = await sae.metrics(x);
    // mean (2, 0.5): variance 4+1+1+4 + 0.25+2.25+0.25+2.25 = 15; residual 1 + 1 + 1
    expect(metrics.fvu).toBeCloseTo(3 / 15, 7);
    expect(metrics.explainedVariance).toBeCloseTo(12 / 15, 7);
    expect(metrics.mse).toBeCloseTo(3 / 8, 7);
    expect(metrics.tokens).toBe(4);
    expect([...metrics.l0PerToken]).toEqual([1, 1, 1, 0]);
    expect(metrics.l0).toBe(0.75);
    expect([...metrics.firingRates]).toEqual([0.5, 0.25, 0]);
    expect(metrics.deadFraction).toBeCloseTo(1 / 3, 12);
  });

  it("keeps codes sparsely, by vector and by feature", async () => {
    await using sae = new Sae(config, weights, {}, { threads: 1 });
    const codes = await sae.encodeSparse(x);
    expect([...codes.start]).toEqual([0, 1, 2, 3, 3]);
    expect([...codes.feature]).toEqual([0, 1, 0]);
    expect([...codes.value]).toEqual([3, 2, 2]);
    expect([...codes.column(0)]).toEqual([3, 0, 2, 0]);
    expect(() => codes.column(3)).toThrow(/0…2, got 3/);
    expect([...codes.row(1).feature]).toEqual([1]);
    const { start, vector, value } = codes.byFeature();
    expect([[...start], [...vector], [...value]]).toEqual([
      [0, 2, 3, 3],
      [0, 2, 1],
      [3, 2, 2],
    ]);
  });

  it("lists for each feature the vectors on which it fires most", async () => {
    await using sae = new Sae(config, weights, {}, { threads: 1 });
    const top = await sae.topActivations(x, 1);
    expect(top.vectors.map((v) => [...v])).toEqual([[0], [1], []]);
    expect(top.values.map((v) => [...v])).toEqual([[3], [2], []]);
  });

  it("says what is wrong with shapes", async () => {
    expect(() => new Sae(config, { ...weights, b_dec: float32([1, 2, 3]) })).toThrow(
      /b_dec should be \[2\], got Tensor\(float32\[3\]\)/,
    );
    expect(() => new Sae({ ...config, k: 4 }, weights)).toThrow(/k must be a whole number in 1…3, got 4/);
    expect(() => new Sae({ ...config, variant: "magic" }, weights)).toThrow(
      /"magic" is not known; choose one of topk, batch-topk, relu/,
    );
    await using sae = new Sae(config, weights, {}, { threads: 1 });
    await expect(sae.encode(float32([1, 2, 3], [1, 3]))).rejects.toThrow(/expected \[n, 2\], got Tensor\(float32\[1, 3\]\)/);
    await expect(sae.metrics(float32([1, 2, 3], [1, 3]))).rejects.toThrow(/of length 2, got 3/);
  });
});
