import { Displayed, type MimeBundle, table } from "../../figures/index.js";
import type { Capture, Edit, HookedModel, ModuleTree } from "../../hooks/index.js";
import type { ValueInfo } from "../../onnx/index.js";
import { environment } from "../../runtime/index.js";
import { type Picture, Tensor, TorchGenerator, tensorDigest, toFloat32 } from "../../tensor/index.js";
import { denoiserFrom } from "../adapters.js";
import type { Step } from "../contracts.js";
import type { Tokenizer } from "../formats/tokenizer.js";
import { type SamplerName, samplers } from "../samplers/index.js";
import { type SchedulerConfig, scheduleFromConfig } from "../schedules/index.js";
import { asInput, concatRows, idsInput, joined, rowRanges, stacked } from "./batches.js";
import { Film } from "./film.js";
import { Generation, type GenerationItem, type ModelCall } from "./generation.js";
import { picturesFromPixels, pixelsFromPictures } from "./pixels.js";
import { WatchedNetwork } from "./watched-network.js";

/** How latents are scaled and laid out. */
export interface LatentSpace {
  readonly channels: number;
  /** Height and width of the latents that the U-Net was made for. */
  readonly size: number;
  /** Pixels per latent, along one side; 1 for a pipeline that works on pixels. */
  readonly factor: number;
  /** Latents are (encoder output − shift)·scale. */
  readonly scale: number;
  readonly shift: number;
}

/** What a pipeline is made of; `load` reads it from a folder. */
export interface PipelineParts {
  readonly pipelineClass: string;
  /** SHA-256 of the networks and configuration. */
  readonly digest: string;
  readonly unet: HookedModel;
  readonly textEncoder?: HookedModel;
  readonly tokenizer?: Tokenizer;
  readonly vaeDecoder?: HookedModel;
  readonly vaeEncoder?: HookedModel;
  readonly latentSpace: LatentSpace;
  readonly schedulerConfig: SchedulerConfig;
}

/** Tells how far a generation is. */
export interface StepReport extends Step {
  /** All steps of the run. */
  readonly steps: number;
}

export interface GenerateOptions {
  /** Sampler steps, or the training timesteps themselves from high to low; default 20. */
  readonly steps?: number | readonly number[];
  /** Default 0. The noise is that of `torch.Generator().manual_seed(seed)`, so the picture is the same as in Python. */
  readonly seed?: number;
  /** One seed per picture: with one prompt as many pictures of it. */
  readonly seeds?: readonly number[];
  /** Default 7.5; 1 turns guidance off, and the unconditional branch is not computed. */
  readonly guidanceScale?: number;
  /** How far guidance is kept from raising contrast, 0…1; default 0. */
  readonly guidanceRescale?: number;
  /** Timesteps outside which there is no guidance: low < t ≤ high. */
  readonly guidanceInterval?: readonly [low: number, high: number];
  readonly negativePrompt?: string | readonly string[];
  /** Default the one the pipeline's scheduler names. */
  readonly sampler?: SamplerName;
  /** Options over the pipeline's scheduler configuration, under Diffusers' names (`timestep_spacing`, `use_karras_sigmas`, …). */
  readonly scheduler?: SchedulerConfig;
  /** Share of new noise in samplers that may add some, 0…1; default the sampler's own. */
  readonly eta?: number;
  /** Pixels; default what the U-Net was made for. */
  readonly height?: number;
  readonly width?: number;
  /** Standard normal noise to start from, [item, channel, y, x], instead of the seeds'. */
  readonly noise?: Tensor<"float32">;
  /** Activations of the U-Net to keep. */
  readonly capture?: readonly Capture[];
  /** Model calls to keep them of; default all. */
  readonly captureAt?: (call: ModelCall) => boolean;
  /** Edits of the U-Net, after those of `with`. */
  readonly edits?: readonly Edit[];
  /** Most items in one run of a network; default 8. */
  readonly batchSize?: number;
  /** Whether latents become pictures; default true. */
  readonly decode?: boolean;
  readonly signal?: AbortSignal;
  /** Called after each step. */
  readonly onStep?: (report: StepReport) => void | Promise<void>;
}

/**
 * A Stable Diffusion pipeline (Rombach et al. 2022, arXiv:2112.10752), or an unconditional one without text encoder.
 * Its networks are hooked models; `with` gives a view of it whose U-Net is edited.
 */
export class Pipeline extends Displayed {
  readonly pipelineClass: string;
  readonly unet: HookedModel;
  readonly textEncoder: HookedModel | undefined;
  readonly tokenizer: Tokenizer | undefined;
  readonly vaeDecoder: HookedModel | undefined;
  readonly vaeEncoder: HookedModel | undefined;
  readonly latentSpace: LatentSpace;
  readonly schedulerConfig: SchedulerConfig;
  /** SHA-256 of the networks and configuration. */
  readonly digest: string;
  /** Edits that every run of this view makes. */
  readonly edits: readonly Edit[];
  readonly #parts: PipelineParts;

  constructor(parts: PipelineParts, edits: readonly Edit[] = []) {
    super();
    this.#parts = parts;
    this.pipelineClass = parts.pipelineClass;
    this.unet = parts.unet;
    this.textEncoder = parts.textEncoder;
    this.tokenizer = parts.tokenizer;
    this.vaeDecoder = parts.vaeDecoder;
    this.vaeEncoder = parts.vaeEncoder;
    this.latentSpace = parts.latentSpace;
    this.schedulerConfig = parts.schedulerConfig;
    this.digest = parts.digest;
    this.edits = edits;
  }

  /** The same pipeline with edits of its U-Net; both share networks and sessions. */
  with(...edits: readonly (Edit | readonly Edit[])[]): Pipeline {
    return new Pipeline(this.#parts, [...this.edits, ...edits.flat()]);
  }

  /** What it is made of: networks, inputs, parameters. */
  override mimeBundle(): MimeBundle | Promise<MimeBundle> {
    const networks = Object.entries({
      "text encoder": this.textEncoder,
      "U-Net": this.unet,
      "VAE encoder": this.vaeEncoder,
      "VAE decoder": this.vaeDecoder,
    }).flatMap(([name, network]) => (network === undefined ? [] : [{ name, network }]));
    const shapeText = (infos: readonly ValueInfo[]): string =>
      infos.map(({ name, shape }) => `${name} [${(shape ?? []).map((d) => d ?? "?").join(", ")}]`).join("; ");
    return table(
      {
        network: networks.map((n) => n.name),
        parameters: networks.map((n) => n.network.tree().root.parameters),
        inputs: networks.map((n) => shapeText(n.network.inputs)),
        outputs: networks.map((n) => shapeText(n.network.outputs)),
      },
      { title: `${this.pipelineClass}${this.edits.length > 0 ? `, edited: ${this.edits.map((e) => e.label).join("; ")}` : ""}` },
    ).mimeBundle();
  }

  /** The U-Net's modules, with what can be hooked. */
  tree(): ModuleTree {
    return this.unet.tree();
  }

  /**
   * Prompts to pictures. Several prompts, or one with several seeds, are computed as one batch.
   * @param prompt leave it out for an unconditional pipeline
   * @throws RangeError on contradicting options; UnknownHookPointError before anything runs
   */
  async generate(prompt: string | readonly string[] = "", options: GenerateOptions = {}): Promise<Generation> {
    const { guidanceScale = 7.5, guidanceRescale = 0, eta, capture = [], batchSize = 8, signal } = options;
    const items = this.#items(prompt, options);
    const schedule = scheduleFromConfig(this.schedulerConfig, options.sampler, options.scheduler);
    const plan = schedule.plan(options.steps ?? 20);
    const steps = plan.timesteps.length;
    const edits = [...this.edits, ...(options.edits ?? [])];
    // Patterns that name nothing show here, before any work is done.
    const device = await this.unet.prepare({ capture, edits });

    const isGuided = this.textEncoder !== undefined && guidanceScale !== 1;
    const network = new WatchedNetwork(this.unet, {
      noise: schedule.noise,
      items: items.length,
      cond: this.textEncoder && (await this.encodePrompt(items.map((i) => i.prompt))),
      uncond: isGuided ? await this.encodePrompt(items.map((i) => i.negativePrompt)) : undefined,
      guidanceScale,
      guidanceRescale,
      guidanceInterval: options.guidanceInterval,
      capture,
      captureAt: options.captureAt ?? (() => true),
      edits,
      batchSize,
      signal,
    });

    const generators = items.map((item) => new TorchGenerator(item.seed));
    const start = scaled(this.#initialNoise(items.length, generators, options), plan.initialScale);
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
    const pixels = (options.decode ?? true) ? await this.decode(final, { batchSize, ...(signal && { signal }) }) : undefined;
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
        model: this.digest,
        pipelineClass: this.pipelineClass,
        items,
        sampler: schedule.sampler,
        steps,
        timesteps: [...plan.timesteps],
        guidanceScale,
        guidanceRescale,
        ...(options.guidanceInterval && { guidanceInterval: options.guidanceInterval }),
        ...(eta !== undefined && { eta }),
        ...(options.scheduler && { scheduler: options.scheduler }),
        size: [start.shape[2]! * this.latentSpace.factor, start.shape[3]! * this.latentSpace.factor],
        ...(options.noise && { noise: tensorDigest(options.noise) }),
        edits: edits.map((e) => e.label),
        captures: capture.map((c) => (typeof c === "string" ? c : (c.as ?? c.at))),
        environment: environment(device),
      },
    });
  }

  /** Text states, [prompt, token, channel]: the text encoder's last hidden states. */
  async encodePrompt(prompts: string | readonly string[]): Promise<Tensor<"float32">> {
    const { textEncoder, tokenizer } = this;
    if (textEncoder === undefined || tokenizer === undefined) {
      throw new TypeError(`encodePrompt: a ${this.pipelineClass} has no text encoder`);
    }
    const [input] = textEncoder.inputs;
    const ids = tokenizer.encodeBatch(typeof prompts === "string" ? [prompts] : prompts);
    const { outputs } = await textEncoder.run({ [input!.name]: idsInput(ids, input!) }, { fetches: ["last_hidden_state"] });
    return toFloat32(outputs.last_hidden_state!);
  }

  /**
   * Latents of pictures, [item, channel, y, x]: the mean of the encoder's distribution, scaled as the U-Net expects.
   * @param images pictures of one size, or pixels [item, 3, y, x] in [0, 1]
   */
  async encodeImage(
    images: Picture | readonly Picture[] | Tensor<"float32">,
    { batchSize = 8, signal }: { readonly batchSize?: number; readonly signal?: AbortSignal } = {},
  ): Promise<Tensor<"float32">> {
    const { vaeEncoder, latentSpace } = this;
    if (vaeEncoder === undefined) throw new TypeError("encodeImage: this pipeline has no vae_encoder");
    const pixels = images instanceof Tensor ? images : pixelsFromPictures("pixels" in images ? [images] : images);
    const [input] = vaeEncoder.inputs;
    const name = vaeEncoder.outputs[0]!.name;
    const parts: Tensor<"float32">[] = [];
    for (const [start, end] of rowRanges(pixels.shape[0]!, batchSize)) {
      const rows = pixels.slice(start, end);
      const centred = new Tensor(
        "float32",
        rows.data.map((v) => 2 * v - 1),
        rows.shape,
      );
      const feeds = { [input!.name]: asInput(centred, input!) };
      const { outputs } = await vaeEncoder.run(feeds, { fetches: [name], ...(signal && { signal }) });
      parts.push(firstChannels(toFloat32(outputs[name]!), latentSpace.channels));
    }
    const mean = concatRows(parts);
    return new Tensor(
      "float32",
      mean.data.map((v) => (v - latentSpace.shift) * latentSpace.scale),
      mean.shape,
    );
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
    if (vaeDecoder === undefined) return toPixels(latents);
    const [input] = vaeDecoder.inputs;
    const [output] = vaeDecoder.outputs;
    const parts: Tensor<"float32">[] = [];
    for (const [start, end] of rowRanges(latents.shape[0]!, batchSize)) {
      const rows = latents.slice(start, end);
      const unscaled = new Tensor(
        "float32",
        rows.data.map((v) => v / latentSpace.scale + latentSpace.shift),
        rows.shape,
      );
      const { outputs } = await vaeDecoder.run({ [input!.name]: asInput(unscaled, input!) }, signal ? { signal } : {});
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
    const networks = [this.unet, this.textEncoder, this.vaeDecoder, this.vaeEncoder];
    await Promise.all(networks.map((network) => network?.release()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }

  #items(prompt: string | readonly string[], { seed, seeds, negativePrompt = "" }: GenerateOptions): GenerationItem[] {
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
      const truncated = this.tokenizer?.encode(text).truncated;
      return {
        prompt: text,
        negativePrompt: negatives[i % negatives.length]!,
        seed: all[i % all.length]!,
        ...(truncated && { truncated }),
      };
    });
  }

  #initialNoise(
    items: number,
    generators: readonly TorchGenerator[],
    { height, width, noise }: GenerateOptions,
  ): Tensor<"float32"> {
    const { channels, size, factor } = this.latentSpace;
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
}

function scaled(tensor: Tensor<"float32">, factor: number): Tensor<"float32"> {
  return new Tensor(
    "float32",
    tensor.data.map((v) => v * factor),
    tensor.shape,
  );
}

/** An encoder gives mean and log-variance as channels, or the mean alone. */
function firstChannels(tensor: Tensor<"float32">, channels: number): Tensor<"float32"> {
  const [items = 0, all = 0, height = 0, width = 0] = tensor.shape;
  if (all === channels) return tensor;
  const rows = Array.from({ length: items }, (_, i) => tensor.row(i).slice(0, channels).reshape([1, channels, height, width]));
  return concatRows(rows);
}
