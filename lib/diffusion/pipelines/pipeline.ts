import { Displayed, type MimeBundle, table } from "../../figures/index.js";
import type { Edit, HookedModel, ModuleTree } from "../../hooks/index.js";
import type { ValueInfo } from "../../onnx/index.js";
import { type Picture, Tensor, type TorchGenerator, toFloat32 } from "../../tensor/index.js";
import { asInput, concatRows, rowRanges } from "../batches.js";
import { type Conditioner, clipConditioner, unconditioned } from "../conditioning/index.js";
import type { PromptTokenizer } from "../formats/tokenizers/index.js";
import { runRows } from "../row-runs.js";
import type { SchedulerConfig } from "../schedules/index.js";
import type { ControlNet } from "./control.js";
import { Film } from "./film.js";
import { generate } from "./generate.js";
import type { GenerateOptions } from "./generate-options.js";
import type { Generation } from "./generation.js";
import { fromLatents, type LatentSpace, toLatents } from "./latent-space.js";
import { picturesFromPixels, pixelsFromPictures } from "./pixels.js";
import { optionsOf, readManifest, readRecipe } from "./run-recipe.js";
import type { StateLayout } from "./state-layout.js";

export interface EncodeOptions {
  /** Most pictures in one run of the encoder; default 8. */
  readonly batchSize?: number;
  /** One per picture: latents are then drawn from the encoder's distribution instead of its mean. */
  readonly generators?: readonly TorchGenerator[];
  readonly signal?: AbortSignal;
}

/** What a family of pipelines is run with unless a call says otherwise. */
export interface RunDefaults {
  readonly steps: number;
  readonly guidanceScale: number;
}

/** What a pipeline is made of; `load` reads it from a folder. */
export interface PipelineParts {
  readonly pipelineClass: string;
  /** SHA-256 of the networks and configuration. */
  readonly digest: string;
  /** The denoising network: a U-Net or a transformer. */
  readonly network: HookedModel;
  /** What the network is told; default by `textEncoder` and `tokenizer` as Stable Diffusion does, or nothing. */
  readonly conditioner?: Conditioner;
  /** How the denoising network sees its state, where that is not as samplers have it. */
  readonly layout?: StateLayout;
  readonly textEncoder?: HookedModel;
  readonly tokenizer?: PromptTokenizer;
  /** Further text encoders, in Diffusers' order. */
  readonly moreTextEncoders?: readonly HookedModel[];
  readonly vaeDecoder?: HookedModel;
  readonly vaeEncoder?: HookedModel;
  /** ControlNets, for `control` in this order. */
  readonly controlNets?: readonly ControlNet[];
  /**
   * Channels that the network takes, default those of the latents: twice as many where it sees a picture that it edits, one more
   * than that where it sees a mask and what lies around it.
   */
  readonly networkChannels?: number;
  /** Whether the latents of a picture that it edits are scaled as the state's; default not. */
  readonly scalesPicture?: boolean;
  /**
   * Whether all steps of a run are taken from where a noised picture comes in, as latent consistency models do it; default not: the
   * steps before are left out.
   */
  readonly strengthChoosesLevels?: boolean;
  readonly latentSpace: LatentSpace;
  readonly schedulerConfig: SchedulerConfig;
  /** Default 20 steps, guidance 7.5. */
  readonly defaults?: RunDefaults;
  /** What was not as expected when it was loaded, in words. */
  readonly notes?: readonly string[];
}

/**
 * A diffusion model with all that belongs to it: Stable Diffusion (Rombach et al. 2022, arXiv:2112.10752) and its
 * successors, class-conditional and unconditional models, in latents or in pixels. Its networks are hooked models; `with`
 * gives a view of it whose denoising network is edited.
 */
export class Pipeline extends Displayed {
  readonly pipelineClass: string;
  /** The denoising network: a U-Net or a transformer. */
  readonly network: HookedModel;
  readonly conditioner: Conditioner;
  readonly layout: StateLayout | undefined;
  readonly textEncoder: HookedModel | undefined;
  readonly tokenizer: PromptTokenizer | undefined;
  /** Further text encoders, in Diffusers' order. */
  readonly moreTextEncoders: readonly HookedModel[];
  readonly vaeDecoder: HookedModel | undefined;
  readonly vaeEncoder: HookedModel | undefined;
  readonly controlNets: readonly ControlNet[];
  /** Channels that the network takes: more than the latents' where it sees more than the state. */
  readonly networkChannels: number;
  /** Whether the latents of a picture that it edits are scaled as the state's. */
  readonly scalesPicture: boolean;
  /** Whether all steps of a run are taken from where a noised picture comes in. */
  readonly strengthChoosesLevels: boolean;
  readonly latentSpace: LatentSpace;
  readonly schedulerConfig: SchedulerConfig;
  /** Steps and guidance of a run that says nothing of them, as Diffusers has them for the family. */
  readonly defaults: RunDefaults;
  /** What was not as expected when it was loaded, in words. */
  readonly notes: readonly string[];
  /** SHA-256 of the networks and configuration. */
  readonly digest: string;
  /** Edits that every run of this view makes. */
  readonly edits: readonly Edit[];
  readonly #parts: PipelineParts;

  constructor(parts: PipelineParts, edits: readonly Edit[] = []) {
    super();
    this.#parts = parts;
    this.pipelineClass = parts.pipelineClass;
    this.network = parts.network;
    this.textEncoder = parts.textEncoder;
    this.tokenizer = parts.tokenizer;
    const { textEncoder: network, tokenizer } = parts;
    this.conditioner = parts.conditioner ?? (network && tokenizer ? clipConditioner({ network, tokenizer }) : unconditioned);
    this.vaeDecoder = parts.vaeDecoder;
    this.vaeEncoder = parts.vaeEncoder;
    this.controlNets = parts.controlNets ?? [];
    this.layout = parts.layout;
    this.moreTextEncoders = parts.moreTextEncoders ?? [];
    this.defaults = parts.defaults ?? { steps: 20, guidanceScale: 7.5 };
    this.notes = parts.notes ?? [];
    this.networkChannels = parts.networkChannels ?? parts.latentSpace.channels;
    this.strengthChoosesLevels = parts.strengthChoosesLevels ?? false;
    this.scalesPicture = parts.scalesPicture ?? false;
    this.latentSpace = parts.latentSpace;
    this.schedulerConfig = parts.schedulerConfig;
    this.digest = parts.digest;
    this.edits = edits;
  }

  /** The denoising network as U-Net pipelines call it. */
  get unet(): HookedModel {
    return this.network;
  }

  /** Whether the network sees a picture beside its state, which it is told to edit (InstructPix2Pix). */
  get seesPicture(): boolean {
    return this.networkChannels === 2 * this.latentSpace.channels;
  }

  /** Whether it sees a mask and what lies around it (inpainting). */
  get seesMask(): boolean {
    return this.networkChannels > 2 * this.latentSpace.channels;
  }

  /** The same pipeline with edits of its network; both share networks and sessions. */
  with(...edits: readonly (Edit | readonly Edit[])[]): Pipeline {
    return new Pipeline(this.#parts, [...this.edits, ...edits.flat()]);
  }

  /** What it is made of: networks, inputs, parameters. */
  override mimeBundle(): MimeBundle | Promise<MimeBundle> {
    const networks = this.#networks();
    const edited = this.edits.length > 0 ? `, edited: ${this.edits.map((e) => e.label).join("; ")}` : "";
    const shapeText = (infos: readonly ValueInfo[]): string =>
      infos.map(({ name, shape }) => `${name} [${(shape ?? []).map((d) => d ?? "?").join(", ")}]`).join("; ");
    return table(
      {
        network: networks.map((n) => n.name),
        parameters: networks.map((n) => n.network.tree().root.parameters),
        inputs: networks.map((n) => shapeText(n.network.inputs)),
        outputs: networks.map((n) => shapeText(n.network.outputs)),
      },
      { title: [`${this.pipelineClass}${edited}`, ...this.notes].join(" · ") },
    ).mimeBundle();
  }

  /** All networks by what they are called, in the order they work. */
  #networks(): { readonly name: string; readonly network: HookedModel }[] {
    const named: [string, HookedModel | undefined][] = [
      ["text encoder", this.textEncoder],
      ...this.moreTextEncoders.map((network, i): [string, HookedModel] => [`text encoder ${i + 2}`, network]),
      ["denoising network", this.network],
      ...this.controlNets.map(({ network }, i): [string, HookedModel] => [`ControlNet ${i}`, network]),
      ["VAE encoder", this.vaeEncoder],
      ["VAE decoder", this.vaeDecoder],
    ];
    return named.flatMap(([name, network]) => (network === undefined ? [] : [{ name, network }]));
  }

  /** The network's modules, with what can be hooked. */
  tree(): ModuleTree {
    return this.network.tree();
  }

  /**
   * Prompts to pictures. Several prompts, or one with several seeds, are computed as one batch.
   * @param prompt what to draw; of a class-conditional pipeline a class; leave it out for an unconditional one
   * @throws RangeError on contradicting options; UnknownHookPointError before anything runs
   */
  generate(prompt: string | readonly string[] = "", options: GenerateOptions = {}): Promise<Generation> {
    return generate(this, prompt, options);
  }

  /**
   * The same run again, bit by bit where runtime and device are the same. Edits of the run are made again; those of this
   * view are left out.
   * @param run a generation, or the folder that its `save` wrote
   * @param again options that hold functions or networks, which are not kept, and any that are to differ
   * @throws RangeError if the run was another model's, or an option that was a function is not given again
   */
  async replay(run: Generation | string, again: GenerateOptions = {}): Promise<Generation> {
    const recipe = typeof run === "string" ? await readRecipe(run) : run.recipe;
    const { model } = typeof run === "string" ? await readManifest(run) : run.manifest;
    if (model !== this.digest) {
      const [theirs, ours] = [model, this.digest].map((digest) => String(digest).slice(0, 12));
      throw new RangeError(`replay: the run was model ${theirs}'s, this pipeline is ${ours}; load the one that made it`);
    }
    return new Pipeline(this.#parts).generate(recipe.prompts, optionsOf(recipe, again));
  }

  /** Text states, [prompt, token, channel], as the network gets them. @throws TypeError if it gets none */
  async encodePrompt(prompts: string | readonly string[]): Promise<Tensor<"float32">> {
    const { size, factor } = this.latentSpace;
    const { rows } = await this.conditioner.encode({
      prompts: typeof prompts === "string" ? [prompts] : prompts,
      branch: "cond",
      size: [size * factor, size * factor],
      guidanceScale: 1,
    });
    if (rows.encoder_hidden_states === undefined)
      throw new TypeError(`encodePrompt: a ${this.pipelineClass} has no text encoder`);
    return toFloat32(rows.encoder_hidden_states);
  }

  /**
   * Latents of pictures, [item, channel, y, x], scaled as the network expects: the mean of the encoder's distribution, or
   * draws from it; of a pipeline that works on pixels, these in −1…1.
   * @param images pictures of one size, or pixels [item, 3, y, x] in [0, 1]
   * @throws RangeError if the encoder gives anything but latents of that size
   */
  async encodeImage(
    images: Picture | readonly Picture[] | Tensor<"float32">,
    { batchSize = 8, signal, generators }: EncodeOptions = {},
  ): Promise<Tensor<"float32">> {
    const { vaeEncoder, latentSpace } = this;
    if (vaeEncoder === undefined) {
      if (this.vaeDecoder !== undefined || latentSpace.factor > 1)
        throw new TypeError("encodeImage: this pipeline has no vae_encoder; export it, or give latents");
      return toLatents(
        signed(images instanceof Tensor ? images : pixelsFromPictures("pixels" in images ? [images] : images)),
        latentSpace,
      );
    }
    const pixels = images instanceof Tensor ? images : pixelsFromPictures("pixels" in images ? [images] : images);
    const [input] = vaeEncoder.inputs;
    const name = vaeEncoder.outputs[0]!.name;
    const parts: Tensor<"float32">[] = [];
    for (const [start, end] of rowRanges(pixels.shape[0]!, batchSize)) {
      const feeds = { [input!.name]: asInput(signed(pixels.slice(start, end)), input!) };
      const { outputs } = await runRows(vaeEncoder, feeds, {}, { fetches: [name], ...(signal && { signal }) });
      const moments = toFloat32(outputs[name]!);
      expectMoments(moments, [
        end - start,
        latentSpace.channels,
        ...pixels.shape.slice(2).map((n) => Math.floor(n / latentSpace.factor)),
      ]);
      parts.push(encoded(moments, latentSpace.channels, generators?.slice(start, end)));
    }
    return toLatents(concatRows(parts), latentSpace);
  }

  /** Pixels [item, 3, y, x] in [0, 1] of latents [item, channel, y, x]. */
  async decode(
    latents: Tensor<"float32">,
    { batchSize = 8, signal }: { readonly batchSize?: number; readonly signal?: AbortSignal } = {},
  ): Promise<Tensor<"float32">> {
    const { vaeDecoder, latentSpace } = this;
    const toPixels = (tensor: Tensor<"float32">): Tensor<"float32"> =>
      new Tensor(
        "float32",
        tensor.data.map((v) => Math.min(Math.max(v / 2 + 0.5, 0), 1)),
        tensor.shape,
      );
    const unscaled = fromLatents(latents, latentSpace);
    if (vaeDecoder === undefined) return toPixels(unscaled);
    const [input] = vaeDecoder.inputs;
    const [output] = vaeDecoder.outputs;
    const parts: Tensor<"float32">[] = [];
    for (const [start, end] of rowRanges(latents.shape[0]!, batchSize)) {
      const feeds = { [input!.name]: asInput(unscaled.slice(start, end), input!) };
      const { outputs } = await runRows(vaeDecoder, feeds, {}, signal ? { signal } : {});
      parts.push(toFloat32(outputs[output!.name]!));
    }
    return toPixels(concatRows(parts));
  }

  /** Pictures of one item's x̂₀ at every step, with the noise levels: a film of the denoising. */
  async film(generation: Generation, item = 0): Promise<Film> {
    const { denoised, sigmas, timesteps, items } = generation;
    if (item < 0 || item >= items.length) throw new RangeError(`film: item must be 0…${items.length - 1}, got ${item}`);
    const frames = Array.from(timesteps, (_, step) => denoised.row(step).slice(item, item + 1));
    return new Film(
      items[item]!.prompt,
      picturesFromPixels(await this.decode(concatRows(frames))),
      sigmas.subarray(0, timesteps.length),
      timesteps,
    );
  }

  /** Closes the sessions of all networks, also for views made with `with`. */
  async release(): Promise<void> {
    await Promise.all(this.#networks().map(({ network }) => network.release()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }
}

/** Pixels in −1…1. */
function signed(pixels: Tensor<"float32">): Tensor<"float32"> {
  return new Tensor(
    "float32",
    pixels.data.map((v) => 2 * v - 1),
    pixels.shape,
  );
}

/** @throws RangeError unless these are latents of a shape, or their mean and log-variance */
function expectMoments({ shape }: Tensor, [rows, channels = 0, ...size]: readonly number[]): void {
  const fits = [channels, 2 * channels].some((n) => shape.join() === [rows, n, ...size].join());
  if (fits) return;
  throw new RangeError(
    `encodeImage: expected latents [${[rows, `${channels} or ${2 * channels}`, ...size].join(", ")}] of the VAE encoder, got [${shape.join(", ")}]; it is of another model or broken`,
  );
}

/** An encoder gives mean and log-variance as channels, from which each item's generator draws, or one value alone. */
function encoded(
  moments: Tensor<"float32">,
  channels: number,
  generators: readonly TorchGenerator[] | undefined,
): Tensor<"float32"> {
  const [items = 0, all = 0, height = 0, width = 0] = moments.shape;
  if (all === channels) return moments;
  const n = channels * height * width;
  const rows = Array.from({ length: items }, (_, i) => {
    const { data } = moments.row(i);
    const shape = [1, channels, height, width];
    if (generators === undefined) return new Tensor("float32", data.slice(0, n), shape);
    // Log-variances are clamped as in Diffusers' DiagonalGaussianDistribution.
    const deviation = (k: number): number => Math.exp(0.5 * Math.min(Math.max(data[n + k]!, -30), 20));
    const draw = generators[i]!.randn(shape);
    return new Tensor(
      "float32",
      draw.data.map((z, k) => data[k]! + deviation(k) * z),
      shape,
    );
  });
  return concatRows(rows);
}
