import { expect } from "vitest";
import { concatRows, stacked } from "../../../../lib/diffusion/batches.js";
import type { GenerateOptions, Generation, Pipeline } from "../../../../lib/diffusion/index.js";
import { packTokens } from "../../../../lib/diffusion/pipelines/state-layout.js";
import { float32, type Tensor } from "../../../../lib/tensor/index.js";
import type { GoldenRun } from "./goldens.js";

/** What `generate` is told for a call of Diffusers. */
export function callOptions({ call, ...golden }: GoldenRun): { prompt: string[]; options: GenerateOptions } {
  const images = (call.num_images_per_prompt as number | undefined) ?? 1;
  const each = (texts: unknown): string[] =>
    [texts as string | string[]].flat().flatMap((t) => new Array<string>(images).fill(t));
  const conditioning = Object.fromEntries(
    Object.entries({
      clipSkip: call.clip_skip,
      originalSize: call.original_size,
      cropTopLeft: call.crops_coords_top_left,
      targetSize: call.target_size,
      negativeOriginalSize: call.negative_original_size,
      negativeCropTopLeft: call.negative_crops_coords_top_left,
      negativeTargetSize: call.negative_target_size,
      prompt2: call.prompt_2,
      prompt3: call.prompt_3,
      negativePrompt2: call.negative_prompt_2,
      negativePrompt3: call.negative_prompt_3,
      maxSequenceLength: call.max_sequence_length,
      aestheticScore: call.aesthetic_score,
      negativeAestheticScore: call.negative_aesthetic_score,
    }).filter(([, value]) => value !== undefined),
  );
  const prompt = each(call.class_labels === undefined ? (call.prompt ?? "") : [call.class_labels].flat().map(String));
  const items = Math.max(prompt.length, (call.batch_size as number | undefined) ?? 1);
  const negative = call.negative_prompt;
  return {
    prompt,
    options: {
      conditioning,
      steps: call.num_inference_steps as number,
      // One generator draws for the whole batch there; here each picture has its own.
      ...(items === 1
        ? { seed: golden.seed }
        : {
            noise: golden.float32("draw.0"),
            seeds: prompt.length === items ? Array.from(prompt, (_, i) => i) : Array.from({ length: items }, (_, i) => i),
          }),
      ...(call.guidance_scale !== undefined && { guidanceScale: call.guidance_scale as number }),
      ...(call.image_guidance_scale !== undefined && { imageGuidanceScale: call.image_guidance_scale as number }),
      ...(call.guidance_rescale !== undefined && { guidanceRescale: call.guidance_rescale as number }),
      ...(call.true_cfg_scale !== undefined && { trueCfgScale: call.true_cfg_scale as number }),
      ...(negative != null && { negativePrompt: typeof negative === "string" ? negative : each(negative) }),
      ...(call.strength !== undefined && { strength: call.strength as number }),
      ...(golden.has("image") && { image: golden.float32("image") }),
      ...(golden.has("mask") && { mask: golden.float32("mask") }),
      ...(call.eta !== undefined && { eta: call.eta as number }),
      ...(call.height !== undefined && { height: call.height as number, width: call.width as number }),
      decode: golden.has("picture"),
    },
  };
}

/** Schedulers whose state in Diffusers is x₀ + σε, not that of the training process. */
const exploding = /^(Euler|LMS|Heun|KDPM2)/;

/** The largest difference of two tensors' numbers, over the largest number of the second. */
export function worstOf(actual: Tensor, expected: Tensor): number {
  expect(actual.size).toBe(expected.size);
  let [worst, most] = [0, 0];
  for (let i = 0; i < expected.size; i++) {
    const [a, e] = [Number(actual.data[i]), Number(expected.data[i])];
    worst = Math.max(worst, Number.isFinite(a) ? Math.abs(a - e) : Number.POSITIVE_INFINITY);
    most = Math.max(most, Math.abs(e));
  }
  return worst / most;
}

/** States after each step, as Diffusers has them; Flux's are tokens there. */
export function stepsOf(run: Generation, { scheduler, pipeline }: GoldenRun): Tensor<"float32"> {
  if (pipeline.startsWith("Flux")) {
    return stacked(Array.from(run.timesteps, (_, step) => packTokens(run.latents.row(step), 2)));
  }
  if (!exploding.test(scheduler._class_name)) return run.latents;
  const perStep = run.latents.size / run.timesteps.length;
  return float32(
    run.latents.data.map((v, i) => v * Math.sqrt(1 + run.sigmas[Math.floor(i / perStep) + 1]! ** 2)),
    run.latents.shape,
  );
}

/**
 * States that both have: PNDM's first one is of a step that is taken again, and its Runge–Kutta steps are four entries each; a
 * guided DiT walks the picture twice, once for each branch.
 */
function goldenSteps({ scheduler, pipeline, call, float32: array, timesteps }: GoldenRun): {
  steps: Tensor<"float32">;
  timesteps: number[];
} {
  const isPndm = scheduler._class_name === "PNDMScheduler";
  const inFour = isPndm && scheduler.skip_prk_steps === false ? 12 : 0;
  const begins = (i: number): boolean => (i < inFour ? i % 4 === 0 : inFour > 0 || !isPndm || i !== 1);
  const ends = (i: number): boolean => (i < inFour ? i % 4 === 3 : inFour > 0 || !isPndm || i > 0);
  const entries = [...timesteps.keys()];
  const all = concatRows(entries.filter(ends).map((i) => array("steps").slice(i, i + 1)));
  const twice = pipeline === "DiTPipeline" && (call.guidance_scale as number) > 1;
  const first = Array.from({ length: all.shape[0]! }, (_, i) => all.row(i)).map((t) => t.slice(0, t.shape[0]! / (twice ? 2 : 1)));
  return { steps: stacked(first), timesteps: timesteps.filter((_, i) => begins(i)) };
}

/** Runs a pipeline as Diffusers was run and holds it to what came out there. */
export async function expectGolden(pipe: Pipeline, golden: GoldenRun, more: GenerateOptions = {}): Promise<Generation> {
  const { prompt, options } = callOptions(golden);
  const run = await pipe.generate(prompt.length === 1 ? prompt[0]! : prompt, { ...options, ...more });
  const { steps, timesteps } = goldenSteps(golden);
  expect(worstOf(float32(Float32Array.from(run.timesteps)), float32(timesteps))).toBeLessThan(1e-5);
  const error = worstOf(stepsOf(run, golden), steps);
  report.push({ case: `${golden.pipeline} ${golden.name}`, values: steps.size, error });
  // Diffusers computes in float32, where noise of 2e-7 in the network moves a trajectory by up to 1e-5.
  expect(error).toBeLessThan(5e-5);
  if (golden.has("picture")) {
    const picture = golden.float32("picture");
    const [items = 0, height = 0, width = 0] = picture.shape;
    const pixels = run.pixels!;
    let worst = 0;
    for (let i = 0; i < picture.size; i++) {
      const [item, y, x, c] = [
        Math.floor(i / (height * width * 3)),
        Math.floor(i / (width * 3)) % height,
        Math.floor(i / 3) % width,
        i % 3,
      ];
      worst = Math.max(worst, Math.abs(pixels.data[((item * 3 + c) * height + y) * width + x]! - picture.data[i]!));
    }
    expect(pixels.shape).toEqual([items, 3, height, width]);
    expect(worst).toBeLessThan(1e-4);
  }
  return run;
}

/** Errors found so far, for whoever wants to print them. */
export const report: { readonly case: string; readonly values: number; readonly error: number }[] = [];
