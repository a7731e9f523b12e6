import type { Activation, Branch, Capture, Edit } from "../../hooks/index.js";
import { type Environment, environment } from "../../runtime/index.js";
import { type Picture, type Tensor, tensorDigest, torchRandn } from "../../tensor/index.js";
import { denoiserFrom } from "../adapters.js";
import { concatRows, mapped, stacked } from "../batches.js";
import { scheduleFromConfig } from "../schedules/index.js";
import type { ModelCall } from "./generation.js";
import type { Pipeline } from "./pipeline.js";
import { expectStateAlone } from "./start.js";
import { WatchedNetwork } from "./watched-network.js";

export interface DenoiseOptions {
  /** Training timesteps: how much noise the pictures get. */
  readonly timesteps: readonly number[];
  /** What the network is told, one text for all pictures or one each; default "", the empty prompt. */
  readonly prompts?: string | readonly string[];
  /** One per picture; default 0, 1, 2, … A picture's noise is that from which `generate` starts with its seed, the same at every timestep. */
  readonly seeds?: readonly number[];
  /** Activations of the network to keep. */
  readonly capture?: readonly Capture[];
  /** Edits of the network, after those of the view. */
  readonly edits?: readonly Edit[];
  /** Most pictures in one run of a network; default 8. */
  readonly batchSize?: number;
  readonly signal?: AbortSignal;
}

/** What the network made of noised pictures. */
export interface Denoising {
  readonly timesteps: Float64Array;
  /** Noise level at each timestep, σ = √((1 − ᾱ) / ᾱ). */
  readonly sigmas: Float64Array;
  /** The pictures' latents, x₀ [item, channel, y, x]. */
  readonly latents: Tensor<"float32">;
  /** The noise ε they were given, of the same shape. */
  readonly noise: Tensor<"float32">;
  /** The noise the network saw in them, ε̂ [timestep, item, channel, y, x]. */
  readonly eps: Tensor<"float32">;
  /** What it took the clean latents to be, x̂₀, of the same shape. */
  readonly denoised: Tensor<"float32">;
  /** Captured activations, [step, branch, item, …] as a generation's, with one step per timestep and the branch "cond". */
  readonly activations: Readonly<Record<string, Activation<Tensor<"float32">>>>;
  readonly calls: readonly ModelCall[];
  readonly branches: readonly Branch[];
  readonly manifest: DenoisingManifest;
}

/** What is needed to run it again. */
export interface DenoisingManifest {
  /** SHA-256 of the pipeline's networks and configuration. */
  readonly model: string;
  /** SHA-256 of the latents. */
  readonly latents: string;
  readonly prompts: readonly string[];
  readonly seeds: readonly number[];
  readonly timesteps: readonly number[];
  /** Edits in words, in the order of application. */
  readonly edits: readonly string[];
  readonly environment: Environment;
}

/**
 * Pictures through the network, once per timestep, without guidance and without sampling: encoded, noised to
 * x₀ + σε and denoised. What is seen inside then belongs to pictures that are known.
 * @param images pictures of one size, pixels [item, 3, y, x] in [0, 1], or `{ latents }` [item, channel, y, x] as `encodeImage` gives them
 * @throws RangeError if the network sees more than the state, on timesteps the model was not trained on, or prompts and seeds that are not one per picture
 * @see Tang et al. 2023, arXiv:2306.03881 (diffusion features, DIFT)
 */
export async function denoise(
  pipe: Pipeline,
  images: readonly Picture[] | Tensor<"float32"> | { readonly latents: Tensor<"float32"> },
  options: DenoiseOptions,
): Promise<Denoising> {
  const { prompts = "", capture = [], batchSize = 8, signal } = options;
  expectStateAlone(pipe, "denoise");
  const { noise: levels, predictionType } = scheduleFromConfig(pipe.schedulerConfig);
  const timesteps = Float64Array.from(options.timesteps);
  const trained = levels.sigmas.length;
  const wrong = timesteps.find((t) => !(t >= 0 && t < trained));
  if (timesteps.length === 0 || wrong !== undefined)
    throw new RangeError(`denoise: timesteps must be 0…${trained - 1}, the trained ones, got ${wrong ?? "none"}`);
  const sigmas = timesteps.map((t) => levels.sigmaAt(t));
  const timestepBySigma = new Map(Array.from(sigmas, (sigma, step) => [sigma, timesteps[step]!]));
  const edits = [...pipe.edits, ...(options.edits ?? [])];
  const device = await pipe.network.prepare({ capture, edits });
  const latents = "latents" in images ? images.latents : await pipe.encodeImage(images, { batchSize, ...(signal && { signal }) });
  const items = latents.shape[0]!;
  const seeds = options.seeds ?? Array.from({ length: items }, (_, i) => i);
  const texts = typeof prompts === "string" ? Array.from({ length: items }, () => prompts) : prompts;
  for (const [name, list] of Object.entries({ seeds, prompts: texts })) {
    if (list.length !== items)
      throw new RangeError(`denoise: expected ${items} ${name}, one per picture, got ${list.length}; they are paired one by one`);
  }
  const noise = concatRows(seeds.map((seed) => torchRandn(seed, [1, ...latents.shape.slice(1)])));
  const size = [latents.shape[2]! * pipe.latentSpace.factor, latents.shape[3]! * pipe.latentSpace.factor] as const;
  const network = new WatchedNetwork(pipe.network, {
    layout: pipe.layout,
    noise: levels,
    items,
    cond: await pipe.conditioner.encode({ prompts: texts, branch: "cond", size, guidanceScale: 1, ...(signal && { signal }) }),
    guidanceScale: 1,
    guidanceRescale: 0,
    guidanceInterval: undefined,
    capture,
    captureAt: () => true,
    edits,
    batchSize,
    signal,
  });
  const denoiser = denoiserFrom[predictionType](network.predict, { timestepOf: (sigma) => timestepBySigma.get(sigma)! });
  const eps: Tensor<"float32">[] = [];
  const denoised: Tensor<"float32">[] = [];
  for (const [step, sigma] of sigmas.entries()) {
    network.step = step;
    const x = mapped(latents, (v, i) => v + sigma * noise.data[i]!);
    const clean = await denoiser(x, sigma, network.condition);
    denoised.push(clean);
    eps.push(mapped(x, (v, i) => (v - clean.data[i]!) / sigma));
  }
  return {
    timesteps,
    sigmas,
    latents,
    noise,
    eps: stacked(eps),
    denoised: stacked(denoised),
    activations: network.recorder.activations(),
    calls: network.calls,
    branches: network.branches,
    manifest: {
      model: pipe.digest,
      latents: tensorDigest(latents),
      prompts: texts,
      seeds,
      timesteps: [...timesteps],
      edits: edits.map((e) => e.label),
      environment: environment(device),
    },
  };
}
