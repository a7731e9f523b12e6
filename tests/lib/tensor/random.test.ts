import { describe, expect, it } from "vitest";
import { Rng } from "../../../lib/tensor/index.js";
import { philox4x32 } from "../../../lib/tensor/philox.js";

function hex(words: Uint32Array): string {
  return Array.from(words, (w) => w.toString(16).padStart(8, "0")).join(" ");
}

function moments(values: Float32Array): { mean: number; variance: number; kurtosis: number } {
  const n = values.length;
  const mean = values.reduce((a, b) => a + b, 0) / n;
  const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / n;
  return { mean, variance, kurtosis: values.reduce((a, b) => a + (b - mean) ** 4, 0) / n / variance ** 2 };
}

describe("philox4x32", () => {
  it.each([
    [[0, 0, 0, 0], [0, 0], "6627e8d5 e169c58d bc57ac4c 9b00dbd8"],
    [[0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff], [0xffffffff, 0xffffffff], "408f276d 41c83b0e a20bc7c6 6d5451fd"],
    [[0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0], "d16cfe09 94fdcceb 5001e420 24126ea1"],
  ] as const)("gives Random123's known answer for counter %j", (counter, key, answer) => {
    const block = new Uint32Array(4);
    philox4x32(block, key, counter);
    expect(hex(block)).toBe(answer);
  });

  it("carries from the first counter word into the second", () => {
    const two = new Uint32Array(8);
    philox4x32(two, [1, 2], [0xffffffff, 0, 0, 0]);
    const next = new Uint32Array(4);
    philox4x32(next, [1, 2], [0, 1, 0, 0]);
    expect(two.slice(4)).toEqual(next);
  });
});

describe("Rng", () => {
  it("repeats a stream from the same seed and differs between seeds", () => {
    expect(new Rng(3).normals(100)).toEqual(new Rng(3).normals(100));
    expect(new Rng(3).normals(4)).not.toEqual(new Rng(4).normals(4));
    expect(new Rng([3]).normals(4)).not.toEqual(new Rng([3, 0]).normals(4));
    expect(new Rng(-1).uint32()).not.toBe(new Rng(0xffffffff).uint32());
  });

  it("continues bit for bit from a state that went through JSON", () => {
    const rng = new Rng(5);
    rng.normals(1000);
    const copy = Rng.restore(JSON.parse(JSON.stringify(rng.state())));
    expect(copy.normals(500)).toEqual(rng.normals(500));
    expect(copy.state()).toEqual(rng.state());
  });

  it("forks by label alone, whatever was drawn before", () => {
    const rng = new Rng(9);
    const before = rng.fork("noise").normals(8);
    rng.normals(77);
    expect(rng.fork("noise").normals(8)).toEqual(before);
    expect(rng.fork("data").normals(8)).not.toEqual(before);
    expect(rng.fork(1).normals(8)).not.toEqual(rng.fork("1").normals(8));
    expect(rng.fork("a").fork("b").uint32()).not.toBe(rng.fork("ab").uint32());
  });

  it("draws normals with mean 0, variance 1, kurtosis 3 and the right tails", () => {
    const n = 1_000_000;
    const values = new Rng(1).normals(n);
    const { mean, variance, kurtosis } = moments(values);
    expect(Math.abs(mean)).toBeLessThan(4 / Math.sqrt(n));
    expect(Math.abs(variance - 1)).toBeLessThan(4 * Math.sqrt(2 / n));
    expect(Math.abs(kurtosis - 3)).toBeLessThan(4 * Math.sqrt(24 / n));
    // P(|z| > 2) and, beyond the ziggurat's tail start, P(|z| > 3.7).
    const beyond = (edge: number): number => values.filter((v) => Math.abs(v) > edge).length / n;
    expect(Math.abs(beyond(2) - 0.0455003)).toBeLessThan(4 * Math.sqrt(0.0455 / n));
    expect(Math.abs(beyond(3.7) - 2.1559e-4)).toBeLessThan(4 * Math.sqrt(2.2e-4 / n));
  });

  it("follows the normal distribution function (Kolmogorov–Smirnov)", () => {
    const n = 200_000;
    const sorted = new Rng(2).normals(n).sort();
    let distance = 0;
    for (let i = 0; i < n; i += 50) distance = Math.max(distance, Math.abs((i + 0.5) / n - normalCdf(sorted[i]!)));
    expect(distance * Math.sqrt(n)).toBeLessThan(1.63);
  });

  it("leaves successive and forked draws uncorrelated", () => {
    const n = 200_000;
    const a = new Rng(1).normals(n + 1);
    const b = new Rng(1).fork(0).normals(n);
    let lag = 0;
    let cross = 0;
    for (let i = 0; i < n; i++) {
      lag += a[i]! * a[i + 1]!;
      cross += a[i]! * b[i]!;
    }
    expect(Math.abs(lag) / n).toBeLessThan(4 / Math.sqrt(n));
    expect(Math.abs(cross) / n).toBeLessThan(4 / Math.sqrt(n));
  });

  it("draws whole numbers evenly and refuses an empty range", () => {
    const rng = new Rng(8);
    const counts = new Uint32Array(6);
    for (let i = 0; i < 60_000; i++) counts[rng.int(6)]!++;
    const chi2 = counts.reduce((sum, c) => sum + (c - 10_000) ** 2 / 10_000, 0);
    expect(chi2).toBeLessThan(20.5);
    expect(() => rng.int(0)).toThrow(RangeError);
    expect(() => rng.int(2.5)).toThrow(RangeError);
  });

  it("keeps uniform draws in [0, 1) with mean ½", () => {
    const rng = new Rng(4);
    let sum = 0;
    for (let i = 0; i < 100_000; i++) {
      const u = rng.uniform();
      if (u < 0 || u >= 1) throw new Error(`uniform gave ${u}`);
      sum += u;
    }
    expect(Math.abs(sum / 100_000 - 0.5)).toBeLessThan(4 * Math.sqrt(1 / 12 / 100_000));
  });

  it("permutes: every number once, every order of three equally often", () => {
    expect([...new Rng(3).permutation(50)].sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, i) => i));
    const rng = new Rng(6);
    const counts = new Map<string, number>();
    for (let i = 0; i < 12_000; i++) {
      const order = rng.permutation(3).join("");
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    expect(counts.size).toBe(6);
    for (const count of counts.values()) expect(Math.abs(count - 2000)).toBeLessThan(4 * Math.sqrt(2000));
  });

  it("chooses among items and says so when there are none", () => {
    expect(["a", "b"]).toContain(new Rng(1).choice(["a", "b"]));
    expect(() => new Rng(1).choice([])).toThrow(/nothing to choose from/);
  });

  it("refuses seeds that are not whole numbers and states that are not states", () => {
    expect(() => new Rng(1.5)).toThrow(/whole numbers/);
    expect(() => new Rng([])).toThrow(RangeError);
    expect(() => Rng.restore({ position: 3 } as never)).toThrow(TypeError);
  });
});

/** Φ by integrating the density from 0 with Simpson's rule. */
function normalCdf(x: number): number {
  const steps = 200;
  const h = x / steps;
  let sum = 0;
  for (let i = 0; i <= steps; i++) sum += (i === 0 || i === steps ? 1 : i % 2 ? 4 : 2) * Math.exp(-0.5 * (i * h) ** 2);
  return 0.5 + (sum * h) / 3 / Math.sqrt(2 * Math.PI);
}
