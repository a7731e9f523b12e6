import { type Picture, Tensor, type TorchGenerator, tensorDigest } from "../../tensor/index.js";
import { concatRows, mapped, scaled } from "../batches.js";
import type { Interval } from "../contracts.js";
import type { SamplingPlan } from "../schedules/index.js";
import { perItem } from "./control.js";
import type { GenerateOptions } from "./generate-options.js";
import type { Pipeline } from "./pipeline.js";
import { pixelsFromPictures } from "./pixels.js";

/** Pictures for a pipeline: of one size, one for all prompts or one each; or their latents [item, channel, y, x], as `encodeImage` gives them. */
export type ImageInput = Picture | readonly Picture[] | Tensor<"float32"> | { readonly latents: Tensor<"float32"> };

/** Where a run starts and what it is held to on the way. */
export interface Start {
  /** Levels from the start on. */
  readonly plan: SamplingPlan;
  /** The state x₀ + σε, [item, channel, y, x]. */
  readonly x: Tensor<"float32">;
  /** Puts back what an inpainting mask keeps. */
  readonly revise?: (x: Tensor<"float32">, interval: Interval) => Tensor<"float32">;
  /** What an inpainting network sees beside the state. */
  readonly beside?: Tensor<"float32">;
  /** What the manifest says of it. */
  readonly record: StartRecord;
}

export interface StartRecord {
  /** SHA-256 of the latents that the run started from. */
  readonly image?: string;
  readonly strength?: number;
  /** SHA-256 of the mask. */
  readonly mask?: string;
}

/**
 * The start of a run: pure noise, or a picture noised to where `strength` says, with the rest of the levels. Random numbers
 * are drawn in the order of Diffusers' pipelines: the picture's latents, the noise, what a mask leaves.
 * @see Meng et al. 2021, arXiv:2108.01073 (SDEdit)
 */
export async function startOf(
  pipe: Pipeline,
  plan: SamplingPlan,
  isRising: boolean,
  generators: readonly TorchGenerator[],
  options: GenerateOptions,
): Promise<Start> {
  const { image, mask, strength = mask === undefined ? 0.8 : 1 } = options;
  const items = generators.length;
  if (isRising) return inversionStart(pipe, plan, generators.length, options);
  if (image === undefined) {
    const wanted = (["strength", "mask"] as const).find((name) => options[name] !== undefined);
    if (wanted !== undefined) throw new RangeError(`generate: ${wanted} needs a picture; give \`image\` too`);
    return { plan, x: scaled(initialNoise(pipe, generators, options), plan.initialScale), record: {} };
  }
  if (!(strength > 0 && strength <= 1)) throw new RangeError(`generate: strength must be above 0 and at most 1, got ${strength}`);
  const steps = plan.timesteps.length;
  const taken = Math.min(Math.floor(steps * strength), steps);
  if (taken === 0) {
    throw new RangeError(`generate: strength ${strength} of ${steps} steps leaves none; raise either`);
  }
  const rest = plan.from(steps - taken);
  const encoding = {
    ...(options.batchSize && { batchSize: options.batchSize }),
    ...(options.signal && { signal: options.signal }),
  };
  // One picture for several prompts is one distribution, of which each item draws for itself.
  const encode = (pictures: Tensor<"float32">): Promise<Tensor<"float32">> =>
    pipe.encodeImage(perItem(pictures, items, "pictures"), { ...encoding, ...(options.sampleImage !== false && { generators }) });
  const pixels = "latents" in image ? undefined : imagePixels(image);
  const latents = "latents" in image ? perItem(image.latents, items, "latents") : await encode(pixels!);
  const [, channels = 0, height = 0, width = 0] = latents.shape;
  const noise = initialNoise(pipe, generators, {
    ...options,
    height: height * pipe.latentSpace.factor,
    width: width * pipe.latentSpace.factor,
  });
  if (channels !== noise.shape[1]) {
    throw new RangeError(`generate: latents must have ${noise.shape[1]} channels, got ${latents}`);
  }
  const record = { image: tensorDigest(latents), strength };
  const sigma = rest.sigmas[0]!;
  const noised = mapped(latents, (v, i) => v + sigma * noise.data[i]!);
  if (mask === undefined) return { plan: rest, x: noised, record };

  const drawn = latentMask(mask, items, pipe.latentSpace.factor, [height, width]);
  const x = strength === 1 ? scaled(noise, rest.initialScale) : noised;
  const masked = { plan: rest, x, record: { ...record, mask: tensorDigest(drawn) } };
  if (pipe.networkChannels > channels) {
    if (pixels === undefined) {
      throw new RangeError(
        "generate: an inpainting network sees the picture without its masked part; give pictures, not latents",
      );
    }
    const kept = await encode(withoutMasked(perItem(pixels, items, "pictures"), mask, items));
    return { ...masked, beside: besideOf(drawn, kept) };
  }
  const plane = height * width;
  return {
    ...masked,
    revise: (state, { sigmaNext, index }) => {
      const isLast = index === rest.timesteps.length - 1;
      const level = isLast ? 0 : sigmaNext;
      // The last level may leave some noise in the state; what is kept is clean then.
      const share = isLast ? 1 / rest.signal(sigmaNext) : 1;
      return mapped(state, (v, i) => {
        const m = drawn.data[Math.floor(i / (channels * plane)) * plane + (i % plane)]!;
        return m * v + (1 - m) * share * (latents.data[i]! + level * noise.data[i]!);
      });
    },
  };
}

/** Samplers that climb to noise start in the picture itself, of which the encoder's mean is taken. */
async function inversionStart(
  pipe: Pipeline,
  plan: SamplingPlan,
  items: number,
  { image, strength, mask, batchSize, signal }: GenerateOptions,
): Promise<Start> {
  if (image === undefined || strength !== undefined || mask !== undefined)
    throw new RangeError("generate: a sampler that inverts starts in a picture; give `image`, and neither strength nor mask");
  const latents =
    "latents" in image
      ? image.latents
      : await pipe.encodeImage(image, { ...(batchSize && { batchSize }), ...(signal && { signal }) });
  const x = scaled(perItem(latents, items, "pictures"), plan.initialScale);
  return { plan, x, record: { image: tensorDigest(latents) } };
}

/** Noise of the seeds, or the given one: standard normal, [item, channel, y, x]. */
function initialNoise(
  { latentSpace: { channels, size, factor } }: Pipeline,
  generators: readonly TorchGenerator[],
  { height, width, noise }: GenerateOptions,
): Tensor<"float32"> {
  const side = (pixels: number | undefined, name: string): number => {
    const latent = (pixels ?? size * factor) / factor;
    if (Number.isInteger(latent) && latent > 0) return latent;
    throw new RangeError(`generate: ${name} must be a multiple of ${factor} pixels, got ${pixels}`);
  };
  const shape = [generators.length, channels, side(height, "height"), side(width, "width")];
  if (noise === undefined) return concatRows(generators.map((g) => g.randn([1, ...shape.slice(1)])));
  if (noise.shape.join() === shape.join()) return noise;
  throw new RangeError(`generate: noise must have shape [${shape.join(", ")}], got ${noise}`);
}

/** Pixels [item, 3, y, x] of pictures. */
export function imagePixels(image: Picture | readonly Picture[] | Tensor<"float32">): Tensor<"float32"> {
  return image instanceof Tensor ? image : pixelsFromPictures("pixels" in image ? [image] : image);
}

/** A mask at the latents' size, [item, 1, y, x] of 0 and 1: nearest pixel, half and more means drawn anew. */
function latentMask(
  mask: NonNullable<GenerateOptions["mask"]>,
  items: number,
  factor: number,
  [height, width]: readonly [number, number],
): Tensor<"float32"> {
  const pixels = maskPixels(mask, items, [height * factor, width * factor]);
  const data = Float32Array.from({ length: items * height * width }, (_, n) => {
    const [item, y, x] = [Math.floor(n / (height * width)), Math.floor(n / width) % height, n % width];
    return pixels.data[(item * height * factor + y * factor) * width * factor + x * factor]!;
  });
  return new Tensor("float32", data, [items, 1, height, width]);
}

/** A mask in pixels, [item, 1, y, x] of 0 and 1. @throws RangeError if it has not the picture's size */
function maskPixels(
  mask: NonNullable<GenerateOptions["mask"]>,
  items: number,
  [height, width]: readonly [number, number],
): Tensor<"float32"> {
  const given = mask instanceof Tensor ? mask : pixelsFromPictures("pixels" in mask ? [mask] : mask);
  const [y, x] = given.shape.slice(-2);
  if (y !== height || x !== width)
    throw new RangeError(`generate: the mask must be ${width}×${height} pixels like the picture, got ${x}×${y}`);
  const channels = given.shape.length === 4 ? given.shape[1]! : 1;
  const plane = height * width;
  const count = given.size / (channels * plane);
  const grey = Float32Array.from({ length: count * plane }, (_, n) => {
    const [item, p] = [Math.floor(n / plane), n % plane];
    return given.data[item * channels * plane + p]! >= 0.5 ? 1 : 0;
  });
  return perItem(new Tensor("float32", grey, [count, 1, height, width]), items, "masks");
}

/** Pixels with what is to be drawn anew painted grey, as inpainting networks were trained. */
function withoutMasked(pixels: Tensor<"float32">, mask: NonNullable<GenerateOptions["mask"]>, items: number): Tensor<"float32"> {
  const [, channels = 0, height = 0, width = 0] = pixels.shape;
  const plane = height * width;
  const drawn = maskPixels(mask, items, [height, width]);
  return mapped(pixels, (v, i) => (drawn.data[Math.floor(i / (channels * plane)) * plane + (i % plane)]! >= 0.5 ? 0.5 : v));
}

/** The mask's channel and the latents' after it, per item. */
function besideOf(mask: Tensor<"float32">, latents: Tensor<"float32">): Tensor<"float32"> {
  const [items = 0, channels = 0, height = 0, width = 0] = latents.shape;
  const rows = Array.from({ length: items }, (_, i) => [mask.row(i), latents.row(i)]).flat();
  return concatRows(rows).reshape([items, 1 + channels, height, width]);
}
