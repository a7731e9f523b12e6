import { join } from "node:path";
import { alphasCumprod, betas } from "../../../lib/diffusion/schedules/index.js";
import { clipText, unet2dCondition } from "../../../lib/program/index.js";
import { float32, int64, Rng, readSafetensors, type Tensor, writeSafetensors } from "../../../lib/tensor/index.js";
import { adamw, cooldownRate, mseLoss, type StepFeeds, type TrainingSpec, withWarmup } from "../../../lib/train/index.js";
import { captionOf } from "../caption.js";
import { schedulerConfig, textConfig, unetConfig } from "../config.js";
import { exampleAt, shapesTokenizer } from "../dataset.js";
import { type Recipe, trainLogged } from "./harness.js";
import { encodeScenes, type LatentSet, scalingFactor } from "./latents.js";

const batch = 32;
const steps = 27_000;
/** The learning rate stays high, then falls to zero over the last steps (arXiv:2405.18392). */
const cooldown = 5500;
const sceneCount = 48_000;
const sceneSeed = 21;
/** Share of captions replaced by the empty one, for classifier-free guidance (arXiv:2207.12598). */
const dropout = 0.1;

export const spec: TrainingSpec = {
  inputs: {
    noisy: { dtype: "float32", shape: [batch, 4, 16, 16] },
    velocity: { dtype: "float32", shape: [batch, 4, 16, 16] },
    timesteps: { dtype: "int64", shape: [batch] },
    tokens: { dtype: "int64", shape: [batch, textConfig.max_position_embeddings] },
  },
  optimizer: adamw({ beta2: 0.99, weightDecay: 0.01 }),
  clipNorm: 1,
  emaDecay: 0.999,
  stepsPerRun: 1,
  loss(g, { noisy, velocity, timesteps, tokens }) {
    const { lastHiddenState } = g.scope("text_encoder", () => clipText(g, textConfig, tokens!));
    const predicted = g.scope("unet", () => unet2dCondition(g, unetConfig, noisy!, timesteps!, lastHiddenState));
    return { loss: mseLoss(g, predicted, velocity!) };
  },
};

/**
 * The timestep below which a share `u` of the trained ones lies: half of them anywhere, half where shapes take form,
 * between signal that is plain and signal that is lost (after arXiv:2403.03206, which samples the middle more often).
 * A batch takes one from each of its equal parts of 0…1: the same distribution, less variance.
 */
function timestepAt(u: number): number {
  const [low, high, count] = [200, 700, 1000];
  const [before, middle] = [(0.5 * low) / count, (0.5 * (high - low)) / count + 0.5];
  if (u < before) return Math.floor((u / before) * low);
  if (u < before + middle) return Math.floor(low + ((u - before) / middle) * (high - low));
  return Math.floor(high + ((u - before - middle) / (1 - before - middle)) * (count - high));
}

/**
 * Step `step`'s data: scenes picked at random, fresh captions, fresh noise; all from the step's own random stream.
 * The target is v = √ᾱ·ε − √(1−ᾱ)·x₀ (arXiv:2202.00512), which asks for the picture where there is nothing but noise:
 * there the prompt alone decides.
 */
async function stepData(set: LatentSet, scale: number, alphaBar: Float64Array, step: number): Promise<StepFeeds> {
  const rng = new Rng([31, step]);
  const n = 1024;
  const noise = rng.normals(batch * n);
  const posterior = rng.normals(batch * n);
  const noisy = new Float32Array(batch * n);
  const velocity = new Float32Array(batch * n);
  const timesteps: number[] = [];
  const captions: string[] = [];
  for (let i = 0; i < batch; i++) {
    const index = rng.int(sceneCount);
    const t = timestepAt((i + rng.uniform()) / batch);
    const alpha = Math.sqrt(alphaBar[t]!);
    const sigma = Math.sqrt(1 - alphaBar[t]!);
    for (let j = 0; j < n; j++) {
      const at = index * n + j;
      const latent = scale * (set.mean.data[at]! + set.deviation.data[at]! * posterior[i * n + j]!);
      noisy[i * n + j] = alpha * latent + sigma * noise[i * n + j]!;
      velocity[i * n + j] = alpha * noise[i * n + j]! - sigma * latent;
    }
    timesteps.push(t);
    captions.push(rng.uniform() < dropout ? "" : captionOf(exampleAt(sceneSeed, index).scene, rng.fork(i)));
  }
  const tokenizer = await shapesTokenizer();
  return {
    noisy: float32(noisy, [batch, 4, 16, 16]),
    velocity: float32(velocity, [batch, 4, 16, 16]),
    timesteps: int64(timesteps),
    tokens: tokenizer.encodeBatch(captions),
  };
}

export const unetRecipe: Recipe = {
  name: "unet",
  about: "text encoder and U-Net, trained together on latents to predict v",
  async run(options) {
    const { checkpoints } = options;
    const vae = readSafetensors(join(checkpoints, "vae.weights.safetensors")).tensors;
    const set = await encodeScenes(vae, sceneSeed, sceneCount, join(checkpoints, "latents.safetensors"), options);
    const scale = scalingFactor(set);
    const alphaBar = alphasCumprod(
      betas({
        schedule: schedulerConfig.beta_schedule,
        count: 1000,
        start: schedulerConfig.beta_start,
        end: schedulerConfig.beta_end,
      }),
    );
    const trainer = await trainLogged(options, "unet", spec, {
      seed: 41,
      steps,
      learningRate: withWarmup(100, cooldownRate(1e-3, steps, cooldown)),
      checkpoint: join(checkpoints, "unet.safetensors"),
      checkpointEvery: 200,
      logEvery: 50,
      batch: (step) => stepData(set, scale, alphaBar, step),
    });
    const weights: Record<string, Tensor> = await trainer.weights("ema");
    await trainer.close();
    await writeSafetensors(join(checkpoints, "unet.weights.safetensors"), weights, { scalingFactor: String(scale) });
  },
};
