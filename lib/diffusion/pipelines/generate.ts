import { environment } from "../../runtime/index.js";
import { Tensor, TorchGenerator, tensorDigest } from "../../tensor/index.js";
import { denoiserFrom } from "../adapters.js";
import { concatRows, joined, stacked } from "../batches.js";
import { samplers } from "../samplers/index.js";
import { scheduleFromConfig } from "../schedules/index.js";
import type { GenerateOptions } from "./generate-options.js";
import { Generation, type GenerationItem } from "./generation.js";
import type { Pipeline } from "./pipeline.js";
import { picturesFromPixels } from "./pixels.js";
import { WatchedNetwork } from "./watched-network.js";

/** Prompts to pictures; see `Pipeline.generate`. */
export async function generate(
  pipe: Pipeline,
  prompt: string | readonly string[],
  options: GenerateOptions,
): Promise<Generation> {
  const { guidanceScale = 7.5, guidanceRescale = 0, eta, capture = [], batchSize = 8, signal } = options;
  const items = itemsOf(pipe, prompt, options);
  const schedule = scheduleFromConfig(pipe.schedulerConfig, options.sampler, options.scheduler);
  const plan = schedule.plan(options.steps ?? 20);
  const steps = plan.timesteps.length;
  const edits = [...pipe.edits, ...(options.edits ?? [])];
  // Patterns that name nothing show here, before any work is done.
  const device = await pipe.network.prepare({ capture, edits });

  const generators = items.map((item) => new TorchGenerator(item.seed));
  const start = scaled(initialNoise(pipe, items.length, generators, options), plan.initialScale);
  const { factor } = pipe.latentSpace;
  const size = [start.shape[2]! * factor, start.shape[3]! * factor] as const;
  const told = { size, guidanceScale, ...(signal && { signal }) };
  const isGuided = pipe.conditioner.guidance === "classifier-free" && guidanceScale > 1;
  const network = new WatchedNetwork(pipe.network, {
    noise: schedule.noise,
    items: items.length,
    cond: await pipe.conditioner.encode({ ...told, prompts: items.map((i) => i.prompt), branch: "cond" }),
    uncond: isGuided
      ? await pipe.conditioner.encode({ ...told, prompts: items.map((i) => i.negativePrompt), branch: "uncond" })
      : undefined,
    guidanceScale,
    guidanceRescale,
    guidanceInterval: options.guidanceInterval,
    capture,
    captureAt: options.captureAt ?? (() => true),
    edits,
    batchSize,
    signal,
  });

  const denoiser = denoiserFrom[schedule.predictionType](network.predict, plan);
  const latents: Tensor<"float32">[] = [];
  const denoised: Tensor<"float32">[] = [];
  const perItem = start.size / items.length;
  const rng = { normals: () => joined(generators.map((g) => g.randn([perItem]).data)) };
  const run = samplers[schedule.sampler](denoiser, start, plan.sigmas, {
    ...plan.settings,
    condition: network.condition,
    ...(eta !== undefined && { eta }),
    rng,
    ...(signal && { signal }),
  });
  for await (const step of run) {
    latents.push(scaled(step.x, plan.signal(step.sigmaNext)));
    denoised.push(step.denoised);
    await options.onStep?.({ ...step, steps });
    network.step = step.index + 1;
  }

  const final = latents.at(-1)!;
  const pixels = (options.decode ?? true) ? await pipe.decode(final, { batchSize, ...(signal && { signal }) }) : undefined;
  return new Generation({
    items,
    pixels,
    images: pixels === undefined ? [] : picturesFromPixels(pixels),
    latents: stacked(latents),
    denoised: stacked(denoised),
    sigmas: plan.sigmas,
    timesteps: plan.timesteps,
    calls: network.calls,
    branches: network.branches,
    activations: network.recorder.activations(),
    manifest: {
      model: pipe.digest,
      pipelineClass: pipe.pipelineClass,
      items,
      sampler: schedule.sampler,
      steps,
      timesteps: [...plan.timesteps],
      guidanceScale,
      guidanceRescale,
      ...(options.guidanceInterval && { guidanceInterval: options.guidanceInterval }),
      ...(eta !== undefined && { eta }),
      ...(options.scheduler && { scheduler: options.scheduler }),
      size,
      ...(options.noise && { noise: tensorDigest(options.noise) }),
      edits: edits.map((e) => e.label),
      captures: capture.map((c) => (typeof c === "string" ? c : (c.as ?? c.at))),
      environment: environment(device),
    },
  });
}

function itemsOf(
  pipe: Pipeline,
  prompt: string | readonly string[],
  { seed, seeds, negativePrompt = "" }: GenerateOptions,
): GenerationItem[] {
  if (seed !== undefined && seeds !== undefined) throw new RangeError("generate: give seed or seeds, not both");
  const prompts = typeof prompt === "string" ? [prompt] : prompt;
  const all = seeds ?? [seed ?? 0];
  const negatives = typeof negativePrompt === "string" ? [negativePrompt] : negativePrompt;
  const count = Math.max(prompts.length, all.length);
  for (const [name, list] of Object.entries({ prompts, seeds: all, negativePrompts: negatives })) {
    if (list.length !== 1 && list.length !== count) {
      throw new RangeError(`generate: expected 1 or ${count} ${name}, got ${list.length}; they are paired one by one`);
    }
  }
  return Array.from({ length: count }, (_, i): GenerationItem => {
    const text = prompts[i % prompts.length]!;
    const truncated = pipe.conditioner.truncated?.(text);
    return {
      prompt: text,
      negativePrompt: negatives[i % negatives.length]!,
      seed: all[i % all.length]!,
      ...(truncated && { truncated }),
    };
  });
}

function initialNoise(
  { latentSpace: { channels, size, factor } }: Pipeline,
  items: number,
  generators: readonly TorchGenerator[],
  { height, width, noise }: GenerateOptions,
): Tensor<"float32"> {
  const side = (pixels: number | undefined, name: string): number => {
    const latent = (pixels ?? size * factor) / factor;
    if (Number.isInteger(latent) && latent > 0) return latent;
    throw new RangeError(`generate: ${name} must be a multiple of ${factor} pixels, got ${pixels}`);
  };
  const shape = [items, channels, side(height, "height"), side(width, "width")];
  if (noise === undefined) return concatRows(generators.map((g) => g.randn([1, ...shape.slice(1)])));
  if (noise.shape.join() === shape.join()) return noise;
  throw new RangeError(`generate: noise must have shape [${shape.join(", ")}], got ${noise}`);
}

function scaled(tensor: Tensor<"float32">, factor: number): Tensor<"float32"> {
  return new Tensor(
    "float32",
    tensor.data.map((v) => v * factor),
    tensor.shape,
  );
}
