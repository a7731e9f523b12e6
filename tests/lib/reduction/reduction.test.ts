import { readFileSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { bundleOf } from "../../../lib/notebook/index.js";
import {
  continuity,
  DegenerateInputError,
  type Metric,
  nearestNeighbours,
  pca,
  trustworthiness,
  umap,
} from "../../../lib/reduction/index.js";
import { closeRuntime } from "../../../lib/runtime/index.js";
import { float32, Rng, type Tensor, zeros } from "../../../lib/tensor/index.js";

interface Golden {
  readonly x: number[];
  readonly y: number[];
  readonly pca: { readonly components: number[]; mean: number[]; variance: number[]; ratio: number[]; z: number[] };
  readonly trust: Readonly<Record<string, number>>;
  readonly continuity: Readonly<Record<string, number>>;
  readonly euclidean: { readonly indices: number[]; readonly distances: number[] };
  readonly cosine: { readonly indices: number[]; readonly distances: number[] };
}
/** 40 points around (100, −50, 3, 0, 7) and what scikit-learn 1.2.1 finds in them. */
const golden = JSON.parse(readFileSync("tests/golden/reduction.json", "utf8")) as Golden;
const x = float32(golden.x, [40, 5]);
const y = float32(golden.y, [40, 2]);

function expectClose(actual: ArrayLike<number>, expected: readonly number[], digits: number): void {
  expect(actual.length).toBe(expected.length);
  expected.forEach((value, i) => {
    expect(actual[i]).toBeCloseTo(value, digits);
  });
}

function gaussian(seed: number, n: number, d: number): Tensor<"float32"> {
  return float32(new Rng(seed).normals(n * d), [n, d]);
}

afterAll(() => closeRuntime());

describe("pca", () => {
  it("finds the axis of points on a line far from the origin", async () => {
    // (1000, 2000) + t·(3, 4)/5 for t = −2, −1, 0, 3: the mean of t is 0, its variance 14/3.
    const line = float32(
      [-2, -1, 0, 3].flatMap((t) => [1000 + 0.6 * t, 2000 + 0.8 * t]),
      [4, 2],
    );
    const fit = await pca(line, { components: 1 });
    expectClose(fit.components.data, [0.6, 0.8], 4);
    expectClose(fit.mean, [1000, 2000], 4);
    expectClose(fit.explainedVariance, [14 / 3], 3);
    expectClose(fit.explainedVarianceRatio, [1], 6);
    expectClose(fit.transform(line).data, [-2, -1, 0, 3], 3);
    expectClose(fit.inverse(fit.transform(line)).data, [...line.data], 3);
  });

  it.each(["exact", "randomized"] as const)("gives scikit-learn's components, %s", async (method) => {
    const fit = await pca(x, { components: 3, method });
    expectClose(fit.components.data, golden.pca.components, 5);
    expectClose(fit.mean, golden.pca.mean, 9);
    expectClose(fit.explainedVariance, golden.pca.variance, 7);
    expectClose(fit.explainedVarianceRatio, golden.pca.ratio, 9);
    expectClose(fit.transform(x).data.subarray(0, 12), golden.pca.z, 4);
  });

  it("finds planted directions among 1500 coordinates without forming their covariance", async () => {
    const [n, d] = [300, 1500];
    const rng = new Rng(3);
    const noise = rng.normals(n * d);
    const scales = [30, 20];
    const data = noise.map((v, i) => {
      const column = i % d;
      return v + 5 + (column < 2 ? (scales[column]! - 1) * v : 0);
    });
    const fit = await pca(float32(data, [n, d]), { components: 2 });
    expect(fit.method).toBe("randomized");
    expect(Math.abs(fit.components.data[0]!)).toBeGreaterThan(0.98);
    expect(Math.abs(fit.components.data[d + 1]!)).toBeGreaterThan(0.97);
  });

  it("does not depend on the order or the sign of the data", async () => {
    const mirrored = float32(
      x.data.map((v) => -v),
      x.shape,
    );
    expectClose((await pca(mirrored, { components: 3 })).components.data, golden.pca.components, 5);
  });

  it("refuses more components than there are, and NaN", async () => {
    await expect(pca(x, { components: 6 })).rejects.toThrow(/1…5/);
    await expect(pca(float32([1, Number.NaN], [2, 1]), { components: 1 })).rejects.toThrow(DegenerateInputError);
  });
});

describe("nearestNeighbours", () => {
  it.each(["euclidean", "cosine"] as const)("gives scikit-learn's neighbours, %s", async (metric: Metric) => {
    const found = await nearestNeighbours(x, { k: 5, metric });
    expect([...found.indices]).toEqual(golden[metric].indices);
    expectClose(found.distances, golden[metric].distances, metric === "cosine" ? 7 : 4);
  });

  it("equals brute force in blocks, with queries of its own", async () => {
    const points = gaussian(1, 700, 3);
    const queries = gaussian(2, 50, 3);
    const { indices } = await nearestNeighbours(points, { k: 4, queries });
    for (let q = 0; q < 50; q++) {
      const distances = Array.from({ length: 700 }, (_, i) =>
        [0, 1, 2].reduce((sum, c) => sum + (points.data[i * 3 + c]! - queries.data[q * 3 + c]!) ** 2, 0),
      );
      const order = distances.map((_, i) => i).sort((a, b) => distances[a]! - distances[b]!);
      expect([...indices.subarray(q * 4, q * 4 + 4)]).toEqual(order.slice(0, 4));
    }
  });

  it("leaves a point out of its own list, even among copies of it", async () => {
    const found = await nearestNeighbours(float32([1, 1, 1, 5], [4, 1]), { k: 2 });
    expect([...found.indices]).toEqual([1, 2, 0, 2, 0, 1, 0, 1]);
    expect([...found.distances]).toEqual([0, 0, 0, 0, 0, 0, 4, 4]);
  });

  it("refuses k out of range and directions of zero vectors", async () => {
    await expect(nearestNeighbours(x, { k: 40 })).rejects.toThrow(/k must be 1…39/);
    await expect(nearestNeighbours(zeros([3, 2]), { k: 1, metric: "cosine" })).rejects.toThrow(/point 0 is zero/);
  });
});

describe("trustworthiness and continuity", () => {
  it.each([5, 15])("are scikit-learn's at k = %i", async (neighbours) => {
    expect(await trustworthiness(x, y, { neighbours })).toBeCloseTo(golden.trust[neighbours]!, 12);
    expect(await continuity(x, y, { neighbours })).toBeCloseTo(golden.continuity[neighbours]!, 12);
  });

  it("are 1 for a rotated and scaled copy, and can be estimated from a sample", async () => {
    const points = gaussian(4, 200, 2);
    const turned = Float32Array.from(points.data.keys(), (i) =>
      i % 2 === 0 ? -3 * points.data[i + 1]! : 3 * points.data[i - 1]!,
    );
    expect(await trustworthiness(points, float32(turned, [200, 2]))).toBe(1);
    const other = gaussian(5, 200, 2);
    const all = await trustworthiness(points, other);
    const some = await trustworthiness(points, other, { sample: 120 });
    expect(all).toBeLessThan(0.6);
    expect(Math.abs(some - all)).toBeLessThan(0.05);
  });

  it("refuse neighbourhoods of half the points", async () => {
    await expect(trustworthiness(x, y, { neighbours: 20 })).rejects.toThrow(/1…19/);
  });
});

/** Three groups of 30 points in 6 dimensions, 20 apart with spread 1. */
function groups(): { points: Tensor<"float32">; group: number[] } {
  const points = gaussian(8, 90, 6);
  const group = Array.from({ length: 90 }, (_, i) => i % 3);
  group.forEach((g, i) => {
    points.data[i * 6 + g] = points.data[i * 6 + g]! + 20;
  });
  return { points, group };
}

describe("umap", () => {
  it("keeps groups together and apart, says how well, and repeats itself", async () => {
    const { points, group } = groups();
    const epochs: number[] = [];
    const once = await umap(points, { epochs: 100, seed: 3, onProgress: (epoch) => epochs.push(epoch) });
    expect(once.points.shape).toEqual([90, 2]);
    const { indices } = await nearestNeighbours(once.points, { k: 5 });
    const same = indices.filter((j, i) => group[j] === group[Math.floor(i / 5)]).length;
    expect(same).toBe(450);
    expect(once.trustworthiness).toBeGreaterThan(0.85);
    expect(once.continuity).toBeGreaterThan(0.85);
    expect(epochs.at(-1)).toBe(100);
    expect(once.table({ group }).columnNames()).toEqual(["x", "y", "group"]);
    expect(String(once)).toMatch(/^umap of 90 points: trustworthiness 0\.\d{3}, continuity 0\.\d{3} \(k = 15\)$/);
    const bundle = (await bundleOf(once)) as Record<string, string>;
    expect(bundle["text/html"]).toContain('role="figure"');
    expect(bundle["text/plain"]).toBe(String(once));
    expect(once.figure({ title: "t", labels: Array.from(group, String) }).data).toHaveLength(3);
    const again = await umap(points, { epochs: 100, seed: 3 });
    expect([...again.points.data]).toEqual([...once.points.data]);
  });

  it("gives copies of a point one place", async () => {
    const { points } = groups();
    points.data.copyWithin(0, 6, 12);
    const { data } = (await umap(points, { epochs: 10 })).points;
    expect([data[0], data[1]]).toEqual([data[2], data[3]]);
  });

  it("refuses what would hang it: constants, few distinct points, NaN", async () => {
    await expect(umap(zeros([100, 4]))).rejects.toThrow(/more than 15 distinct points, got 1 among 100/);
    await expect(umap(gaussian(1, 15, 4))).rejects.toThrow(DegenerateInputError);
    const broken = gaussian(1, 50, 2);
    broken.data[7] = Number.NaN;
    await expect(umap(broken)).rejects.toThrow(/point 3 is NaN at coordinate 1/);
    await expect(umap(gaussian(1, 50, 2), { neighbours: 1 })).rejects.toThrow(RangeError);
  });

  it("stops when its signal fires", async () => {
    const control = new AbortController();
    const running = umap(gaussian(1, 400, 4), {
      epochs: 100_000,
      signal: control.signal,
      onProgress: () => control.abort(new Error("enough")),
    });
    await expect(running).rejects.toThrow("enough");
  });
});
