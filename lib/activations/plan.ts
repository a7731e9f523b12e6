import { createHash } from "node:crypto";
import { type Pipeline, type SamplerName, scheduleFromConfig } from "../diffusion/index.js";
import { type Axis, type Branch, type HookPoint, positionAxes } from "../hooks/index.js";
import { type Picture, Rng } from "../tensor/index.js";

/** Pictures whose activations are wanted, instead of prompts to generate from. */
export interface GivenPictures {
  /** Of one size, the one the pipeline draws. */
  readonly pictures: readonly Picture[];
  /** What the network is told, one text for all or one each; default "", the empty prompt. */
  readonly prompts?: string | readonly string[];
}

/** What to collect. */
export interface CollectionSettings {
  /** Hook points: exact paths or patterns; their activations must have equally many channels. */
  readonly at: string | readonly string[];
  /** Sampler steps of each generation; default 20. */
  readonly steps?: number;
  /** Sampler steps, counted from 0, at which to look; default all. */
  readonly captureSteps?: readonly number[];
  /** Or training timesteps: of each the nearest one of the run is taken; given pictures are noised to exactly these. */
  readonly timesteps?: readonly number[];
  /** Vectors in total, spread evenly over pictures, hook points, steps and branches. */
  readonly vectors?: number;
  /** Or positions drawn from each picture at each hook point, step and branch; default all. */
  readonly tokensPerImage?: number;
  /** Every prompt with each of these seeds; default one picture per prompt, with seeds counted up from `seed`. */
  readonly seeds?: readonly number[];
  /** Which part of the guidance batch; default "cond", "both" is that and "uncond". */
  readonly branch?: Branch | "both";
  /** Default 7.5. */
  readonly guidanceScale?: number;
  readonly negativePrompt?: string;
  readonly sampler?: SamplerName;
  /** Of the positions, and of the pictures where `seeds` is not given; default 0. */
  readonly seed?: number;
}

/** One generation, or one given picture with its noise. */
export interface CollectedImage {
  /** Number of the prompt; of given pictures, the picture's own. */
  readonly promptIndex: number;
  readonly prompt: string;
  readonly seed: number;
}

/** A hook point as collected: what a position is there. */
export interface CollectedPoint {
  readonly path: string;
  /** Axes of the activation: images [batch, channel, y, x], sequences [batch, token, channel] or vectors [batch, channel]. */
  readonly axes: readonly Axis[];
  /** Vectors per picture and step, counted row by row. */
  readonly positions: number;
  /** Positions per row: the x axis' length, also where attention has the grid in a row; 1 for vectors, all for other sequences. */
  readonly columns: number;
}

/** Everything that decides which vectors are collected: plain JSON, equal for equal collections. */
export interface CollectionPlan {
  /** SHA-256 of the pipeline. */
  readonly model: string;
  readonly pipelineClass: string;
  /** Edits in force, in words. */
  readonly edits: readonly string[];
  /** SHA-256 of the given pictures; "generated" where there were none. */
  readonly pictures: string;
  readonly prompts: readonly string[];
  readonly seeds: readonly number[] | "one per prompt";
  readonly negativePrompt: string;
  readonly steps: number;
  /** Steps looked at; of given pictures, all timesteps in their order. */
  readonly captureSteps: readonly number[];
  /** Training timesteps of those steps. */
  readonly timesteps: readonly number[];
  readonly guidanceScale: number;
  readonly sampler: string;
  readonly branches: readonly Branch[];
  readonly hookPoints: readonly CollectedPoint[];
  readonly channels: number;
  readonly vectors: number;
  readonly seed: number;
}

/**
 * Checks the settings against the pipeline.
 * @throws UnknownHookPointError, or RangeError on settings that contradict each other or the model
 */
export function planCollection(
  pipe: Pipeline,
  source: readonly string[] | GivenPictures,
  settings: CollectionSettings,
): CollectionPlan {
  const { branch = "cond", negativePrompt = "", seed = 0, seeds } = settings;
  const given = "pictures" in source ? source : undefined;
  const prompts = "pictures" in source ? promptsOf(source) : source;
  if (prompts.length === 0) {
    const what = given ? "pictures" : "prompts";
    throw new RangeError(`collect: there are no ${what}; give at least one`);
  }
  const side = pipe.latentSpace.size * pipe.latentSpace.factor;
  const misfit = given?.pictures.find(({ width, height }) => width !== side || height !== side);
  if (misfit !== undefined)
    throw new RangeError(
      `collect: pictures must be ${side}×${side} for this pipeline, got ${misfit.width}×${misfit.height}; resize them`,
    );
  if (seeds?.length === 0) throw new RangeError("collect: seeds is empty; give at least one or leave it out");
  const patterns = typeof settings.at === "string" ? [settings.at] : settings.at;
  const found = new Map(patterns.flatMap((p) => pipe.network.tree().find(p)).map((point) => [point.path, point]));
  const shaped = [...found.values()].map((point) => shapeOf(point, pipe.latentSpace.size));
  if (shaped.length === 0) throw new RangeError("collect: `at` names no hook point; give a path or a pattern");
  const widths = new Set(shaped.map((s) => s.channels));
  if (widths.size > 1) {
    const list = shaped.map((s) => `${s.point.path} ${s.channels}`).join(", ");
    throw new RangeError(`collect: hook points must have equally many channels, got ${list}; collect them one by one`);
  }
  const branches: readonly Branch[] = branch === "both" ? ["cond", "uncond"] : [branch];
  const calls = given ? noisedCalls(pipe, settings) : sampledCalls(pipe, settings);
  const images = prompts.length * (seeds?.length ?? 1);
  const perPosition = images * calls.captureSteps.length * branches.length;
  return {
    model: pipe.digest,
    pipelineClass: pipe.pipelineClass,
    edits: pipe.edits.map((e) => e.label),
    pictures: given ? picturesDigest(given.pictures) : "generated",
    prompts,
    seeds: seeds ?? "one per prompt",
    negativePrompt,
    ...calls,
    branches,
    hookPoints: shaped.map((s) => s.point),
    channels: shaped[0]!.channels,
    vectors: vectorCount(
      settings,
      perPosition,
      shaped.map((s) => s.point.positions),
    ),
    seed,
  };
}

/** SHA-256 of pictures in their order. */
export function picturesDigest(pictures: readonly Picture[]): string {
  const digest = createHash("sha256");
  for (const { width, height, channels, pixels } of pictures) digest.update(`${width}×${height}×${channels}`).update(pixels);
  return digest.digest("hex");
}

function promptsOf({ pictures, prompts = "" }: GivenPictures): readonly string[] {
  const all = typeof prompts === "string" ? pictures.map(() => prompts) : prompts;
  if (all.length === pictures.length) return all;
  throw new RangeError(`collect: expected ${pictures.length} prompts, one per picture, or one text for all, got ${all.length}`);
}

/** The images of a plan, in order: prompt by prompt. */
export function imagesOf({ prompts, seeds, seed }: Pick<CollectionPlan, "prompts" | "seeds" | "seed">): CollectedImage[] {
  return prompts.flatMap((prompt, promptIndex) =>
    (seeds === "one per prompt" ? [seed + promptIndex] : seeds).map((s) => ({ promptIndex, prompt, seed: s })),
  );
}

/**
 * Positions to keep of one cell: picture × hook point × step × branch. A function of the plan alone, so that a
 * collection can be resumed, or batched otherwise, and stay the same.
 */
export function positionsOf(plan: CollectionPlan, image: number, point: number, step: number, branch: number): Uint32Array {
  const { hookPoints, captureSteps, branches, vectors, seed } = plan;
  const cellsPerImage = hookPoints.length * captureSteps.length * branches.length;
  const cells = imageCount(plan) * cellsPerImage;
  const cell = image * cellsPerImage + (point * captureSteps.length + step) * branches.length + branch;
  const { positions } = hookPoints[point]!;
  // A share of `vectors` in which the remainder is spread evenly; exact products, since both factors are below 2^53.
  const upTo = (c: number): number => Number((BigInt(c) * BigInt(vectors)) / BigInt(cells));
  const quota = upTo(cell + 1) - upTo(cell);
  if (quota >= positions) return Uint32Array.from({ length: positions }, (_, i) => i);
  return new Rng([seed, cell]).permutation(positions).slice(0, quota).sort();
}

/** Vectors of the pictures before `image`. */
export function vectorsBefore(plan: CollectionPlan, image: number): number {
  return Number((BigInt(image) * BigInt(plan.vectors)) / BigInt(imageCount(plan)));
}

export function imageCount({ prompts, seeds }: CollectionPlan): number {
  return prompts.length * (seeds === "one per prompt" ? 1 : seeds.length);
}

function shapeOf({ path, axes, shape }: HookPoint, latentSize: number): { point: CollectedPoint; channels: number } {
  const channels = shape?.[axes.indexOf("channel")];
  const places = positionAxes(axes).map((i) => shape?.[i]);
  if (axes[0] !== "batch" || channels === undefined || axes.length !== places.length + 2) {
    throw new RangeError(
      `collect: ${path} has the axes [${axes.join(", ")}]; vectors can be taken from [batch, channel, y, x], [batch, token, channel] or [batch, channel]`,
    );
  }
  if (typeof channels !== "number" || !places.every((d) => typeof d === "number")) {
    throw new RangeError(`collect: the shape of ${path} is not known, [${shape?.join(", ")}]; load the model with inputShapes`);
  }
  const positions = places.reduce((a, b) => a * b, 1);
  const columns = axes.includes("token") ? gridColumns(positions, latentSize) : (places.at(-1) ?? 1);
  return { point: { path, axes, positions, columns }, channels };
}

/** Attention has the places of a grid row by row in one sequence; a U-Net's grids are the latents', halved some times. */
function gridColumns(tokens: number, latentSize: number): number {
  for (let side = latentSize; Number.isInteger(side); side /= 2) if (side * side === tokens) return side;
  return tokens;
}

type Calls = Pick<CollectionPlan, "steps" | "captureSteps" | "timesteps" | "guidanceScale" | "sampler">;

/** The model calls of a sampler's run at which to look. */
function sampledCalls(pipe: Pipeline, settings: CollectionSettings): Calls {
  const { steps = 20, guidanceScale = 7.5, captureSteps, timesteps, sampler } = settings;
  const run = scheduleFromConfig(pipe.schedulerConfig, sampler).plan(steps).timesteps;
  if (captureSteps !== undefined && timesteps !== undefined) {
    throw new RangeError("collect: give captureSteps or timesteps, not both");
  }
  const chosen =
    timesteps?.map((t) => {
      const distance = Array.from(run, (r) => Math.abs(r - t));
      return distance.indexOf(Math.min(...distance));
    }) ??
    captureSteps ??
    Array.from(run.keys());
  const wrong = chosen.find((s) => !Number.isInteger(s) || s < 0 || s >= run.length);
  if (chosen.length === 0 || wrong !== undefined) {
    throw new RangeError(`collect: captureSteps must be 0…${run.length - 1}, got [${chosen.join(", ")}]`);
  }
  const ordered = [...new Set(chosen)].sort((a, b) => a - b);
  return {
    steps,
    captureSteps: ordered,
    timesteps: ordered.map((s) => run[s]!),
    guidanceScale,
    sampler: sampler ?? "default",
  };
}

/** Settings that say how to sample, which given pictures are not. */
const ofSampling = ["steps", "captureSteps", "guidanceScale", "negativePrompt", "sampler", "branch"] as const;

/** One model call per timestep, without guidance. */
function noisedCalls(pipe: Pipeline, settings: CollectionSettings): Calls {
  const idle = ofSampling.filter((name) => settings[name] !== undefined);
  if (idle.length > 0)
    throw new RangeError(`collect: given pictures are noised, not sampled; leave out ${idle.join(", ")} and say timesteps`);
  const trained = scheduleFromConfig(pipe.schedulerConfig).noise.sigmas.length;
  const timesteps = [...new Set(settings.timesteps ?? [])].sort((a, b) => b - a);
  if (timesteps.length === 0 || timesteps.some((t) => !(t >= 0 && t < trained))) {
    throw new RangeError(
      `collect: given pictures need the timesteps to noise them to, in 0…${trained - 1}, got [${timesteps.join(", ")}]`,
    );
  }
  return { steps: timesteps.length, captureSteps: [...timesteps.keys()], timesteps, guidanceScale: 1, sampler: "none" };
}

function vectorCount({ vectors, tokensPerImage }: CollectionSettings, perPosition: number, positions: readonly number[]): number {
  const least = Math.min(...positions);
  if (vectors !== undefined && tokensPerImage !== undefined) {
    throw new RangeError("collect: give vectors or tokensPerImage, not both");
  }
  if (tokensPerImage !== undefined) {
    if (!Number.isInteger(tokensPerImage) || tokensPerImage < 1 || tokensPerImage > least) {
      throw new RangeError(`collect: tokensPerImage must be 1…${least}, the positions there are, got ${tokensPerImage}`);
    }
    return tokensPerImage * perPosition * positions.length;
  }
  if (vectors === undefined) {
    if (positions.some((p) => p !== least)) {
      throw new RangeError("collect: the hook points have different sizes; say how much to draw with vectors or tokensPerImage");
    }
    return least * perPosition * positions.length;
  }
  const most = least * perPosition * positions.length;
  if (!Number.isInteger(vectors) || vectors < 1 || vectors > most) {
    throw new RangeError(
      `collect: vectors must be 1…${most} for ${perPosition} pictures × steps × branches, got ${vectors}; add prompts, seeds or steps`,
    );
  }
  return vectors;
}
