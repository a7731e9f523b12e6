import { describe, expect, it } from "vitest";
import {
  type Denoiser,
  ddim,
  ddpm,
  dpmpp2m,
  euler,
  eulerAncestral,
  gaussianDenoiser,
  heun,
  karrasSigmas,
  mixtureDenoiser,
  type SamplerName,
  type SamplerSettings,
  type Step,
  samplerOrder,
  samplers,
} from "../../../lib/diffusion/index.js";
import { float32, Rng, type Tensor } from "../../../lib/tensor/index.js";

async function all(steps: AsyncIterable<Step>): Promise<Step[]> {
  const out: Step[] = [];
  for await (const step of steps) out.push(step);
  return out;
}

async function sample(
  name: SamplerName,
  denoiser: Denoiser,
  x: Tensor<"float32">,
  sigmas: Float64Array,
  options: SamplerSettings = {},
) {
  return (await all(samplers[name](denoiser, x, sigmas, options))).at(-1)!.x;
}

const names = Object.keys(samplers) as SamplerName[];

describe("samplers", () => {
  const mean = [0.5, -1];
  const deviation = [0.7, 0.3];
  const gaussian = gaussianDenoiser(mean, deviation);

  it.each(names.filter((name) => samplerOrder[name] !== undefined))(
    "%s converges on a Gaussian's flow with its declared order",
    async (name) => {
      const [high, low] = [5, 0.2];
      const x = float32([4, -3], [1, 2]);
      const exact = mean.map((m, i) => {
        const shrink = Math.sqrt((deviation[i]! ** 2 + low ** 2) / (deviation[i]! ** 2 + high ** 2));
        return m + (x.data[i]! - m) * shrink;
      });
      const errorAt = async (steps: number): Promise<number> => {
        const result = await sample(name, gaussian, x, karrasSigmas(steps + 1, low, high));
        return Math.max(...exact.map((value, i) => Math.abs(result.data[i]! - value)));
      };
      const order = Math.log2((await errorAt(64)) / (await errorAt(128)));
      expect(order).toBeGreaterThan(samplerOrder[name]! - 0.15);
      expect(order).toBeLessThan(samplerOrder[name]! + 0.3);
    },
  );

  it.each(names)("%s draws the mean and the deviation of the data", async (name) => {
    const n = 3000;
    const rng = new Rng(11);
    const x = float32(
      rng.normals(2 * n).map((z, i) => mean[i % 2]! + 20 * z),
      [n, 2],
    );
    const sigmas = Float64Array.of(...karrasSigmas(120, 0.01, 20), 0);
    const { data } = await sample(name, gaussian, x, sigmas, { rng: rng.fork("sampler") });
    for (const i of [0, 1]) {
      const values = data.filter((_, at) => at % 2 === i);
      const average = values.reduce((a, b) => a + b) / n;
      const spread = Math.sqrt(values.reduce((a, b) => a + (b - average) ** 2, 0) / n);
      expect(Math.abs(average - mean[i]!)).toBeLessThan(0.05);
      expect(Math.abs(spread / deviation[i]! - 1)).toBeLessThan(0.08);
    }
  });

  it("share a mixture's samples among its components by weight", async () => {
    const denoiser = mixtureDenoiser([
      { weight: 3, mean: [2, 0], deviation: 0.1 },
      { weight: 1, mean: [-2, 0], deviation: 0.1 },
    ]);
    const n = 2000;
    const x = float32(
      new Rng(2).normals(2 * n).map((z) => 40 * z),
      [n, 2],
    );
    const { data } = await sample("heun", denoiser, x, Float64Array.of(...karrasSigmas(30, 0.02, 40), 0));
    const onRight = data.filter((value, i) => i % 2 === 0 && value > 0).length / n;
    expect(Math.abs(onRight - 0.75)).toBeLessThan(0.04);
    expect(data.every((value, i) => i % 2 === 1 || Math.abs(Math.abs(value) - 2) < 0.6)).toBe(true);
  });

  it("one Euler step from 2 to 1 goes half way to x̂₀", async () => {
    const constant: Denoiser = async () => float32([1], [1, 1]);
    const [step] = await all(euler(constant, float32([5], [1, 1]), Float64Array.of(2, 1)));
    expect(step).toEqual({ index: 0, sigma: 2, sigmaNext: 1, x: float32([3], [1, 1]), denoised: float32([1], [1, 1]) });
  });

  it("a last step to 0 lands on x̂₀", async () => {
    for (const name of names) {
      const steps = await all(samplers[name](gaussian, float32([1, 2], [1, 2]), Float64Array.of(0.5, 0), { rng: new Rng(0) }));
      steps.at(-1)!.x.data.forEach((value, i) => {
        expect(value).toBeCloseTo(steps.at(-1)!.denoised.data[i]!, 6);
      });
    }
  });

  it("DDIM is Euler at eta 0 and DDPM at eta 1", async () => {
    const x = float32([3, 1], [1, 2]);
    const sigmas = Float64Array.of(...karrasSigmas(8, 0.1, 4), 0);
    const near = (a: Tensor<"float32">, b: Tensor<"float32">): void => {
      a.data.forEach((value, i) => {
        expect(value).toBeCloseTo(b.data[i]!, 5);
      });
    };
    near(await sample("ddim", gaussian, x, sigmas), await sample("euler", gaussian, x, sigmas));
    const stochastic = await sample("ddpm", gaussian, x, sigmas, { rng: new Rng(3) });
    near(await sample("ddim", gaussian, x, sigmas, { eta: 1, rng: new Rng(3) }), stochastic);
    // Ancestral steps are what they are: eta is DDIM's.
    near(await sample("euler-ancestral", gaussian, x, sigmas, { eta: 0, rng: new Rng(3) }), stochastic);
  });

  it("repeat a run from the same seed and leave the start unchanged", async () => {
    const x = float32([3, 1], [1, 2]);
    const sigmas = karrasSigmas(6, 0.1, 4);
    const run = (seed: number) => sample("ddpm", gaussian, x, sigmas, { rng: new Rng(seed) });
    expect(await run(1)).toEqual(await run(1));
    expect(await run(1)).not.toEqual(await run(2));
    expect([...x.data]).toEqual([3, 1]);
  });

  it("make one model call a step, Heun two but for the last", async () => {
    const sigmas = Float64Array.of(4, 2, 1, 0);
    for (const [sampler, calls] of [
      [euler, 3],
      [ddim, 3],
      [dpmpp2m, 3],
      [heun, 5],
    ] as const) {
      let count = 0;
      const counting: Denoiser = (x, sigma) => {
        count++;
        return gaussian(x, sigma);
      };
      await all(sampler(counting, float32([1, 1], [1, 2]), sigmas, {}));
      expect(count).toBe(calls);
    }
  });

  it("stop before the next model call when told to", async () => {
    for (const name of names) {
      const abort = new AbortController();
      const seen: number[] = [];
      const run = async (): Promise<void> => {
        const options = { signal: abort.signal, rng: new Rng(1) };
        for await (const step of samplers[name](gaussian, float32([1, 1], [1, 2]), karrasSigmas(9, 0.1, 4), options)) {
          seen.push(step.index);
          if (step.index === 2) abort.abort(new Error("enough"));
        }
      };
      await expect(run()).rejects.toThrow("enough");
      expect(seen).toEqual([0, 1, 2]);
    }
  });

  it("pass the condition on and label steps with timesteps", async () => {
    const condition = { prompt: float32([7], [1, 1]) };
    const denoiser: Denoiser = async (x, _, given) => {
      expect(given).toBe(condition);
      return x;
    };
    const timesteps = Float64Array.of(900, 400);
    const steps = await all(euler(denoiser, float32([1], [1, 1]), Float64Array.of(2, 1, 0), { condition, timesteps }));
    expect(steps.map((step) => step.timestep)).toEqual([900, 400]);
  });

  it("refuse rising levels, a missing noise source and a denoiser of another shape", async () => {
    const x = float32([1, 1], [1, 2]);
    await expect(all(euler(gaussian, x, Float64Array.of(1, 2)))).rejects.toThrow(/falling/);
    await expect(all(euler(gaussian, x, Float64Array.of(1, 0, 0)))).rejects.toThrow(RangeError);
    await expect(all(euler(gaussian, x, Float64Array.of(Number.POSITIVE_INFINITY, 1)))).rejects.toThrow(RangeError);
    await expect(all(euler(gaussian, x, Float64Array.of(1)))).rejects.toThrow(RangeError);
    for (const sampler of [ddpm, eulerAncestral]) {
      await expect(all(sampler(gaussian, x, Float64Array.of(2, 1)))).rejects.toThrow(/options\.rng/);
    }
    const short: Denoiser = async () => float32([1]);
    await expect(all(euler(short, x, Float64Array.of(2, 1)))).rejects.toThrow(/returned/);
  });
});
