import { expect, it } from "vitest";
import { denoiserFrom, type Predictor, samplers, scheduleFromConfig, schedulerClasses } from "../../../lib/diffusion/index.js";
import { float32, Rng, Tensor } from "../../../lib/tensor/index.js";

/** Values that change how a run goes, for options by name. */
const values: Readonly<Record<string, readonly unknown[]>> = {
  beta_schedule: ["linear", "scaled_linear", "squaredcos_cap_v2", "sigmoid"],
  prediction_type: ["epsilon", "v_prediction", "sample"],
  timestep_spacing: ["linspace", "leading", "trailing"],
  steps_offset: [0, 1],
  rescale_betas_zero_snr: [true, false],
  set_alpha_to_one: [true, false],
  clip_sample: [true, false],
  thresholding: [true, false],
  use_karras_sigmas: [true, false],
  use_exponential_sigmas: [true, false],
  use_beta_sigmas: [true, false],
  use_lu_lambdas: [true, false],
  final_sigmas_type: ["zero", "sigma_min"],
  interpolation_type: ["linear", "log_linear"],
  solver_order: [1, 2, 3],
  solver_type: ["midpoint", "heun", "bh1", "bh2"],
  lower_order_final: [true, false],
  euler_at_final: [true, false],
  predict_x0: [true, false],
  predictor_order: [1, 2, 3],
  corrector_order: [0, 1, 2, 3],
  skip_prk_steps: [true, false],
  variance_type: ["fixed_small", "fixed_large"],
  lambda_min_clipped: ["-inf", -5.1],
  shift: [1, 3],
  shift_terminal: [null, 0.1],
  stochastic_sampling: [true, false],
  invert_sigmas: [true, false],
  sigma_schedule: ["karras", "exponential"],
};

/** A network that is neither exact nor wild. */
const model: Predictor = async (x, t) =>
  new Tensor(
    "float32",
    x.data.map((value) => 0.3 * value + 0.1 * Math.sin(t / 100)),
    x.shape,
  );

/** The score of standard normal data at σ = t. */
const score: Predictor = async (x, t) =>
  new Tensor(
    "float32",
    x.data.map((value) => -value / (1 + t * t)),
    x.shape,
  );

it("300 random configurations of all classes give finite levels and runs", async () => {
  const rng = new Rng(20);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(rng.uniform() * list.length)]!;
  const classNames = Object.keys(schedulerClasses);
  for (let trial = 0; trial < 300; trial++) {
    const className = classNames[trial % classNames.length]!;
    const own = Object.keys(schedulerClasses[className]!.options).filter((name) => name in values);
    const config = Object.fromEntries(own.filter(() => rng.uniform() < 0.5).map((name) => [name, pick(values[name]!)]));
    if (/^(EDM|Cosine)/.test(className) && config.prediction_type === "sample") delete config.prediction_type;
    // From σ = 0, x̂₀ tells no ε: Diffusers divides by 0, this library refuses.
    if (className === "DDIMInverseScheduler" && config.prediction_type === "sample") config.set_alpha_to_one = false;
    const steps = 1 + Math.floor(rng.uniform() * 24);
    const shown = `${className} ${JSON.stringify(config)}, ${steps} steps`;
    const schedule = scheduleFromConfig({ _class_name: className, ...config });
    const plan = schedule.plan(steps);
    const start = float32(
      rng.normals(6).map((z) => z * plan.initialScale),
      [1, 6],
    );
    const denoiser = denoiserFrom[schedule.predictionType](schedule.predictionType === "score" ? score : model, plan);
    let taken = 0;
    for await (const { x, sigmaNext } of samplers[schedule.sampler](denoiser, start, plan.sigmas, {
      ...plan.settings,
      rng,
    })) {
      taken++;
      const states = [...x.data].map((value) => value * plan.signal(sigmaNext));
      if (!states.every(Number.isFinite)) throw new Error(`${shown}: step ${taken} gave ${states.join(", ")}`);
    }
    expect(taken, shown).toBe(plan.timesteps.length);
  }
});
