import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import {
  alphasCumprod,
  type BetaSchedule,
  betaSigmas,
  betas,
  exponentialSigmas,
  karrasSigmas,
  noiseSchedule,
  rescaleZeroTerminalSnr,
  type SamplerName,
  scheduleFromConfig,
  schedulerClasses,
  spacedTimesteps,
} from "../../../lib/diffusion/index.js";

interface AlphaGolden {
  config: { beta_start?: number; beta_end?: number };
  every50: number[];
  zeroSnrEvery50: number[];
  zeroSnrLast5: number[];
}
const golden = JSON.parse(
  readFileSync(new URL("../../golden/schedulers/alphas-cumprod.json", import.meta.url), "utf8"),
) as Record<BetaSchedule, AlphaGolden>;

const near = (actual: number, expected: number, relative: number): void => {
  expect(Math.abs(actual - expected)).toBeLessThanOrEqual(relative * Math.abs(expected) + 1e-12);
};

describe("alphasCumprod", () => {
  it.each(Object.entries(golden))("equals Diffusers' for %s, also with zero terminal SNR", (schedule, expected) => {
    const { beta_start: start = 0.0001, beta_end: end = 0.02 } = expected.config;
    const beta = betas({ schedule: schedule as BetaSchedule, count: 1000, start, end });
    const plain = alphasCumprod(beta);
    expected.every50.forEach((value, i) => {
      near(plain[Math.min(i * 50, 999)]!, value, 1e-5);
    });
    const rescaled = alphasCumprod(rescaleZeroTerminalSnr(beta));
    expected.zeroSnrEvery50.forEach((value, i) => {
      near(rescaled[i * 50]!, value, 1e-5);
    });
    expected.zeroSnrLast5.forEach((value, i) => {
      near(rescaled[995 + i]!, value, 2e-3);
    });
    expect(rescaled[999]).toBe(0);
  });

  it("of a sigmoid schedule runs between its two betas", () => {
    const beta = betas({ schedule: "sigmoid", count: 11, start: 0.1, end: 0.3 });
    expect(beta[5]).toBeCloseTo(0.2, 7);
    expect(beta[0]).toBeCloseTo(0.1 + 0.2 / (1 + Math.exp(6)), 7);
  });

  it("of an exponential schedule falls by the same factor at every step", () => {
    const bar = alphasCumprod(betas({ schedule: "exp", count: 100, start: 0, end: 0 }));
    near(bar[99]!, Math.exp(-12), 1e-5);
    near(bar[49]!, Math.exp(-6), 1e-5);
  });

  it("of a Laplace schedule has √SNR 1 in the middle", () => {
    const bar = alphasCumprod(betas({ schedule: "laplace", count: 100, start: 0, end: 0 }));
    // √(SNR/(1 + SNR)) with SNR 1000 at time 0 and 1 half way.
    near(bar[49]!, Math.SQRT1_2 / Math.sqrt(1000 / 1001), 1e-5);
  });

  it("refuses a schedule it does not know, by name", () => {
    expect(() => betas({ schedule: "cubic" as never, count: 3, start: 0, end: 1 })).toThrow(/"cubic"/);
  });
});

describe("noiseSchedule", () => {
  const schedule = noiseSchedule(Float64Array.of(0.8, 0.5, 0.1));

  it("has σ² = (1 − ᾱ)/ᾱ", () => {
    expect(Array.from(schedule.sigmas, (s) => s ** 2)).toEqual([expect.closeTo(0.25), expect.closeTo(1), expect.closeTo(9)]);
  });

  it("finds timesteps linearly in log σ and clamps outside", () => {
    expect(schedule.timestepOf(1)).toBeCloseTo(1, 12);
    expect(schedule.timestepOf(Math.sqrt(3))).toBeCloseTo(1.5, 12);
    expect(schedule.timestepOf(100)).toBe(2);
    expect(schedule.timestepOf(1e-9)).toBe(0);
  });

  it("reads σ between timesteps linearly", () => {
    expect(schedule.sigmaAt(1.5)).toBeCloseTo(2, 12);
    expect(schedule.sigmaAt(2)).toBeCloseTo(3, 12);
  });
});

describe("sigma ramps", () => {
  it("include both ends and fall", () => {
    for (const ramp of [karrasSigmas, exponentialSigmas, betaSigmas]) {
      const sigmas = ramp(9, 0.03, 15);
      expect(sigmas[0]).toBeCloseTo(15, 9);
      expect(sigmas[8]).toBeCloseTo(0.03, 9);
      expect(sigmas.every((sigma, i) => i === 0 || sigma < sigmas[i - 1]!)).toBe(true);
    }
  });

  it("have their rule's middle: a geometric mean, a mean of seventh roots, a symmetric half", () => {
    expect(exponentialSigmas(3, 1, 4)[1]).toBeCloseTo(2, 12);
    expect(karrasSigmas(3, 1, 128)[1]).toBeCloseTo(1.5 ** 7, 9);
    expect(betaSigmas(3, 1, 4)[1]).toBeCloseTo(2.5, 9);
  });
});

describe("spacedTimesteps", () => {
  it("spreads 4 of 10 as the paper's table does", () => {
    const spaced = (spacing: "leading" | "trailing" | "linspace", offset = 0) => [
      ...spacedTimesteps(4, { spacing, trained: 10, offset }),
    ];
    expect(spaced("leading")).toEqual([6, 4, 2, 0]);
    expect(spaced("leading", 1)).toEqual([7, 5, 3, 1]);
    expect(spaced("trailing")).toEqual([9, 7, 4, 1]);
    expect(spaced("linspace")).toEqual([9, 6, 3, 0]);
  });

  it("refuses more steps than were trained", () => {
    expect(() => spacedTimesteps(11, { spacing: "leading", trained: 10 })).toThrow(/1…10/);
    expect(() => spacedTimesteps(0, { spacing: "leading", trained: 10 })).toThrow(RangeError);
    expect(() => spacedTimesteps(2, { spacing: "middle" as never, trained: 10 })).toThrow(/"middle"/);
  });
});

describe("noising a picture", () => {
  interface Noised {
    className: string;
    t: number;
    config?: object;
    steps?: number;
    noised: number[];
    velocity?: number[];
  }
  const read = <T>(name: string): T =>
    JSON.parse(readFileSync(new URL(`../../golden/schedulers/${name}.json`, import.meta.url), "utf8")) as T;
  const common = read<{ positions: number[]; input: number[]; noise: number[][] }>("common");
  const x0 = common.positions.map((p) => common.input[p]!);
  const noise = common.noise[0]!;
  const latent = { beta_schedule: "scaled_linear", beta_start: 0.00085, beta_end: 0.012 };

  it.each(read<Noised[]>("add-noise"))(
    "for $className at $t of $steps steps is x₀ + σε",
    ({ className, t, config, ...golden }) => {
      const isFlow = className.startsWith("Flow");
      const schedule = scheduleFromConfig({ _class_name: className, ...(isFlow ? {} : latent), ...config });
      // Pictures are noised half way through runs of ten steps, where Diffusers' sixth step starts.
      const sigma = golden.steps === undefined ? schedule.noise.sigmaAt(t) : schedule.plan(golden.steps).from(5).sigmas[0]!;
      const signal = schedule.plan(10).signal(sigma);
      const scale = /^(Euler|LMS|Heun|KDPM2)/.test(className) ? 1 : signal;
      x0.forEach((value, i) => {
        expect(Math.abs((value + sigma * noise[i]!) * scale - golden.noised[i]!)).toBeLessThan(2e-6 * scale * (1 + sigma));
        if (golden.velocity) expect(Math.abs((noise[i]! - sigma * value) * signal - golden.velocity[i]!)).toBeLessThan(2e-6);
      });
    },
  );
});

describe("schedulerClasses", () => {
  const folder = new URL("../../golden/schedulers/", import.meta.url);
  const files = readdirSync(folder).filter((file) => file.endsWith("Scheduler.json"));

  it.each(files)("have Diffusers' options and defaults: %s", (file) => {
    const { className, defaults } = JSON.parse(readFileSync(new URL(file, folder), "utf8")) as {
      className: string;
      defaults: Record<string, unknown>;
    };
    const infinite = { "-inf": Number.NEGATIVE_INFINITY } as Record<string, unknown>;
    const expected = Object.entries(defaults).map(([name, value]) => [name, infinite[String(value)] ?? value]);
    expect(schedulerClasses[className]!.options).toEqual(Object.fromEntries(expected));
  });
});

describe("scheduleFromConfig", () => {
  const stable = {
    _class_name: "PNDMScheduler",
    beta_schedule: "scaled_linear",
    beta_start: 0.00085,
    beta_end: 0.012,
    steps_offset: 1,
    set_alpha_to_one: false,
  };

  it("runs another sampler on the same training schedule", () => {
    const plan = scheduleFromConfig(stable, "euler").plan(10);
    expect([...plan.timesteps]).toEqual([901, 801, 701, 601, 501, 401, 301, 201, 101, 1]);
    expect(plan.sigmas.at(-1)).toBe(0);
    expect(scheduleFromConfig(stable).sampler).toBe("pndm");
    expect(scheduleFromConfig(stable).plan(10).sigmas.at(-1)).toBe(scheduleFromConfig(stable).noise.sigmas[0]);
  });

  it("gives each planned level its own timestep back", () => {
    const plan = scheduleFromConfig({ ...stable, _class_name: "EulerDiscreteScheduler", timestep_spacing: "linspace" }).plan(7);
    plan.timesteps.forEach((t, i) => {
      expect(plan.timestepOf(plan.sigmas[i]!)).toBe(t);
    });
  });

  it("stays finite with zero terminal SNR", () => {
    const zeroSnr = { ...stable, rescale_betas_zero_snr: true, timestep_spacing: "trailing" };
    const highest = (_class_name: string, sampler?: SamplerName) =>
      scheduleFromConfig({ ...zeroSnr, _class_name }, sampler).plan(5).sigmas[0];
    // Some classes of Diffusers leave 2⁻²⁴ of the signal's variance; the others leave none, here next to none.
    expect(highest("EulerDiscreteScheduler")).toBeCloseTo(4096, 0);
    expect(highest("DDIMScheduler", "euler")).toBeCloseTo(4096, 0);
    expect(highest("DDIMScheduler")).toBeCloseTo(1e7, 0);
  });

  it("reads infinities written as text, and the old name of a network that predicts x₀", () => {
    const solver = { ...stable, _class_name: "DPMSolverMultistepScheduler", lambda_min_clipped: "-inf" };
    expect(scheduleFromConfig(solver).plan(5).timesteps[0]).toBe(999);
    expect(scheduleFromConfig({ ...stable, _class_name: "DDPMScheduler", predict_epsilon: false }).predictionType).toBe("sample");
  });

  it("leaves options of other classes aside, and takes them for another sampler", () => {
    const karras = { ...stable, timestep_spacing: "linspace", use_karras_sigmas: true };
    expect([...scheduleFromConfig(karras).plan(3).timesteps]).toEqual([999, 500, 0]);
    const { sigmas } = scheduleFromConfig(karras, "euler").plan(3);
    expect(sigmas[1]).toBeCloseTo(karrasSigmas(3, sigmas[2]!, sigmas[0]!)[1]!, 9);
  });

  it("shifts a flow by the size of the picture", () => {
    const flux = scheduleFromConfig({ _class_name: "FlowMatchEulerDiscreteScheduler", use_dynamic_shifting: true });
    // Base and largest size are trained with μ = 0.5 and 1.15.
    const small = flux.plan(3, { imageSequenceLength: 256 });
    expect(small.timesteps[1]).toBeCloseTo(1000 * (Math.exp(0.5) / (Math.exp(0.5) + 1 / 0.5005 - 1)), 9);
    expect([...flux.plan(4, { imageSequenceLength: 4096 }).sigmas]).toEqual([...flux.plan(4, { mu: 1.15 }).sigmas]);
    expect(() => flux.plan(3)).toThrow(/imageSequenceLength/);
  });

  it("goes on from a step with what is left of the run", () => {
    const plan = scheduleFromConfig({ ...stable, _class_name: "DDIMScheduler", timestep_spacing: "linspace" }).plan(20);
    const rest = plan.from(12);
    expect([...rest.sigmas]).toEqual([...plan.sigmas.subarray(12)]);
    expect([...rest.timesteps]).toEqual([...plan.timesteps.subarray(12)]);
    expect([...rest.settings.landings!]).toEqual([...plan.settings.landings!.subarray(12)]);
    expect(rest.settings.totalSteps).toBe(20);
    expect(rest.timestepOf(rest.sigmas[1]!)).toBe(rest.timesteps[1]);
    expect(rest.from(2).settings.totalSteps).toBe(20);
    expect(() => plan.from(20)).toThrow(/0…19/);
  });

  it("turns a reversed flow round: the same levels, timesteps from 0 up", () => {
    const config = { _class_name: "FlowMatchEulerDiscreteScheduler", shift: 3 };
    const plan = scheduleFromConfig(config).plan(4);
    const reversed = scheduleFromConfig({ ...config, invert_sigmas: true });
    expect(reversed.predictionType).toBe("reversed_flow_prediction");
    expect([...reversed.plan(4).sigmas]).toEqual([...plan.sigmas]);
    reversed.plan(4).timesteps.forEach((t, i) => {
      expect(t).toBeCloseTo(1000 - plan.timesteps[i]!, 9);
    });
  });

  it("takes the sampler that an option makes of a class", () => {
    const solver = { ...stable, _class_name: "DPMSolverMultistepScheduler", algorithm_type: "sde-dpmsolver++" };
    expect(scheduleFromConfig(solver).sampler).toBe("dpmpp-2m-sde");
    expect(scheduleFromConfig(solver, "dpmpp-2m").plan(5).settings.algorithm).toBeUndefined();
    const flow = { _class_name: "FlowMatchEulerDiscreteScheduler", stochastic_sampling: true };
    expect(scheduleFromConfig(flow).sampler).toBe("consistency");
  });

  it("names what it does not support, and what looks like it", () => {
    const of = (extra: object) => () => scheduleFromConfig({ ...stable, ...extra });
    expect(of({ _class_name: "EulerDiscretScheduler" })).toThrow(/did you mean EulerDiscreteScheduler/);
    expect(of({ _class_name: "constructor" })).toThrow(RangeError);
    expect(of({ toString: 1 })).toThrow(/no scheduler option "toString"/);
    expect(() => scheduleFromConfig(stable, "eulr" as never)).toThrow(/did you mean euler/);
    expect(() => scheduleFromConfig(stable, undefined, { use_karras_sigmas: true })).toThrow(/PNDMScheduler has no option/);
    expect(of({ num_train_timesteps: 1e12 })).toThrow(/1…100000/);
    expect(of({ num_train_timesteps: 10.5 })).toThrow(/whole number/);
    expect(of({ _class_name: "VQDiffusionScheduler" })).toThrow(RangeError);
    expect(of({ timestep_spacin: "leading" })).toThrow(/did you mean timestep_spacing/);
    expect(of({ prediction_type: "score" })).toThrow(/prediction_type/);
    expect(of({ _class_name: "DDPMScheduler", variance_type: "guessed" })).toThrow(/variance_type/);
    expect(of({ _class_name: "DPMSolverMultistepScheduler", algorithm_type: "dpmsolver" })).toThrow(/sigma_min/);
    expect(of({ _class_name: "UniPCMultistepScheduler", solver_p: "x" })).toThrow(/solver_p/);
    expect(of({ beta_start: "small" })).toThrow(TypeError);
    expect(of({ beta_schedule: 3 })).toThrow(TypeError);
    expect(of({ trained_betas: ["a"] })).toThrow(/list of numbers/);
    expect(() => scheduleFromConfig(stable).plan(0)).toThrow(RangeError);
    expect(() => scheduleFromConfig(stable).plan([10, 20])).toThrow(/falling/);
    const lcm = scheduleFromConfig({ ...stable, _class_name: "LCMScheduler" });
    expect(() => lcm.plan(51)).toThrow(/1…50/);
    expect(() => lcm.plan(6, { strength: 0.1 })).toThrow(/strength 0.1 leaves 5 of 50 levels/);
  });
});
