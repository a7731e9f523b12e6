import { Displayed, type Figure, imageGrid, type MimeBundle } from "../../figures/index.js";
import { type Picture, Tensor } from "../../tensor/index.js";
import { scaled } from "../batches.js";
import { scheduleFromConfig } from "../schedules/index.js";
import type { GenerateOptions } from "./generate-options.js";
import type { Generation } from "./generation.js";
import type { Pipeline } from "./pipeline.js";
import { picturesFromPixels } from "./pixels.js";
import type { ImageInput } from "./start.js";

export interface InvertOptions
  extends Pick<
    GenerateOptions,
    "batchSize" | "capture" | "captureAt" | "edits" | "guidanceInterval" | "negativePrompt" | "onStep" | "scheduler" | "signal"
  > {
  /** What the pictures show, one text for all or one each; default "". */
  readonly prompts?: string | readonly string[];
  /** Default 50. */
  readonly steps?: number;
  /** Default 1: guided inversion drifts, which `inversionErrors` measures. */
  readonly guidanceScale?: number;
  /** `ddim-inverse` (default), whose way back is `ddim`, or the multistep `dpmpp-2m-inverse`, whose is `dpmpp-2m`. */
  readonly sampler?: "ddim-inverse" | "dpmpp-2m-inverse";
  /**
   * Of `ddim-inverse`: how often each step is iterated towards the exact reverse of DDIM's. Default 3; already 1, which costs
   * what Diffusers' explicit step does, leaves a tenth of its error. 0 is that explicit step.
   */
  readonly fixedPointIterations?: number;
}

/** The sampler that comes back the way each inverting one went. */
export const wayBack = { "ddim-inverse": "ddim", "dpmpp-2m-inverse": "dpmpp-2m" } as const;

/** The noise that a picture comes from, and the way to it. */
export class Inversion extends Displayed {
  /** The climb from picture to noise, as a run: latents at each level, activations that were captured. */
  readonly run: Generation;
  /** Latents of the pictures, [item, channel, y, x]. */
  readonly latents: Tensor<"float32">;
  /** What `generate` draws the pictures from: pass it as `noise`, with as many steps and the sampler `wayBack` names. */
  readonly noise: Tensor<"float32">;
  readonly #pipe: Pipeline;

  constructor(pipe: Pipeline, run: Generation, latents: Tensor<"float32">) {
    super();
    this.#pipe = pipe;
    this.run = run;
    this.latents = latents;
    const { sampler, steps, scheduler } = run.manifest;
    const back = wayBack[sampler as keyof typeof wayBack];
    const { initialScale, sigmas, signal } = scheduleFromConfig(pipe.schedulerConfig, back, scheduler).plan(steps);
    // The state of the training process is carried over, as Diffusers does.
    this.noise = scaled(run.finalLatents, 1 / (initialScale * signal(sigmas[0]!)));
  }

  /** Latents that the way back should pass, [step, item, channel, y, x]: from the second noisiest to the picture's own. */
  get targets(): Tensor<"float32"> {
    const { latents } = this.run;
    const steps = latents.shape[0]!;
    const levels = Array.from({ length: steps }, (_, i) => (i === steps - 1 ? this.latents : latents.row(steps - 2 - i)));
    const data = new Float32Array(steps * this.latents.size);
    levels.forEach((level, i) => void data.set(level.data, i * this.latents.size));
    return new Tensor("float32", data, [steps, ...this.latents.shape]);
  }

  /** Draws from the noise again. Without options it comes back to the pictures, up to the error of inversion; with another prompt it edits them. */
  reconstruct(prompts: string | readonly string[] = this.#prompts, options: GenerateOptions = {}): Promise<Generation> {
    const { sampler, steps, guidanceScale, scheduler } = this.run.manifest;
    return this.#pipe.generate(prompts, {
      steps,
      guidanceScale,
      ...(scheduler && { scheduler }),
      sampler: wayBack[sampler as keyof typeof wayBack],
      seeds: this.run.items.map((item) => item.seed),
      noise: this.noise,
      ...options,
    });
  }

  get #prompts(): readonly string[] {
    return this.run.items.map((item) => item.prompt);
  }

  /** The pictures beside what is drawn from the noise again. */
  async figure(): Promise<Figure> {
    const again = await this.reconstruct();
    const originals = picturesFromPixels(await this.#pipe.decode(this.latents));
    const pictures = originals.flatMap((picture, i): Picture[] => [picture, again.images[i]!]);
    const { sampler, steps } = this.run.manifest;
    return imageGrid(pictures, {
      title: "Inversion",
      subtitle: `${sampler}, ${steps} steps, and back`,
      titles: this.run.items.flatMap(({ prompt }) => [`picture: ${prompt || "no prompt"}`, "from its noise"]),
    });
  }

  override async mimeBundle(): Promise<MimeBundle> {
    return (await this.figure()).mimeBundle();
  }
}

/**
 * Pictures to the noise that they would be drawn from, by running the probability flow from data to noise.
 * @param images pictures of the size the pipeline draws, or latents; the encoder's mean is taken
 * @see Song et al. 2020, arXiv:2010.02502, §4.3; Lu et al. 2022, arXiv:2211.01095 (multistep)
 * @example
 * import { load } from "tweedie";
 * import { invert } from "tweedie/diffusion";
 *
 * const pipe = await load("shapes");
 * const { images } = await pipe.generate("a red circle", { seed: 1 });
 * const inversion = await invert(pipe, images, { prompts: "a red circle", steps: 10 });
 * await inversion.reconstruct("a blue circle")
 */
export async function invert(pipe: Pipeline, images: ImageInput, options: InvertOptions = {}): Promise<Inversion> {
  const { prompts = "", steps = 50, guidanceScale = 1, sampler = "ddim-inverse", batchSize, signal, ...rest } = options;
  const fixedPointIterations = options.fixedPointIterations ?? (sampler === "ddim-inverse" ? 3 : 0);
  const encoding = { ...(batchSize && { batchSize }), ...(signal && { signal }) };
  const latents = "latents" in images ? images.latents : await pipe.encodeImage(images, encoding);
  const items = latents.shape[0]!;
  const run = await pipe.generate(prompts, {
    ...rest,
    ...encoding,
    seeds: Array.from({ length: items }, (_, i) => i),
    image: { latents },
    fixedPointIterations,
    steps,
    guidanceScale,
    sampler,
    decode: false,
  });
  return new Inversion(pipe, run, latents);
}
