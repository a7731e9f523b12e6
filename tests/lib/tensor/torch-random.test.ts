import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { TorchGenerator, torchRandn } from "../../../lib/tensor/index.js";

interface Case {
  seed: number;
  shape: number[];
  values: number[];
}
const golden = JSON.parse(readFileSync(new URL("../../golden/torch-randn.json", import.meta.url), "utf8")) as {
  cases: (Case | Record<string, number[]>)[];
};

function expectClose(actual: ArrayLike<number>, expected: number[]): void {
  expect(actual.length).toBe(expected.length);
  expected.forEach((value, i) => {
    expect(Math.abs(actual[i]! - value)).toBeLessThanOrEqual(1e-6 * Math.max(1, Math.abs(value)));
  });
}

describe("torchRandn", () => {
  const cases = golden.cases.filter((c): c is Case => "shape" in c);

  it.each(cases)("equals PyTorch's CPU noise for seed $seed, shape $shape", ({ seed, shape, values }) => {
    expectClose(torchRandn(seed, shape).data, values);
  });

  it("draws on like one torch.Generator: the spare of an odd scalar draw is kept", () => {
    const { a, b, c } = golden.cases.find((one) => "a" in one) as Record<string, number[]>;
    const generator = new TorchGenerator(7);
    expectClose(generator.randn([5]).data, a!);
    expectClose(generator.randn([5]).data, b!);
    expectClose(generator.randn([16]).data, c!);
  });

  it("mixes rand, randint and randn as torch does", () => {
    const { rand, randint, randn } = golden.cases.find((one) => "rand" in one) as Record<string, number[]>;
    const generator = new TorchGenerator(0);
    expectClose(generator.rand([10]).data, rand!);
    expectClose(Array.from(generator.randint(0, 1000, [10]).data, Number), randint!);
    expectClose(generator.randn([20]).data, randn!);
  });

  it("permutes as torch.randperm does", () => {
    const { perm } = golden.cases.find((one) => "perm" in one) as Record<string, number[]>;
    expect(Array.from(new TorchGenerator(0).randperm(20).data, Number)).toEqual(perm);
  });

  it("uses the low 32 bits of the seed", () => {
    expect(torchRandn(5 + 2 ** 32, [20])).toEqual(torchRandn(5, [20]));
  });
});
