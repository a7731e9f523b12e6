import { readdirSync, readFileSync } from "node:fs";
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
  set_timesteps: { num_inference_steps?: number; timesteps?: number[]; sigmas?: number[]; mu?: number };
  step_kwargs: { eta?: number; order?: number };
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

const folder = new URL("../../golden/schedulers/", import.meta.url);
const load = <T>(name: string): T => JSON.parse(readFileSync(new URL(`${name}.json`, folder), "utf8")) as T;

const { positions, input, noise } = load<{ positions: number[]; input: number[]; noise: number[][] }>("common");
const classNames = readdirSync(folder).flatMap((file) => (file.endsWith("Scheduler.json") ? [file.slice(0, -5)] : []));

/** Classes whose state in Diffusers is x₀ + σε; that of the others is the training process's own. */
const explodes = /^(EulerDiscrete|EulerAncestral|Heun|LMS|KDPM2|EDM|Cosine|CM)/;

/** Model calls that Diffusers lists as steps of their own: which of its entries each of our steps starts and ends with. */
function entries(className: string, calls: number): { starts: number[]; ends: number[] } {
  const all = Array.from({ length: calls }, (_, i) => i);
  const last = calls - 1;
  if (/^(Heun|FlowMatchHeun)/.test(className)) {
    return { starts: all.filter((i) => i === 0 || i % 2 === 1), ends: all.filter((i) => i % 2 === 1 || i === last) };
  }
  if (className.startsWith("KDPM2")) {
    return { starts: all.filter((i) => i % 2 === 0), ends: all.filter((i) => i % 2 === 1 || i === last) };
  }
  if (className === "PNDMScheduler" && calls > 1) {
    return { starts: all.filter((i) => i !== 1), ends: all.filter((i) => i !== 0) };
  }
  return { starts: all, ends: all };
}

/**
 * What the reference's own float32 arithmetic leaves uncertain: DEIS starts with e^(λ'−λ)·ε̂, and λ = −log σ is known to
 * 2⁻²⁴ of itself. It matters for the cosine schedule, whose first step falls from σ = 20291 to 16.
 */
function referenceUncertainty(className: string, sigmas: Float64Array): number {
  if (className !== "DEISMultistepScheduler") return 0;
  const [from, to] = sigmas as unknown as [number, number];
  return (Math.abs(Math.log(from)) + Math.abs(Math.log(to))) * 2 ** -24 * (from / to);
}

/** The stand-in for a network that the reference runs used. */
const standIn: Predictor = async (x, t) =>
  new Tensor(
    "float32",
    x.data.map((value) => 0.3 * value + 0.1 * Math.sin(t / 100)),
    x.shape,
  );

it("all 172 trajectories of 25 classes are here", () => {
  expect(classNames.length).toBe(25);
  expect(classNames.reduce((n, name) => n + load<Golden>(name).cases.length, 0)).toBe(172);
});

describe.each(classNames)("%s", (name) => {
  const { className, cases } = load<Golden>(name);

  it.each(cases)("follows Diffusers' trajectory: $id", async (golden) => {
    const { num_inference_steps: count, timesteps: custom, ...run } = golden.set_timesteps;
    const schedule = scheduleFromConfig({ _class_name: className, ...golden.config });
    const plan = schedule.plan(custom ?? count ?? run.sigmas!.length, run);
    const toState = explodes.test(className) ? () => 1 : plan.signal;

    const { starts, ends } = entries(className, golden.timesteps.length);
    expect(plan.timesteps.length).toBe(starts.length);
    starts.forEach((entry, i) => {
      expect(Math.abs(plan.timesteps[i]! - golden.timesteps[entry]!)).toBeLessThan(2e-3);
    });
    if (golden.sigmas?.length === plan.sigmas.length) {
      golden.sigmas.forEach((sigma, i) => {
        // Flows are told by the share of noise, σ/(1+σ).
        const isFlow = className.startsWith("Flow") || golden.config.use_flow_sigmas === true;
        const planned = isFlow ? plan.sigmas[i]! / (1 + plan.sigmas[i]!) : plan.sigmas[i]!;
        expect(Math.abs(planned - sigma)).toBeLessThanOrEqual(1e-5 * sigma);
      });
    }
    expect(Math.abs((plan.initialScale * toState(plan.sigmas[0]!)) / golden.init_noise_sigma - 1)).toBeLessThan(1e-5);

    // Dynamic thresholding looks at all pixels, every other rule works on each alone: run the traced ones.
    const usesAll = golden.config.thresholding === true;
    const traced = usesAll ? positions : positions.map((_, i) => i);
    const start = float32(
      (usesAll ? input : positions.map((p) => input[p]!)).map((value) => value * plan.initialScale),
      usesAll ? [1, 256] : [1, 8],
    );
    let step = 0;
    const denoiser = denoiserFrom[schedule.predictionType](standIn, plan);
    const steps = samplers[schedule.sampler](denoiser, start, plan.sigmas, {
      ...plan.settings,
      ...golden.step_kwargs,
      rng: { normals: () => Float32Array.from(noise[step]!) },
    });

    const tolerance = 1e-5 * (1 + golden.rel_sensitivity) + referenceUncertainty(className, plan.sigmas);
    let worst = 0;
    for await (const { index, x, sigmaNext } of steps) {
      const reference = golden.x[ends[index]!]!;
      const scale = index === ends.length - 1 ? golden.maxFinal : Math.max(...reference.map(Math.abs));
      traced.forEach((position, i) => {
        const error = Math.abs(x.data[position]! * toState(sigmaNext) - reference[i]!) / scale;
        worst = Math.max(worst, error);
      });
      step = index + 1;
    }
    expect(step).toBe(starts.length);
    if (process.env.SHOW) console.log(name, golden.id, worst.toExponential(2), tolerance.toExponential(2));
    expect(worst).toBeLessThanOrEqual(tolerance);
  });
});
