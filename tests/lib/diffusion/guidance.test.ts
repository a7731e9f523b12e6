import { describe, expect, it } from "vitest";
import {
  clipDenoised,
  denoiserFrom,
  fromEpsilon,
  gaussianDenoiser,
  guide,
  mixtureDenoiser,
  type PredictionType,
  type Predictor,
  subspaceGaussianDenoiser,
} from "../../../lib/diffusion/index.js";
import { float32, int64, Tensor } from "../../../lib/tensor/index.js";

/** Predicts its condition's first value for each item, so that a guided value can be read off. */
const echo: Predictor = async (x, _, condition) => {
  const prompt = condition!.prompt as Tensor<"float32">;
  const perItem = x.size / x.shape[0]!;
  return new Tensor(
    "float32",
    x.data.map((value, i) => prompt.data[Math.floor(i / perItem)]! + value),
    x.shape,
  );
};
const prompt = (...values: number[]) => ({ prompt: float32(values, [values.length, 1]) });

describe("guide", () => {
  const x = float32([0, 1, 0, 2], [2, 2]);

  it("extrapolates from the unconditional through the conditional prediction", async () => {
    const guided = guide(echo, { scale: 3, unconditional: prompt(1, 1) });
    // 1 + 3·(2 − 1) = 4 and 1 + 3·(5 − 1) = 13, plus x
    expect([...(await guided(x, 1, prompt(2, 5))).data]).toEqual([4, 5, 13, 15]);
  });

  it("runs both branches in one call, unconditional first, and only one where the scale is 1", async () => {
    const batches: number[][] = [];
    const spy: Predictor = (input, t, condition) => {
      batches.push([...(condition!.prompt as Tensor<"float32">).data]);
      return echo(input, t, condition);
    };
    await guide(spy, { scale: 2, unconditional: prompt(1, 1) })(x, 1, prompt(2, 5));
    await guide(spy, { scale: 1, unconditional: prompt(1, 1) })(x, 1, prompt(2, 5));
    expect(batches).toEqual([
      [1, 1, 2, 5],
      [2, 5],
    ]);
  });

  it("goes over the picture alone where there is one: u + g_I·(p − u) + g·(c − p)", async () => {
    // The middle branch is told what the first one is; here it differs by what stands beside its state.
    const seeing: Predictor = async (input, t, condition) => {
      const prediction = await echo(input, t, condition);
      return new Tensor(
        "float32",
        prediction.data.map((v, i) => v + (i >= x.size ? 10 : 0)),
        input.shape,
      );
    };
    const guided = guide(seeing, { scale: 3, imageScale: 2, unconditional: prompt(1, 1) });
    // Predictions 1, 11, 12 and 1, 11, 15: 1 + 2·10 + 3·1 = 24 and 1 + 2·10 + 3·4 = 33, plus x
    expect([...(await guided(x, 1, prompt(2, 5))).data]).toEqual([24, 25, 33, 35]);
    // With both weights 1 only the last branch is left, and it is the only one that runs.
    const plain = guide(echo, { scale: 1, imageScale: 1, unconditional: prompt(1, 1) });
    expect([...(await plain(x, 1, prompt(2, 5))).data]).toEqual([2, 3, 5, 7]);
  });

  it("uses the condition alone outside its interval (low, high]", async () => {
    const guided = guide(echo, { scale: 3, unconditional: prompt(1, 1), interval: [1, 2] });
    const first = async (sigma: number): Promise<number> => (await guided(x, sigma, prompt(2, 5))).data[0]!;
    expect([await first(1), await first(1.5), await first(2), await first(2.1)]).toEqual([2, 4, 4, 2]);
  });

  it("at rescale 1 has the conditional prediction's deviation in every item", async () => {
    const shaped: Predictor = async (input, _, condition) => {
      const p = condition!.prompt as Tensor<"float32">;
      return new Tensor(
        "float32",
        input.data.map((value, i) => value * p.data[i >> 1]!),
        input.shape,
      );
    };
    const { data } = await guide(shaped, { scale: 4, unconditional: prompt(1, 1), rescale: 1 })(x, 1, prompt(2, 3));
    [0, 2, 0, 6].forEach((value, i) => {
      expect(data[i]).toBeCloseTo(value, 5);
    });
  });

  it("refuses conditions that do not match, and none", async () => {
    const guided = guide(echo, { scale: 3, unconditional: prompt(1) });
    await expect(guided(x, 1, prompt(2, 5))).rejects.toThrow(/same shape/);
    await expect(guided(x, 1, { other: int64([1]) })).rejects.toThrow(/other inputs/);
    await expect(guided(x, 1)).rejects.toThrow(TypeError);
    expect(() => guide(echo, { scale: Number.NaN, unconditional: {} })).toThrow(RangeError);
    expect(() => guide(echo, { scale: 1, unconditional: {}, rescale: 2 })).toThrow(/0…1/);
  });
});

describe("adapters", () => {
  /** What a network of each kind sees of x, and what it predicts, in the words of its paper; σ_d = 0.5, σ_min = 0.002. */
  const kinds: Readonly<
    Record<PredictionType, { input: (sigma: number) => number; predict: (x: number, x0: number, sigma: number) => number }>
  > = {
    epsilon: { input: (s) => 1 / Math.sqrt(1 + s * s), predict: (x, x0, s) => (x - x0) / s },
    v_prediction: {
      input: (s) => 1 / Math.sqrt(1 + s * s),
      predict: (x, x0, s) => ((x - x0) / s - s * x0) / Math.sqrt(1 + s * s),
    },
    sample: { input: (s) => 1 / Math.sqrt(1 + s * s), predict: (_, x0) => x0 },
    flow_prediction: { input: (s) => 1 / (1 + s), predict: (x, x0, s) => (x - x0) / s - x0 },
    reversed_flow_prediction: { input: (s) => 1 / (1 + s), predict: (x, x0, s) => x0 - (x - x0) / s },
    edm: { input: (s) => 1 / Math.hypot(s, 0.5), predict: (x, x0, s) => edmF(x, x0, s) },
    edm_v_prediction: { input: (s) => 1 / Math.hypot(s, 0.5), predict: (x, x0, s) => -edmF(x, x0, s) },
    consistency: {
      input: (s) => 1 / Math.hypot(s, 0.5),
      predict: (x, x0, s) => {
        const skip = 0.25 / ((s - 0.002) ** 2 + 0.25);
        return (x0 - skip * x) / (((s - 0.002) * 0.5) / Math.hypot(s, 0.5));
      },
    },
    score: { input: () => 1, predict: (x, x0, s) => (x0 - x) / s ** 2 },
  };
  /** F of x̂₀ = c_skip·x + c_out·F. */
  const edmF = (x: number, x0: number, s: number): number => {
    const skip = 0.25 / (s * s + 0.25);
    return (x0 - skip * x) / ((s * 0.5) / Math.hypot(s, 0.5));
  };

  it.each(Object.keys(kinds) as PredictionType[])("make of a Gaussian's %s its denoiser and its ε", async (type) => {
    const exact = gaussianDenoiser([0.5, -1], [0.7, 0.3]);
    const schedule = { timestepOf: (sigma: number): number => sigma };
    const x = float32([2, -3], [1, 2]);
    const { input, predict } = kinds[type];
    for (const sigma of [0.1, 1, 10]) {
      const x0 = await exact(x, sigma);
      const denoiser = denoiserFrom[type](async (seen, t) => {
        expect(t).toBe(sigma);
        expect(seen.data[0]).toBeCloseTo(x.data[0]! * input(sigma), 5);
        return float32(
          x.data.map((value, i) => predict(value, x0.data[i]!, sigma)),
          [1, 2],
        );
      }, schedule);
      const denoised = await denoiser(x, sigma);
      const epsilon = await denoiser.epsilon?.(x, sigma);
      x0.data.forEach((value, i) => {
        expect(denoised.data[i]).toBeCloseTo(value, 4);
        if (type !== "sample") expect(epsilon!.data[i]).toBeCloseTo((x.data[i]! - value) / sigma, 4);
      });
    }
  });

  it("split off the variance of a network that learns it, item by item", async () => {
    const twice: Predictor = async () => float32([1, 2, 10, 20, 3, 4, 30, 40], [2, 2, 2]);
    const schedule = { timestepOf: (): number => 0 };
    const denoised = await denoiserFrom.sample(twice, schedule)(float32([0, 0, 0, 0], [2, 1, 2]), 1);
    expect([...denoised.data]).toEqual([1, 2, 3, 4]);
    expect([...denoised.variance!.data]).toEqual([10, 20, 30, 40]);
  });

  it("refuse a prediction of another size", async () => {
    const schedule = { timestepOf: (): number => 0 };
    await expect(fromEpsilon(async () => float32([1]), schedule)(float32([1, 2], [1, 2]), 1)).rejects.toThrow(
      /twice the channels/,
    );
  });
});

describe("exact denoisers", () => {
  it("of a mixture of one component are the Gaussian's", async () => {
    const x = float32([2, -3, 0, 1], [2, 2]);
    const mixture = mixtureDenoiser([{ weight: 5, mean: [1, 2], deviation: 0.5 }]);
    const gaussian = gaussianDenoiser([1, 2], [0.5, 0.5]);
    expect(await mixture(x, 0.7)).toEqual(await gaussian(x, 0.7));
  });

  it("of a subspace along the axes are the Gaussian's, of deviation 0 across it", async () => {
    const x = float32([2, -3, 1, 0, 1, 5], [2, 3]);
    const plane = { mean: [1, 2, 3], directions: [Float64Array.of(1, 0, 0), Float64Array.of(0, 1, 0)], deviations: [0.5, 2] };
    const { data } = await subspaceGaussianDenoiser(plane)(x, 0.7);
    const expected = await gaussianDenoiser([1, 2, 3], [0.5, 2, 0])(x, 0.7);
    data.forEach((value, i) => {
      expect(value).toBeCloseTo(expected.data[i]!, 6);
    });
  });

  it("of a slanted line shrink along it and project across it", async () => {
    const line = { mean: [0, 0], directions: [Float64Array.of(0.6, 0.8)], deviations: [1] };
    const { data } = await subspaceGaussianDenoiser(line)(float32([5, 0], [1, 2]), 1);
    // 5·0.6 = 3 along the line, halved: 1.5·(0.6, 0.8).
    expect(data[0]).toBeCloseTo(0.9, 6);
    expect(data[1]).toBeCloseTo(1.2, 6);
    expect(() => subspaceGaussianDenoiser({ ...line, directions: [[0.6, 0.9]] })).toThrow(/orthonormal/);
    expect(() => subspaceGaussianDenoiser({ ...line, deviations: [1, 2] })).toThrow(/one deviation per direction/);
  });

  it("of two points average them at the middle and choose the near one at low noise", async () => {
    const points = mixtureDenoiser([
      { weight: 1, mean: [1], deviation: 0 },
      { weight: 1, mean: [-1], deviation: 0 },
    ]);
    expect((await points(float32([0], [1, 1]), 1)).data[0]).toBe(0);
    // tanh(x/σ²), the closed form for ±1
    expect((await points(float32([0.3], [1, 1]), 0.8)).data[0]).toBeCloseTo(Math.tanh(0.3 / 0.64), 6);
    expect((await points(float32([0.3], [1, 1]), 0.001)).data[0]).toBe(1);
  });
});

describe("clipDenoised", () => {
  it("clips to a range, or each item to a quantile of its own values", () => {
    expect(clipDenoised(float32([3, -0.5], [1, 2]), { range: 1 })).toEqual(float32([1, -0.5], [1, 2]));
    // |item 1| has median 2: clipped to ±2, divided by 2; item 2 lies within ±1 and stays.
    const clipped = clipDenoised(float32([4, -2, 1, 0.5, -0.25, 0], [2, 3]), { quantile: 0.5, max: 9 });
    expect([...clipped.data]).toEqual([1, -1, 0.5, 0.5, -0.25, 0]);
  });
});
