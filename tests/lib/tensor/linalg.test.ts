import { describe, expect, it } from "vitest";
import { orthonormalRows, symmetricEigen } from "../../../lib/tensor/linalg.js";
import { Rng } from "../../../lib/tensor/random.js";

function symmetric(n: number, seed: number, rank = n): Float64Array {
  const factor = Float64Array.from(new Rng(seed).normals(n * rank));
  const a = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let j = 0; j < n; j++)
      for (let k = 0; k < rank; k++) a[i * n + j] = a[i * n + j]! + factor[i * rank + k]! * factor[j * rank + k]!;
  return a;
}

/** Largest |A v − λ v| over all eigenpairs. */
function residual(a: Float64Array, n: number): number {
  const { values, vectors } = symmetricEigen(a, n);
  let worst = 0;
  for (let e = 0; e < n; e++)
    for (let i = 0; i < n; i++) {
      let sum = -values[e]! * vectors[e * n + i]!;
      for (let j = 0; j < n; j++) sum += a[i * n + j]! * vectors[e * n + j]!;
      worst = Math.max(worst, Math.abs(sum));
    }
  return worst;
}

function worstOverlap(rows: Float64Array, n: number): number {
  let worst = 0;
  for (let i = 0; i * n < rows.length; i++)
    for (let j = 0; j * n < rows.length; j++) {
      let sum = i === j ? -1 : 0;
      for (let k = 0; k < n; k++) sum += rows[i * n + k]! * rows[j * n + k]!;
      worst = Math.max(worst, Math.abs(sum));
    }
  return worst;
}

describe("symmetricEigen", () => {
  it("solves [[2, 1], [1, 2]]: 3 along (1, 1), 1 along (1, −1)", () => {
    const { values, vectors } = symmetricEigen(Float64Array.of(2, 1, 1, 2));
    expect(values[0]).toBeCloseTo(3, 14);
    expect(values[1]).toBeCloseTo(1, 14);
    expect(vectors[0]! / vectors[1]!).toBeCloseTo(1, 14);
    expect(vectors[2]! / vectors[3]!).toBeCloseTo(-1, 14);
  });

  it("knows the second difference matrix: 2 − 2 cos(kπ/(n+1))", () => {
    const n = 25;
    const a = Float64Array.from({ length: n * n }, (_, i) => {
      const gap = Math.abs(Math.floor(i / n) - (i % n));
      return gap === 0 ? 2 : gap === 1 ? -1 : 0;
    });
    symmetricEigen(a).values.forEach((value, i) => {
      expect(value).toBeCloseTo(2 - 2 * Math.cos(((n - i) * Math.PI) / (n + 1)), 12);
    });
  });

  it.each([
    [1, 1],
    [2, 2],
    [7, 7],
    [40, 40],
    [40, 3],
  ])("decomposes a random matrix of size %i and rank %i into orthonormal eigenvectors", (n, rank) => {
    const a = symmetric(n, n + rank, rank);
    expect(residual(a, n)).toBeLessThan(1e-10);
    expect(worstOverlap(symmetricEigen(a, n).vectors, n)).toBeLessThan(1e-12);
  });

  it("decomposes zeros, the identity and matrices of very different scale", () => {
    expect([...symmetricEigen(new Float64Array(9)).values]).toEqual([0, 0, 0]);
    expect([...symmetricEigen(Float64Array.of(1, 0, 0, 0, 1, 0, 0, 0, 1)).values]).toEqual([1, 1, 1]);
    const tiny = symmetric(10, 3).map((x) => x * 1e-200);
    expect(residual(tiny, 10)).toBeLessThan(1e-210);
  });

  it("refuses what is not a finite square matrix", () => {
    expect(() => symmetricEigen(new Float64Array(6))).toThrow(RangeError);
    expect(() => symmetricEigen(Float64Array.of(1, Number.NaN, 0, 1))).toThrow(/NaN or infinity/);
  });
});

it("orthonormalRows keeps the span and zeroes dependent rows", () => {
  const rows = orthonormalRows(Float64Array.of(3, 4, 0, 6, 8, 0, 0, 5, 5), 3);
  expect([...rows.subarray(0, 6)]).toEqual([0.6, 0.8, 0, 0, 0, 0]);
  expect(worstOverlap(Float64Array.of(...rows.subarray(0, 3), ...rows.subarray(6)), 3)).toBeLessThan(1e-14);
});
