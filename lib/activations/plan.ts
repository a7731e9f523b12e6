import { type Pipeline, type SamplerName, scheduleFromConfig } from "../diffusion/index.js";
import { type Axis, type Branch, type HookPoint, positionAxes } from "../hooks/index.js";
import { Rng } from "../tensor/index.js";

/** What to collect. */
export interface CollectionSettings {
  /** Hook points: exact paths or patterns; their activations must have equally many channels. */
  readonly at: string | readonly string[];
  /** Sampler steps of each generation; default 20. */
  readonly steps?: number;
  /** Sampler steps, counted from 0, at which to look; default all. */
  readonly captureSteps?: readonly number[];
  /** Or training timesteps; of each the nearest one of the run is taken. */
  readonly timesteps?: readonly number[];
  /** Vectors in total, spread evenly over pictures, hook points, steps and branches. */
  readonly vectors?: number;
  /** Or positions drawn from each picture at each hook point, step and branch; default all. */
  readonly tokensPerImage?: number;
  /** Every prompt with each of these seeds; default one picture per prompt, with seeds counted up from `seed`. */
  readonly seeds?: readonly number[];
  /** Which half of the guidance batch; default "cond". */
  readonly branch?: Branch | "both";
  /** Default 7.5. */
  readonly guidanceScale?: number;
  readonly negativePrompt?: string;
  readonly sampler?: SamplerName;
  /** Of the positions, and of the pictures where `seeds` is not given; default 0. */
  readonly seed?: number;
}

/** One generation. */
export interface CollectedImage {
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
  /** Positions per row: the x axis' length; 1 for vectors, all for sequences. */
  readonly columns: number;
}

/** Everything that decides which vectors are collected: plain JSON, equal for equal collections. */
export interface CollectionPlan {
  /** SHA-256 of the pipeline. */
  readonly model: string;
  readonly pipelineClass: string;
  /** Edits in force, in words. */
  readonly edits: readonly string[];
  readonly prompts: readonly string[];
  readonly seeds: readonly number[] | "one per prompt";
  readonly negativePrompt: string;
  readonly steps: number;
  readonly captureSteps: readonly number[];
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
export function planCollection(pipe: Pipeline, prompts: readonly string[], settings: CollectionSettings): CollectionPlan {
  const { steps = 20, branch = "cond", guidanceScale = 7.5, negativePrompt = "", seed = 0, seeds } = settings;
  if (prompts.length === 0) throw new RangeError("collect: there are no prompts; give at least one");
  if (seeds?.length === 0) throw new RangeError("collect: seeds is empty; give at least one or leave it out");
  const patterns = typeof settings.at === "string" ? [settings.at] : settings.at;
  const found = new Map(patterns.flatMap((p) => pipe.unet.tree().find(p)).map((point) => [point.path, point]));
  const shaped = [...found.values()].map(shapeOf);
  if (shaped.length === 0) throw new RangeError("collect: `at` names no hook point; give a path or a pattern");
  const widths = new Set(shaped.map((s) => s.channels));
  if (widths.size > 1) {
    const list = shaped.map((s) => `${s.point.path} ${s.channels}`).join(", ");
    throw new RangeError(`collect: hook points must have equally many channels, got ${list}; collect them one by one`);
  }
  const branches: readonly Branch[] = branch === "both" ? ["cond", "uncond"] : [branch];
  const captureSteps = capturedSteps(pipe, steps, settings);
  const images = prompts.length * (seeds?.length ?? 1);
  const perPosition = images * captureSteps.length * branches.length;
  return {
    model: pipe.digest,
    pipelineClass: pipe.pipelineClass,
    edits: pipe.edits.map((e) => e.label),
    prompts,
    seeds: seeds ?? "one per prompt",
    negativePrompt,
    steps,
    captureSteps,
    guidanceScale,
    sampler: settings.sampler ?? "default",
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

/** The generations of a plan, in order: prompt by prompt. */
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

function shapeOf({ path, axes, shape }: HookPoint): { point: CollectedPoint; channels: number } {
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
  return { point: { path, axes, positions, columns: places.at(-1) ?? 1 }, channels };
}

function capturedSteps(pipe: Pipeline, steps: number, { captureSteps, timesteps, sampler }: CollectionSettings): number[] {
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
  return [...new Set(chosen)].sort((a, b) => a - b);
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
