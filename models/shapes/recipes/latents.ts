import { existsSync } from "node:fs";
import { GraphBuilder, vaeEncoder } from "../../../lib/program/index.js";
import { openSession } from "../../../lib/runtime/index.js";
import { float32, readSafetensors, type Tensor, writeSafetensors } from "../../../lib/tensor/index.js";
import { digestOf } from "../../../lib/train/index.js";
import { vaeConfig } from "../config.js";
import { sceneBatch } from "../dataset.js";
import type { RecipeOptions } from "./harness.js";
import { isOfEncoder } from "./vae.js";

/** Encoded training scenes: mean and standard deviation of each latent's Gaussian, float32 [n, 4, 16, 16]. */
export interface LatentSet {
  readonly mean: Tensor<"float32">;
  readonly deviation: Tensor<"float32">;
}

const encodeBatch = 32;

/** Encodes scenes 0…count−1 of the stream `seed`, once: the result is kept in `cache`. */
export async function encodeScenes(
  weights: Readonly<Record<string, Tensor>>,
  seed: number,
  count: number,
  cache: string,
  { signal, threads }: Pick<RecipeOptions, "signal" | "threads"> = {},
): Promise<LatentSet> {
  // latents of another encoder, or of other scenes, must not be taken for these
  const encoder = Object.fromEntries(Object.entries(weights).filter(([name]) => isOfEncoder(name)));
  const origin = `${seed} ${count} ${digestOf(encoder)}`;
  if (existsSync(cache)) {
    const { tensors, metadata } = readSafetensors(cache);
    const { mean, deviation } = tensors as Record<string, Tensor<"float32">>;
    if (metadata.origin === origin) return { mean: mean!, deviation: deviation! };
  }
  const g = new GraphBuilder({ name: "vae_encoder" });
  const parameters = vaeEncoder(g, vaeConfig, g.input("sample", "float32", [encodeBatch, 3, 64, 64]));
  g.output(parameters, "latent_parameters");
  await using session = await openSession(g.model({ weights }), threads === undefined ? {} : { threads });
  const latent = 4 * 16 * 16;
  const mean = new Float32Array(count * latent);
  const deviation = new Float32Array(count * latent);
  let next = sceneBatch(seed, 0, encodeBatch);
  for (let done = 0; done < count; done += encodeBatch) {
    signal?.throwIfAborted();
    const { images } = await next;
    const running = session.run({ sample: images });
    next = sceneBatch(seed, done / encodeBatch + 1, encodeBatch);
    const { latent_parameters: out } = await running;
    const data = (out as Tensor<"float32">).data;
    for (let i = 0; i < Math.min(encodeBatch, count - done); i++) {
      mean.set(data.subarray(2 * i * latent, (2 * i + 1) * latent), (done + i) * latent);
      for (let j = 0; j < latent; j++)
        deviation[(done + i) * latent + j] = Math.exp(0.5 * Math.min(Math.max(data[(2 * i + 1) * latent + j]!, -30), 20));
    }
    if ((done / encodeBatch) % 50 === 0) process.stderr.write(`encoding scenes ${done}/${count}\n`);
  }
  await next;
  const set = { mean: float32(mean, [count, 4, 16, 16]), deviation: float32(deviation, [count, 4, 16, 16]) };
  await writeSafetensors(cache, set, { origin });
  return set;
}

/** 1/standard deviation of all latents: what Stable Diffusion calls the scaling factor. */
export function scalingFactor({ mean, deviation }: LatentSet): number {
  let sum = 0;
  let squares = 0;
  for (let i = 0; i < mean.size; i++) {
    sum += mean.data[i]!;
    squares += mean.data[i]! ** 2 + deviation.data[i]! ** 2;
  }
  const average = sum / mean.size;
  return 1 / Math.sqrt(squares / mean.size - average * average);
}
