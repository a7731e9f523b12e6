import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import {
  denoiserFrom,
  type Predictor,
  type SchedulerConfig,
  samplers,
  scheduleFromConfig,
} from "../../../lib/diffusion/index.js";
import { float32, Tensor } from "../../../lib/tensor/index.js";

interface Case {
  id: string;
  config: SchedulerConfig;
  set_timesteps: { num_inference_steps?: number; timesteps?: number[] };
  step_kwargs: { eta?: number };
  rel_sensitivity: number;
  init_noise_sigma: number;
  timesteps: number[];
  sigmas?: number[];
  maxFinal: number;
  x: number[][];
}
interface Golden {
  className: string;
  cases: Case[];
}

const load = <T>(name: string): T =>
  JSON.parse(readFileSync(new URL(`../../golden/schedulers/${name}.json`, import.meta.url), "utf8")) as T;

const { positions, input, noise } = load<{ positions: number[]; input: number[]; noise: number[][] }>("common");

/** Classes whose state is x / √(1+σ²) in Diffusers. */
const isVariancePreserving = (className: string): boolean => /DDIM|DDPM|DPMSolver/.test(className);

/** The stand-in for a network that the reference runs used. */
const standIn: Predictor = async (x, t) =>
  new Tensor(
    "float32",
    x.data.map((value) => 0.3 * value + 0.1 * Math.sin(t / 100)),
    x.shape,
  );

describe.each([
  "DDIMScheduler",
  "DDPMScheduler",
  "EulerDiscreteScheduler",
  "EulerAncestralDiscreteScheduler",
  "HeunDiscreteScheduler",
  "DPMSolverMultistepScheduler",
])("%s", (name) => {
  const { className, cases } = load<Golden>(name);

  it.each(cases)("follows Diffusers' trajectory: $id", async (golden) => {
    const schedule = scheduleFromConfig({ _class_name: className, ...golden.config });
    const plan = schedule.plan(golden.set_timesteps.timesteps ?? golden.set_timesteps.num_inference_steps!);
    const toState = isVariancePreserving(className) ? (sigma: number) => Math.sqrt(1 + sigma ** 2) : () => 1;
    const isHeun = className === "HeunDiscreteScheduler";

    const everyOther = <T>(values: T[]): T[] => (isHeun ? values.filter((_, i) => i === 0 || i % 2 === 1) : values);
    const timesteps = everyOther(golden.timesteps);
    expect(plan.timesteps.length).toBe(timesteps.length);
    timesteps.forEach((t, i) => {
      expect(Math.abs(plan.timesteps[i]! - t)).toBeLessThan(2e-3);
    });
    if (golden.sigmas) {
      const sigmas = isHeun ? [...everyOther(golden.sigmas.slice(0, -1)), 0] : golden.sigmas;
      sigmas.forEach((sigma, i) => {
        expect(Math.abs(plan.sigmas[i]! - sigma)).toBeLessThanOrEqual(1e-5 * sigma);
      });
    }
    expect(Math.abs(plan.initialScale / toState(plan.sigmas[0]!) / golden.init_noise_sigma - 1)).toBeLessThan(1e-5);

    // Dynamic thresholding looks at all pixels, every other rule works on each alone: run the traced ones.
    const usesAll = golden.config.thresholding === true;
    const traced = usesAll ? positions : positions.map((_, i) => i);
    const start = float32(
      (usesAll ? input : positions.map((p) => input[p]!)).map((value) => value * plan.initialScale),
      usesAll ? [1, 256] : [1, 8],
    );
    const rows = noise.map((row) => Float32Array.from(row)).values();
    const denoiser = denoiserFrom[schedule.predictionType](standIn, plan);
    const steps = samplers[schedule.sampler](denoiser, start, plan.sigmas, {
      ...plan.settings,
      ...golden.step_kwargs,
      rng: { normals: () => rows.next().value! },
    });

    const tolerance = 1e-5 * (1 + golden.rel_sensitivity);
    const expected = isHeun ? golden.x.filter((_, i) => i % 2 === 1 || i === golden.x.length - 1) : golden.x;
    let worst = 0;
    for await (const { index, x, sigmaNext } of steps) {
      const reference = expected[index]!;
      const scale = index === expected.length - 1 ? golden.maxFinal : Math.max(...reference.map(Math.abs));
      traced.forEach((position, i) => {
        const error = Math.abs(x.data[position]! / toState(sigmaNext) - reference[i]!) / scale;
        worst = Math.max(worst, error);
      });
    }
    if (process.env.SHOW) console.log(name, golden.id, worst.toExponential(2), tolerance.toExponential(2));
    expect(worst).toBeLessThanOrEqual(tolerance);
  });
});
