import { type Picture, Tensor, type TorchGenerator, tensorDigest } from "../../tensor/index.js";
import { concatRows, mapped, scaled } from "../batches.js";
import type { Interval } from "../contracts.js";
import type { SamplingPlan } from "../schedules/index.js";
import { perItem } from "./control.js";
import type { GenerateOptions } from "./generate-options.js";
import { fromLatents } from "./latent-space.js";
import { fixedSide } from "./network-inputs.js";
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
  /** What an inpainting network, or one that edits a picture, sees beside the state. */
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
  const { image, mask } = options;
  const strength = strengthOf(options);
  const items = generators.length;
  if (isRising) return inversionStart(pipe, plan, items, options);
  if (pipe.seesPicture) return editingStart(pipe, plan, generators, options);
  if (pipe.seesMask && (image === undefined || mask === undefined))
    throw new RangeError(
      `generate: the network of this ${pipe.pipelineClass} sees a picture and a mask; give \`image\` and \`mask\``,
    );
  if (image === undefined) {
    const wanted = (["strength", "mask"] as const).find((name) => options[name] !== undefined);
    if (wanted !== undefined) throw new RangeError(`generate: ${wanted} needs a picture; give \`image\` too`);
    return { plan, x: scaled(initialNoise(pipe, generators, options), plan.initialScale), record: {} };
  }
  const rest = plan.isShortened ? plan : plan.from(firstStep(plan, strength));
  const pixels = "latents" in image ? undefined : perItem(imagePixels(image), items, "pictures");
  const { batchSize, signal, sampleImage = true } = options;
  const encode = (pictures: Tensor<"float32">): Promise<Tensor<"float32">> =>
    pipe.encodeImage(pictures, {
      ...(batchSize && { batchSize }),
      ...(signal && { signal }),
      ...(sampleImage && { generators }),
    });
  const seesMask = mask !== undefined && pipe.seesMask;
  const isForgotten = mask !== undefined && strength === 1;
  // An inpainting network that starts in pure noise needs no latents of the whole picture.
  let latents: Tensor<"float32"> | undefined;
  if ("latents" in image) latents = perItem(image.latents, items, "latents");
  else if (!(isForgotten && seesMask)) latents = await encode(pixels!);

  const { factor } = pipe.latentSpace;
  const [height, width] = (latents ? latents.shape.slice(2).map((n) => n * factor) : pixels!.shape.slice(2)) as [number, number];
  const noise = initialNoise(pipe, generators, { ...options, height, width });
  if (latents && latents.shape[1] !== noise.shape[1])
    throw new RangeError(`generate: latents must have ${noise.shape[1]} channels, got ${latents}`);
  const sigma = rest.sigmas[0]!;
  const x = isForgotten ? scaled(noise, rest.initialScale) : mapped(latents!, (v, i) => v + sigma * noise.data[i]!);
  const record = { ...(latents && { image: tensorDigest(latents) }), strength };
  if (mask === undefined) return { plan: rest, x, record };

  const drawn = maskPixels(mask, items, [height, width]);
  const masked = { plan: rest, x, record: { ...record, mask: tensorDigest(drawn) } };
  const drawnLatents = nearest(drawn, height / factor, width / factor);
  if (!seesMask) return { ...masked, revise: keeping(latents!, noise, drawnLatents, rest) };
  if (pixels === undefined)
    throw new RangeError("generate: an inpainting network sees the picture without its masked part; give pictures, not latents");
  return { ...masked, beside: besideOf(drawnLatents, await encode(withoutMasked(pixels, drawn))) };
}

/**
 * Pure noise, with the picture that is to be edited beside it: the encoder's mean, without the scale of latents unless the network
 * was trained with it.
 * @see Brooks et al. 2022, arXiv:2211.09800, §3.2
 */
async function editingStart(
  pipe: Pipeline,
  plan: SamplingPlan,
  generators: readonly TorchGenerator[],
  options: GenerateOptions,
): Promise<Start> {
  const { image, strength, mask, batchSize, signal } = options;
  if (image === undefined || strength !== undefined || mask !== undefined) {
    throw new RangeError(
      `generate: a ${pipe.pipelineClass} edits a picture and starts in noise; give \`image\`, and neither strength nor mask`,
    );
  }
  const given =
    "latents" in image
      ? image.latents
      : await pipe.encodeImage(image, { ...(batchSize && { batchSize }), ...(signal && { signal }) });
  const latents = perItem(given, generators.length, "pictures");
  const x = scaled(initialNoise(pipe, generators, options), plan.initialScale);
  if (latents.shape.slice(1).join() !== x.shape.slice(1).join())
    throw new RangeError(`generate: latents of a picture must be [item, ${x.shape.slice(1).join(", ")}], got ${latents}`);
  const beside = pipe.scalesPicture ? latents : fromLatents(latents, pipe.latentSpace);
  return { plan, x, beside, record: { image: tensorDigest(latents) } };
}

/** How far the picture of a run is noised. @throws RangeError unless that is above 0 and at most 1 */
export function strengthOf({ mask, strength = mask === undefined ? 0.8 : 1 }: GenerateOptions): number {
  if (strength > 0 && strength <= 1) return strength;
  throw new RangeError(`generate: strength must be above 0 and at most 1, got ${strength}`);
}

/**
 * The step at which a picture noised to `strength` comes in. Diffusers' pipelines of flows round the steps left up, the
 * others down.
 * @throws RangeError if no step is left
 */
function firstStep(plan: SamplingPlan, strength: number): number {
  const steps = plan.timesteps.length;
  const taken = Math.min(plan.isFlow ? Math.ceil(steps * strength) : Math.floor(steps * strength), steps);
  if (taken === 0) throw new RangeError(`generate: strength ${strength} of ${steps} steps leaves none; raise either`);
  return steps - taken;
}

/** Puts the noised picture back where the mask keeps it; after the last step the picture itself. */
function keeping(
  latents: Tensor<"float32">,
  noise: Tensor<"float32">,
  drawn: Tensor<"float32">,
  plan: SamplingPlan,
): (x: Tensor<"float32">, interval: Interval) => Tensor<"float32"> {
  const [, channels = 0, height = 0, width = 0] = latents.shape;
  const plane = height * width;
  return (x, { sigmaNext, index }) => {
    const isLast = index === plan.timesteps.length - 1;
    const level = isLast ? 0 : sigmaNext;
    // The last level may leave some noise in the state.
    const share = isLast ? 1 / plan.signal(sigmaNext) : 1;
    return mapped(x, (v, i) => {
      const m = drawn.data[Math.floor(i / (channels * plane)) * plane + (i % plane)]!;
      return m * v + (1 - m) * share * (latents.data[i]! + level * noise.data[i]!);
    });
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
  expectStateAlone(pipe, "generate with a sampler that inverts");
  const latents =
    "latents" in image
      ? image.latents
      : await pipe.encodeImage(image, { ...(batchSize && { batchSize }), ...(signal && { signal }) });
  const x = scaled(perItem(latents, items, "pictures"), plan.initialScale);
  return { plan, x, record: { image: tensorDigest(latents) } };
}

/** @throws RangeError if the network sees more than its state, which this has nothing to give for */
export function expectStateAlone({ seesMask, seesPicture, pipelineClass }: Pipeline, callee: string): void {
  if (!seesMask && !seesPicture) return;
  const what = seesMask ? "a mask and a picture" : "a picture";
  throw new RangeError(
    `${callee}: expected a network that sees its state alone, that of this ${pipelineClass} sees ${what} besides; use generate`,
  );
}

/**
 * Height and width of the latents of a run: what is asked for, those of a picture or of noise that are given, or what the
 * network was made for.
 * @throws RangeError on a size that latents, or the network, cannot have
 */
export function latentSize(
  { latentSpace: { size, factor }, network }: Pipeline,
  { height, width, noise, image }: Pick<GenerateOptions, "height" | "width" | "noise" | "image">,
): readonly [height: number, width: number] {
  const latents = image && "latents" in image ? image.latents : undefined;
  const picture = image === undefined || "latents" in image ? undefined : pictureSize(image);
  const side = (asked: number | undefined, name: string, axis: 2 | 3): number => {
    const shown = picture?.[axis - 2] ?? asked;
    const latent = latents?.shape[axis] ?? (shown === undefined ? (noise?.shape[axis] ?? size) : shown / factor);
    if (!Number.isInteger(latent) || latent <= 0)
      throw new RangeError(`generate: ${name} must be a multiple of ${factor} pixels, got ${shown}`);
    const fixed = fixedSide(network.inputs, axis);
    if (fixed === undefined || fixed === latent) return latent;
    throw new RangeError(
      `generate: this network was exported for a ${name} of ${fixed * factor} pixels alone, got ${latent * factor}; export it with dynamic axes for others`,
    );
  };
  return [side(height, "height", 2), side(width, "width", 3)];
}

function pictureSize(
  image: Picture | readonly Picture[] | Tensor<"float32">,
): readonly [height: number, width: number] | undefined {
  if (image instanceof Tensor) return [image.shape[2] ?? 0, image.shape[3] ?? 0];
  const first = "pixels" in image ? image : image[0];
  return first && [first.height, first.width];
}

/** Noise of the seeds, or the given one (for all items, or one each): standard normal, [item, channel, y, x]. */
function initialNoise(
  pipe: Pipeline,
  generators: readonly TorchGenerator[],
  options: Pick<GenerateOptions, "height" | "width" | "noise">,
): Tensor<"float32"> {
  const { noise } = options;
  const shape = [generators.length, pipe.latentSpace.channels, ...latentSize(pipe, options)];
  if (noise === undefined) return concatRows(generators.map((g) => g.randn([1, ...shape.slice(1)])));
  if (noise.shape.slice(1).join() === shape.slice(1).join()) return perItem(noise, generators.length, "noises");
  throw new RangeError(`generate: noise must have shape [${shape.join(", ")}], got ${noise}`);
}

/** Pixels [item, 3, y, x] of pictures. */
export function imagePixels(image: Picture | readonly Picture[] | Tensor<"float32">): Tensor<"float32"> {
  return image instanceof Tensor ? image : pixelsFromPictures("pixels" in image ? [image] : image);
}

/** A mask in pixels of the picture's size, [item, 1, y, x] of 0 and 1: nearest pixel, half and more means drawn anew. */
function maskPixels(
  mask: NonNullable<GenerateOptions["mask"]>,
  items: number,
  [height, width]: readonly [height: number, width: number],
): Tensor<"float32"> {
  const given = mask instanceof Tensor ? mask : pixelsFromPictures("pixels" in mask ? [mask] : mask);
  if (given.shape.length !== 4) throw new RangeError(`generate: a mask has the shape [item, 1, y, x], got ${given}`);
  const [count, channels = 1, y = 0, x = 0] = given.shape;
  const plane = y * x;
  const grey = Float32Array.from({ length: count! * plane }, (_, n) =>
    given.data[Math.floor(n / plane) * channels * plane + (n % plane)]! >= 0.5 ? 1 : 0,
  );
  return perItem(nearest(new Tensor("float32", grey, [count!, 1, y, x]), height, width), items, "masks");
}

/** [item, 1, y, x] at another size, each value that of the nearest pixel above and to the left, as torch's `interpolate`. */
function nearest({ data, shape }: Tensor<"float32">, height: number, width: number): Tensor<"float32"> {
  const [items = 0, , y = 0, x = 0] = shape;
  const out = new Float32Array(items * height * width);
  for (let n = 0; n < out.length; n++) {
    const [item, row, column] = [Math.floor(n / (height * width)), Math.floor(n / width) % height, n % width];
    out[n] = data[(item * y + Math.floor((row * y) / height)) * x + Math.floor((column * x) / width)]!;
  }
  return new Tensor("float32", out, [items, 1, height, width]);
}

/** Pixels with what is to be drawn anew painted grey, as inpainting networks were trained. */
function withoutMasked(pixels: Tensor<"float32">, drawn: Tensor<"float32">): Tensor<"float32"> {
  const [, channels = 0, height = 0, width = 0] = pixels.shape;
  const plane = height * width;
  return mapped(pixels, (v, i) => (drawn.data[Math.floor(i / (channels * plane)) * plane + (i % plane)] === 1 ? 0.5 : v));
}

/** The mask's channel and the latents' after it, per item. */
function besideOf(mask: Tensor<"float32">, latents: Tensor<"float32">): Tensor<"float32"> {
  const [items = 0, channels = 0, height = 0, width = 0] = latents.shape;
  const rows = Array.from({ length: items }, (_, i) => [mask.row(i), latents.row(i)]).flat();
  return concatRows(rows).reshape([items, 1 + channels, height, width]);
}
