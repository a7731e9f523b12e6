import { existsSync } from "node:fs";
import { join } from "node:path";
import { vaeDecoder, vaeEncoder } from "../../../lib/program/index.js";
import { float32, Rng, readSafetensors, type Tensor, writeSafetensors } from "../../../lib/tensor/index.js";
import {
  adamw,
  cosineRate,
  gaussianKl,
  mseLoss,
  type StepFeeds,
  type TrainingSpec,
  withWarmup,
} from "../../../lib/train/index.js";
import { vaeConfig } from "../config.js";
import { sceneBatch } from "../dataset.js";
import { type Recipe, trainLogged } from "./harness.js";

interface Phase {
  readonly name: string;
  /** Side of the pictures, pixels. */
  readonly size: number;
  readonly batch: number;
  readonly steps: number;
  readonly learningRate: number;
  /** Learning rate at the end. */
  readonly final: number;
  readonly decoderOnly?: boolean;
}

/**
 * First on crops, which cost a quarter, then on whole pictures, briefly and at length; at last the decoder alone, so that
 * latents stay what the U-Net knows.
 */
const phases: readonly Phase[] = [
  { name: "vae-crops", size: 32, batch: 32, steps: 800, learningRate: 3e-3, final: 5e-4 },
  { name: "vae-short", size: 64, batch: 16, steps: 500, learningRate: 1e-3, final: 0 },
  { name: "vae-long", size: 64, batch: 16, steps: 2200, learningRate: 2e-3, final: 0 },
  { name: "vae", size: 64, batch: 16, steps: 1500, learningRate: 1e-3, final: 0, decoderOnly: true },
];

/** Weight of the KL term, per latent element against per-pixel squared error. */
const klWeight = 1e-4;

/** Whether a weight decides what latents are. */
export function isOfEncoder(name: string): boolean {
  return /^(encoder|quant_conv)\./.test(name);
}

function spec({ size, batch, decoderOnly = false }: Phase, weights: Readonly<Record<string, Tensor>>): TrainingSpec {
  const latent = size / 4;
  return {
    ...(decoderOnly ? { frozen: Object.fromEntries(Object.entries(weights).filter(([name]) => isOfEncoder(name))) } : {}),
    inputs: {
      images: { dtype: "float32", shape: [batch, 3, size, size] },
      noise: { dtype: "float32", shape: [batch, vaeConfig.latent_channels, latent, latent] },
    },
    optimizer: adamw({ beta2: 0.99 }),
    clipNorm: 1,
    emaDecay: 0.995,
    loss(g, { images, noise }) {
      const config = { ...vaeConfig, sample_size: size };
      const [mean, logVariance] = vaeEncoder(g, config, images!).split(1, [4, 4]);
      const latents = mean!.add(logVariance!.mul(0.5).exp().mul(noise!));
      const mse = mseLoss(g, vaeDecoder(g, config, latents), images!);
      const kl = gaussianKl(mean!, logVariance!);
      return { loss: mse.add(kl.mul(klWeight)), metrics: { mse, kl } };
    },
  };
}

/** Random squares of the pictures [n, 3, 64, 64] → [n, 3, size, size]. */
function crop(images: Tensor<"float32">, size: number, rng: Rng): Tensor<"float32"> {
  const [n, , height, width] = images.shape as [number, number, number, number];
  if (size === width) return images;
  const out = new Float32Array(n * 3 * size * size);
  for (let i = 0; i < n; i++) {
    const top = rng.int(height - size + 1);
    const left = rng.int(width - size + 1);
    for (let c = 0; c < 3; c++)
      for (let y = 0; y < size; y++) {
        const from = ((i * 3 + c) * height + top + y) * width + left;
        out.set(images.data.subarray(from, from + size), ((i * 3 + c) * size + y) * size);
      }
  }
  return float32(out, [n, 3, size, size]);
}

export const vaeRecipe: Recipe = {
  name: "vae",
  about: "autoencoder 64×64×3 ↔ 16×16×4",
  async run(options) {
    const { checkpoints } = options;
    let weights: Record<string, Tensor> = {};
    for (const [index, phase] of phases.entries()) {
      const finished = join(checkpoints, `${phase.name}.weights.safetensors`);
      if (existsSync(finished)) {
        weights = { ...readSafetensors(finished).tensors };
        continue;
      }
      const trainer = await trainLogged(options, phase.name, spec(phase, weights), {
        seed: 11,
        weights,
        steps: phase.steps,
        learningRate: withWarmup(50, cosineRate(phase.learningRate, phase.steps, phase.final)),
        checkpoint: join(checkpoints, `${phase.name}.safetensors`),
        checkpointEvery: 100,
        async batch(step): Promise<StepFeeds> {
          const { images } = await sceneBatch(101 + index, step, phase.batch);
          const rng = new Rng([11, index, step]);
          const latent = phase.size / 4;
          return {
            images: crop(images, phase.size, rng),
            noise: float32(rng.normals(phase.batch * 4 * latent * latent), [phase.batch, 4, latent, latent]),
          };
        },
      });
      weights = await trainer.weights("ema");
      await trainer.close();
      await writeSafetensors(finished, weights);
    }
  },
};
