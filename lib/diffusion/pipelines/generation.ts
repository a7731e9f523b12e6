import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Displayed, type Figure, imageGrid, type MimeBundle } from "../../figures/index.js";
import type { Activation, Branch } from "../../hooks/index.js";
import type { Environment } from "../../runtime/index.js";
import { encodePng, float32, type Picture, type Tensor, writeFileAtomic, writeSafetensors } from "../../tensor/index.js";
import type { SamplerName } from "../samplers/index.js";
import type { SchedulerConfig } from "../schedules/index.js";
import type { ControlRecord } from "./control.js";
import { type RunRecipe, writeRecipe } from "./run-recipe.js";
import type { StartRecord } from "./start.js";

/** One picture's part of a run. */
export interface GenerationItem {
  readonly prompt: string;
  readonly negativePrompt: string;
  readonly seed: number;
  /** The end of the prompt that the text encoder had no room for. */
  readonly truncated?: string;
}

/** One evaluation of the network. */
export interface ModelCall {
  /** The sampler's step it belongs to; samplers of second order make two calls in one. */
  readonly step: number;
  readonly sigma: number;
  readonly timestep: number;
}

/** What is needed to run a generation again. */
export interface GenerationManifest {
  /** SHA-256 of the pipeline's networks and configuration. */
  readonly model: string;
  readonly pipelineClass: string;
  readonly items: readonly GenerationItem[];
  readonly sampler: SamplerName;
  readonly steps: number;
  readonly timesteps: readonly number[];
  readonly guidanceScale: number;
  readonly guidanceRescale: number;
  readonly imageGuidanceScale?: number;
  readonly guidanceInterval?: readonly [low: number, high: number];
  readonly eta?: number;
  readonly fixedPointIterations?: number;
  /** Options over the pipeline's scheduler configuration. */
  readonly scheduler?: SchedulerConfig;
  /** Height and width of the pictures, pixels. */
  readonly size: readonly [height: number, width: number];
  /** SHA-256 of the noise, where it was not the seeds'. */
  readonly noise?: string;
  /** The picture it started from. */
  readonly start?: StartRecord;
  readonly controls?: readonly ControlRecord[];
  /** Edits in words, in the order of application. */
  readonly edits: readonly string[];
  /** Edits of h-space, in words, and the timesteps at which they end and noise begins. */
  readonly asyrp?: { readonly edits: readonly string[]; readonly until?: number; readonly boostFrom?: number };
  readonly captures: readonly string[];
  readonly environment: Environment;
}

/** Everything a run of a pipeline brought forth. */
export interface GenerationParts {
  readonly items: readonly GenerationItem[];
  readonly pixels: Tensor<"float32"> | undefined;
  readonly images: readonly Picture[];
  readonly latents: Tensor<"float32">;
  readonly denoised: Tensor<"float32">;
  readonly sigmas: Float64Array;
  readonly timesteps: Float64Array;
  readonly calls: readonly ModelCall[];
  readonly branches: readonly Branch[];
  readonly activations: Readonly<Record<string, Activation<Tensor<"float32">>>>;
  readonly manifest: GenerationManifest;
  readonly recipe: RunRecipe;
}

/** Pictures, how they came about, and what was seen inside the network meanwhile. */
export class Generation extends Displayed implements GenerationParts {
  readonly items: readonly GenerationItem[];
  /** [item, channel, y, x] in [0, 1]; undefined if the latents were not decoded. */
  readonly pixels: Tensor<"float32"> | undefined;
  /** The same as 8-bit pictures. */
  readonly images: readonly Picture[];
  /**
   * The state after each step, [step, item, channel, y, x], as the training process has it (x/√(1+σ²) of a
   * variance-preserving one, x/(1+σ) of a flow); the last one is what the decoder gets.
   */
  readonly latents: Tensor<"float32">;
  /** The network's x̂₀ at each step, [step, item, channel, y, x]. */
  readonly denoised: Tensor<"float32">;
  /** Noise levels, one more than steps. */
  readonly sigmas: Float64Array;
  /** Training timestep of each step. */
  readonly timesteps: Float64Array;
  /** The model calls behind the `step` axis of activations. */
  readonly calls: readonly ModelCall[];
  /** What the `branch` axis of activations counts. */
  readonly branches: readonly Branch[];
  /** Captured activations, [step, branch, item, …], by hook point path. */
  readonly activations: Readonly<Record<string, Activation<Tensor<"float32">>>>;
  readonly manifest: GenerationManifest;
  /** With it `Pipeline.replay` makes the same run again. */
  readonly recipe: RunRecipe;

  constructor(parts: GenerationParts) {
    super();
    this.items = parts.items;
    this.pixels = parts.pixels;
    this.images = parts.images;
    this.latents = parts.latents;
    this.denoised = parts.denoised;
    this.sigmas = parts.sigmas;
    this.timesteps = parts.timesteps;
    this.calls = parts.calls;
    this.branches = parts.branches;
    this.activations = parts.activations;
    this.manifest = parts.manifest;
    this.recipe = parts.recipe;
  }

  /** The latents that the decoder gets: [item, channel, y, x]. */
  get finalLatents(): Tensor<"float32"> {
    return this.latents.row(this.latents.shape[0]! - 1);
  }

  /** The pictures in −1…1, as image encoders and classifiers take them. @throws RangeError if the latents were not decoded */
  signedPixels(): Tensor<"float32"> {
    if (this.pixels === undefined)
      throw new RangeError("Generation.signedPixels: the latents were not decoded; generate with decode: true");
    return float32(
      this.pixels.data.map((v) => 2 * v - 1),
      this.pixels.shape,
    );
  }

  /** The pictures, each under its prompt. @throws RangeError if the latents were not decoded */
  figure(): Figure {
    if (this.images.length === 0)
      throw new RangeError("Generation.figure: the latents were not decoded; generate with decode: true");
    const { sampler, steps, guidanceScale, edits } = this.manifest;
    const seeds = new Set(this.items.map((i) => i.seed)).size > 1;
    const facts = [`${sampler}, ${steps} steps`, `guidance ${guidanceScale}`, ...edits];
    return imageGrid(this.images, {
      title: this.images.length === 1 ? `“${this.items[0]!.prompt}”` : "Generated pictures",
      subtitle: facts.join(" · "),
      titles: this.items.map(({ prompt, seed }) => (seeds ? `${prompt} · seed ${seed}` : prompt)),
    });
  }

  override mimeBundle(): MimeBundle | Promise<MimeBundle> {
    return this.images.length === 0 ? { "text/plain": String(this) } : this.figure().mimeBundle();
  }

  /** Writes pictures (PNG), tensors (safetensors), the manifest (JSON) and what a replay needs into a folder. */
  async save(folder: string): Promise<void> {
    await mkdir(folder, { recursive: true });
    for (const [i, { pixels, width, height, channels }] of this.images.entries()) {
      await writeFileAtomic(join(folder, `image-${i}.png`), [encodePng(pixels, width, height, channels)]);
    }
    const tensors: Record<string, Tensor> = { latents: this.latents, denoised: this.denoised };
    const axes: Record<string, string> = {};
    for (const [key, activation] of Object.entries(this.activations)) {
      tensors[`activations.${key}`] = activation.tensor;
      axes[`activations.${key}`] = activation.axes.join(",");
    }
    await writeSafetensors(join(folder, "tensors.safetensors"), tensors, axes);
    const manifest = JSON.stringify({ ...this.manifest, branches: this.branches, calls: this.calls }, undefined, 2);
    await writeRecipe(this.recipe, folder);
    await writeFileAtomic(join(folder, "manifest.json"), [new TextEncoder().encode(`${manifest}\n`)]);
  }
}
