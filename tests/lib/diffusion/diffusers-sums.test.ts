import { expect, it } from "vitest";
import {
  denoiserFrom,
  type Predictor,
  type SamplerSettings,
  type SchedulerConfig,
  samplers,
  scheduleFromConfig,
} from "../../../lib/diffusion/index.js";
import { Tensor, TorchGenerator } from "../../../lib/tensor/index.js";

/** Numbers 0…1 as Diffusers' scheduler tests lay them out: arange(768).reshape(3, 8, 8, 4)/768, the last axis first. */
const sample = new Tensor(
  "float32",
  Float32Array.from({ length: 768 }, (_, i) => ((i % 192) * 4 + Math.floor(i / 192)) / 768),
  [4, 3, 8, 8],
);
const model: Predictor = async (x, t) =>
  new Tensor(
    "float32",
    x.data.map((value) => (value * t) / (t + 1)),
    x.shape,
  );

const trained = { num_train_timesteps: 1000, beta_start: 0.0001, beta_end: 0.02, beta_schedule: "linear" };
const latent = { ...trained, beta_start: 0.00085, beta_end: 0.012, beta_schedule: "scaled_linear" };
const toLowest = { solver_order: 2, final_sigmas_type: "sigma_min" };

interface Loop {
  readonly of: string;
  readonly config: SchedulerConfig;
  readonly steps: number;
  /** Σ|x| of the result, as printed in Diffusers' tests; where they print the mean, with as many digits as it has. */
  readonly sum: number;
  readonly digits?: number;
}

it.each<Loop>([
  { of: "DDIMScheduler", config: trained, steps: 10, sum: 172.0067 },
  { of: "DDIMScheduler", config: { ...trained, prediction_type: "v_prediction" }, steps: 10, sum: 52.5302 },
  { of: "DDIMScheduler", config: { ...trained, beta_start: 0.01 }, steps: 10, sum: 149.8295 },
  { of: "DDIMScheduler", config: { ...trained, beta_start: 0.01, set_alpha_to_one: false }, steps: 10, sum: 149.0784 },
  // From data itself, σ = 0, up.
  { of: "DDIMInverseScheduler", config: trained, steps: 10, sum: 671.6816 },
  { of: "DDIMInverseScheduler", config: { ...trained, prediction_type: "v_prediction" }, steps: 10, sum: 1394.2185 },
  // A thousand draws of torch.manual_seed(0)'s noise.
  { of: "DDPMScheduler", config: trained, steps: 1000, sum: 258.9606 },
  { of: "DDPMScheduler", config: { ...trained, prediction_type: "v_prediction" }, steps: 1000, sum: 202.0296 },
  // With Runge–Kutta steps first.
  { of: "PNDMScheduler", config: trained, steps: 10, sum: 198.1318 },
  { of: "DEISMultistepScheduler", config: trained, steps: 10, sum: 768 * 0.23916, digits: 5 },
  {
    of: "DPMSolverMultistepScheduler",
    config: { ...trained, ...toLowest, lower_order_final: false },
    steps: 10,
    sum: 768 * 0.3301,
    digits: 4,
  },
  { of: "DPMSolverSinglestepScheduler", config: { ...trained, ...toLowest }, steps: 10, sum: 768 * 0.2791, digits: 4 },
  { of: "UniPCMultistepScheduler", config: { ...trained, ...toLowest }, steps: 10, sum: 768 * 0.2464, digits: 4 },
  { of: "LCMScheduler", config: latent, steps: 1, sum: 18.7097 },
  { of: "LCMScheduler", config: latent, steps: 10, sum: 197.7616 },
  { of: "CMStochasticIterativeScheduler", config: { num_train_timesteps: 201 }, steps: 1, sum: 192.7614 },
  { of: "EDMEulerScheduler", config: { num_train_timesteps: 256 }, steps: 10, sum: 34.1855 },
])("$of in Diffusers' own test loop ends at Σ|x| = $sum", async ({ of, config, steps, sum, digits }) => {
  const schedule = scheduleFromConfig({ _class_name: of, ...config });
  const plan = schedule.plan(steps);
  const start = new Tensor(
    "float32",
    sample.data.map((value) => value * plan.initialScale),
    sample.shape,
  );
  const torch = new TorchGenerator(0);
  const settings: SamplerSettings = { ...plan.settings, rng: { normals: (n) => torch.randn([n]).data } };
  const denoiser = denoiserFrom[schedule.predictionType](model, plan);
  let total = 0;
  for await (const { x, sigmaNext } of samplers[schedule.sampler](denoiser, start, plan.sigmas, settings)) {
    total = x.data.reduce((a, b) => a + Math.abs(b), 0) * plan.signal(sigmaNext);
  }
  expect(Math.abs(total - sum)).toBeLessThan(1e-5 * sum + (digits === undefined ? 0 : 768 * 0.5 * 10 ** -digits));
});
