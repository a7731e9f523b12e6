import { describe, expect, it } from "vitest";
import {
  consistency,
  type Denoiser,
  ddim,
  ddpm,
  deis,
  denoiserFrom,
  dpm2,
  dpmpp2m,
  dpmpp2s,
  euler,
  eulerAncestral,
  fewStep,
  gaussianDenoiser,
  heun,
  karrasSigmas,
  lcm,
  lms,
  mixtureDenoiser,
  pndm,
  risingSamplers,
  type SamplerName,
  type SamplerSettings,
  type Step,
  samplers,
  saSolver,
  scheduleFromConfig,
  unipc,
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

/** Levels in the sampler's own direction. */
const along = (name: SamplerName, falling: Float64Array): Float64Array =>
  risingSamplers.has(name) ? falling.toReversed() : falling;

/** Samplers that draw from the data's distribution if the denoiser is exact, and what they need to come near with. */
const unbiased: Partial<Record<SamplerName, SamplerSettings>> = {
  ...Object.fromEntries(names.map((name) => [name, {}])),
  "annealed-langevin": { stepSize: 0.5 },
  tcd: { eta: 0.1 },
};
for (const name of [...risingSamplers, "consistency", "lcm"] as const) delete unbiased[name];

describe("samplers", () => {
  const mean = [0.5, -1];
  const deviation = [0.7, 0.3];
  const gaussian = gaussianDenoiser(mean, deviation);

  const drawing = Object.entries(unbiased) as [SamplerName, SamplerSettings][];
  it.each(drawing)("%s draws the mean and the deviation of the data", async (name, options) => {
    const n = 3000;
    const rng = new Rng(11);
    const x = float32(
      rng.normals(2 * n).map((z, i) => mean[i % 2]! + 20 * z),
      [n, 2],
    );
    const sigmas = Float64Array.of(...karrasSigmas(120, 0.01, 20), 0);
    const { data } = await sample(name, gaussian, x, sigmas, { ...options, rng: rng.fork("sampler") });
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
    for (const name of names.filter((n) => !risingSamplers.has(n))) {
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

  it("DPM-Solver++ and UniPC of order 1 without corrector, and TCD at eta 0, are DDIM", async () => {
    const x = float32([3, 1], [1, 2]);
    const sigmas = Float64Array.of(...karrasSigmas(8, 0.1, 4), 0);
    const ddimResult = await sample("ddim", gaussian, x, sigmas);
    const first: readonly (readonly [SamplerName, SamplerSettings])[] = [
      ["dpmpp-2m", { order: 1 }],
      ["dpmpp-2s", { order: 1 }],
      ["deis", { order: 1 }],
      ["unipc", { order: 1, disableCorrector: [0, 1, 2, 3, 4, 5, 6, 7] }],
      ["tcd", { eta: 0 }],
    ];
    for (const [name, options] of first) {
      const { data } = await sample(name, gaussian, x, sigmas, options);
      data.forEach((value, i) => {
        expect(value).toBeCloseTo(ddimResult.data[i]!, 5);
      });
    }
  });

  it("LMS interpolates slopes exactly: of order 3 it integrates a quadratic slope without error", async () => {
    // dx/dσ = σ², so that x̂₀ = x − σ³, and x falls by σ³/3.
    const cubic: Denoiser = async (x, sigma) => float32([x.data[0]! - sigma ** 3], [1, 1]);
    const steps = await all(lms(cubic, float32([9], [1, 1]), Float64Array.of(3, 2.5, 1.5, 1), { order: 3 }));
    const [, , before, after] = [9, ...steps.map(({ x }) => x.data[0]!)];
    expect(after! - before!).toBeCloseTo((1 - 1.5 ** 3) / 3, 5);
  });

  it("DEIS integrates a slope linear in log σ without error", async () => {
    const logarithmic: Denoiser = async (x, sigma) => float32([x.data[0]! - sigma * Math.log(sigma)], [1, 1]);
    const steps = await all(deis(logarithmic, float32([9], [1, 1]), Float64Array.of(3, 2, 1), { lowerOrderFinal: false }));
    const primitive = (s: number): number => s * Math.log(s) - s;
    expect(steps[1]!.x.data[0]! - steps[0]!.x.data[0]!).toBeCloseTo(primitive(1) - primitive(2), 5);
  });

  it("consistency sampling noises x̂₀ up to the next level and ends at x̂₀", async () => {
    const point: Denoiser = async (x) => float32(new Float32Array(x.size).fill(3), x.shape);
    const x = float32(new Float32Array(4000), [1, 4000]);
    const [noised, last] = await all(consistency(point, x, Float64Array.of(5, 2, 0), { rng: new Rng(5) }));
    const variance = noised!.x.data.reduce((sum, value) => sum + (value - 3) ** 2, 0) / 4000;
    expect(Math.abs(Math.sqrt(variance) / 2 - 1)).toBeLessThan(0.04);
    expect(last!.x.data.every((value) => value === 3)).toBe(true);
  });

  it("a latent consistency model is the identity at timestep 0 and x̂₀ far from it", async () => {
    const point: Denoiser = async (x) => float32([3], x.shape);
    const at = async (timestep: number) => {
      const [step] = await all(
        lcm(point, float32([10], [1, 1]), Float64Array.of(2, 0), { timesteps: Float64Array.of(timestep) }),
      );
      return step!.x.data[0]!;
    };
    expect(await at(0)).toBeCloseTo(10 / Math.sqrt(5), 5);
    expect(await at(900)).toBeCloseTo(3, 5);
    // At timestep 0.05, ten times it is the data's deviation: c_skip = ½, c_out = √½.
    expect(await at(0.05)).toBeCloseTo(10 / Math.sqrt(5) / 2 + 3 * Math.SQRT1_2, 5);
  });

  it("inversion and sampling undo one another as the steps grow, from σ = 0 where the denoiser gives ε", async () => {
    const x = float32([1, -0.8], [1, 2]);
    const roundTrip = async (there: SamplerName, back: SamplerName, steps: number) => {
      const falling = karrasSigmas(steps + 1, 0.05, 10);
      const noise = await sample(there, gaussian, x, falling.toReversed());
      const again = await sample(back, gaussian, noise, falling);
      return Math.max(...x.data.map((value, i) => Math.abs(value - again.data[i]!)));
    };
    expect(await roundTrip("ddim-inverse", "ddim", 20)).toBeGreaterThan(4 * (await roundTrip("ddim-inverse", "ddim", 100)));
    expect(await roundTrip("dpmpp-2m-inverse", "dpmpp-2m", 100)).toBeLessThan(2e-3);

    const rising = Float64Array.of(0, 1, 2);
    await expect(sample("ddim-inverse", gaussian, x, rising)).rejects.toThrow(/σ = 0/);
    const half = denoiserFrom.epsilon(async (input) => float32([0.5, 0.5], input.shape), { timestepOf: () => 0 });
    expect([...(await sample("ddim-inverse", half, x, rising)).data]).toEqual([2, expect.closeTo(0.2, 6)]);
  });

  it("DDPM takes a learned variance: as it is, or between log β̃ and log β", async () => {
    const [sigma, next] = [2, 1];
    const noise = { normals: (n: number) => new Float32Array(n).fill(1) };
    const deviationAt = async (
      learned: number | undefined,
      variance: "fixed_small" | "fixed_large" | "learned" | "learned_range",
    ) => {
      const zero: Denoiser = async (x) =>
        Object.assign(float32([0], x.shape), learned === undefined ? {} : { variance: float32([learned], x.shape) });
      const [step] = await all(ddpm(zero, float32([0], [1, 1]), Float64Array.of(sigma, next), { rng: noise, variance }));
      return step!.x.data[0]!;
    };
    const small = await deviationAt(undefined, "fixed_small");
    const large = await deviationAt(undefined, "fixed_large");
    // β̃ = σ'²(σ² − σ'²)/σ² and β = (σ² − σ'²)(1 + σ'²)/(1 + σ²), both over ᾱ'.
    expect(small).toBeCloseTo(Math.sqrt(3 / 4), 6);
    expect(large).toBeCloseTo(Math.sqrt(6 / 5), 6);
    expect(await deviationAt(-1, "learned_range")).toBeCloseTo(small, 6);
    expect(await deviationAt(1, "learned_range")).toBeCloseTo(large, 6);
    expect(await deviationAt(0, "learned_range")).toBeCloseTo(Math.sqrt(small * large), 6);
    expect(await deviationAt(0.25, "learned")).toBeCloseTo(0.5 * Math.SQRT2, 6);
    await expect(deviationAt(undefined, "learned")).rejects.toThrow(TypeError);
  });

  it.each(["euler", "heun"] as const)("%s with churn calls the network at σ̂ and still draws the data", async (name) => {
    const seen: number[] = [];
    const watched: Denoiser = (x, sigma) => {
      seen.push(sigma);
      return gaussian(x, sigma);
    };
    const rng = new Rng(4);
    const n = 3000;
    const x = float32(
      rng.normals(2 * n).map((z, i) => mean[i % 2]! + 20 * z),
      [n, 2],
    );
    const options = { churn: 10, churnRange: [0.1, 10] as const, rng };
    const { data } = await sample(name, watched, x, Float64Array.of(...karrasSigmas(100, 0.01, 20), 0), options);
    expect(seen[0]).toBeCloseTo(20, 9);
    const levels = karrasSigmas(100, 0.01, 20);
    const first = levels.findIndex((sigma) => sigma <= 10);
    expect(seen[name === "euler" ? first : 2 * first]).toBeCloseTo(levels[first]! * 1.1, 9);
    const spread = Math.sqrt(data.reduce((sum, value, i) => sum + (i % 2 === 0 ? (value - 0.5) ** 2 : 0), 0) / n);
    expect(Math.abs(spread / 0.7 - 1)).toBeLessThan(0.06);
    await expect(sample(name, gaussian, x, Float64Array.of(2, 1), { churn: 1 })).rejects.toThrow(/options\.rng/);
  });

  it("a run goes on from a step as it would have gone on itself, where its steps do not look back", async () => {
    const config = { _class_name: "DDIMScheduler", beta_schedule: "scaled_linear", clip_sample: false };
    const plan = scheduleFromConfig(config).plan(12);
    const start = float32([30, -20], [1, 2]);
    const steps = await all(ddim(gaussian, start, plan.sigmas, plan.settings));
    const rest = plan.from(4);
    const again = await all(ddim(gaussian, steps[3]!.x, rest.sigmas, rest.settings));
    expect(again.length).toBe(8);
    again.at(-1)!.x.data.forEach((value, i) => {
      expect(value).toBeCloseTo(steps.at(-1)!.x.data[i]!, 5);
    });
    expect(again[0]!.timestep).toBe(steps[4]!.timestep);
  });

  it("the rest of a singlestep run may start within a block, with fewer calls in it", async () => {
    const sigmas = Float64Array.of(8, 4, 2, 1, 0.5, 0.25);
    const run = (options: SamplerSettings) => sample("dpmpp-2s", gaussian, float32([3, 1], [1, 2]), sigmas, options);
    // Blocks of 1, 2 | 1, 2 | 1, 2 … of 12 steps, of which five are left: the first is the end of a block.
    const within = await run({ totalSteps: 12, lowerOrderFinal: false });
    const [first] = await all(dpmpp2s(gaussian, float32([3, 1], [1, 2]), sigmas.subarray(0, 2), { order: 1 }));
    const rest = await sample("dpmpp-2s", gaussian, first!.x, sigmas.subarray(1), { lowerOrderFinal: false });
    within.data.forEach((value, i) => {
      expect(value).toBeCloseTo(rest.data[i]!, 5);
    });
  });

  it("a few-step generator gets a new latent at every call", async () => {
    const latents: number[] = [];
    const generator: Denoiser = async (x, _, condition) => {
      expect(condition?.z?.shape).toEqual([2, 3]);
      latents.push(Number(condition!.z!.data[0]));
      return x;
    };
    const options = { latent: { name: "z", size: 3 }, rng: new Rng(1) };
    await all(fewStep(generator, float32([1, 2], [2, 1]), Float64Array.of(3, 2, 1, 0), options));
    expect(new Set(latents).size).toBe(3);
  });

  it("repeat a run from the same seed and leave the start unchanged", async () => {
    const x = float32([3, 1], [1, 2]);
    const sigmas = karrasSigmas(6, 0.1, 4);
    const run = (seed: number) => sample("ddpm", gaussian, x, sigmas, { rng: new Rng(seed) });
    expect(await run(1)).toEqual(await run(1));
    expect(await run(1)).not.toEqual(await run(2));
    expect([...x.data]).toEqual([3, 1]);
  });

  it("make one model call a step, Heun and DPM-Solver-2 two but for the last, PLMS two in the first", async () => {
    const sigmas = Float64Array.of(4, 2, 1, 0);
    for (const [sampler, calls] of [
      [euler, 3],
      [ddim, 3],
      [dpmpp2m, 3],
      [heun, 5],
      [dpm2, 5],
      [dpmpp2s, 3],
      [unipc, 3],
      [saSolver, 3],
      [lms, 3],
      [pndm, 4],
    ] as const) {
      let count = 0;
      const counting: Denoiser = (x, sigma) => {
        count++;
        return gaussian(x, sigma);
      };
      await all(sampler(counting, float32([1, 1], [1, 2]), sigmas, { rng: new Rng(1) }));
      expect(count).toBe(calls);
    }
  });

  it("stop before the next model call when told to", async () => {
    for (const name of names) {
      const abort = new AbortController();
      const seen: number[] = [];
      const run = async (): Promise<void> => {
        const options = { signal: abort.signal, rng: new Rng(1) };
        for await (const step of samplers[name](
          gaussian,
          float32([1, 1], [1, 2]),
          along(name, karrasSigmas(9, 0.1, 4)),
          options,
        )) {
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
