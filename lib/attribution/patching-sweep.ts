import { concatRows, rowRanges } from "../diffusion/batches.js";
import type { GenerateOptions, Generation, Pipeline } from "../diffusion/index.js";
import type { Branch, HookPoint } from "../hooks/index.js";
import { beginTask } from "../runtime/index.js";
import type { Tensor } from "../tensor/index.js";
import { patchRows } from "./patch-rows.js";
import { type PatchingDirection, type PatchingManifest, PatchingSweep, type StepWindow } from "./patching-sweep-result.js";
import { SweepCheckpoint } from "./sweep-checkpoint.js";

/** One of the two runs. */
export interface PatchingRun extends Pick<GenerateOptions, "seed" | "negativePrompt" | "noise"> {
  readonly prompt: string;
}

/** A number that tells the two runs apart, for each picture of a run. */
export type PatchingMetric = (run: Generation) => ArrayLike<number> | Promise<ArrayLike<number>>;

/** Steps that are patched together: each alone, from each to the end, from the start to each, blocks of so many, or lists of [start, end). */
export type StepWindows = "each" | "from" | "until" | number | readonly (readonly [start: number, end: number])[];

/** What belongs to each run alone, or to the sweep. */
type Own = "seed" | "seeds" | "negativePrompt" | "noise" | "condition" | "nullText" | "asyrp" | "onStep";
type OfSweep = "capture" | "captureAt" | "recall" | "edits" | "batchSize" | "decode";

/** Whatever else `generate` takes holds for both runs; edits in force are those of the pipeline's view. */
export interface PatchingSweepOptions extends Omit<GenerateOptions, Own | OfSweep> {
  readonly clean: PatchingRun;
  readonly corrupted: PatchingRun;
  /** Hook points: paths and patterns. */
  readonly at: string | readonly string[];
  /** Default "denoising": the clean run's activations are put into the corrupted run. "noising" is the other way round. */
  readonly direction?: PatchingDirection;
  /** Default "each". */
  readonly windows?: StepWindows;
  /** Only this part of the guidance batch; default both. */
  readonly branch?: Branch;
  /** Default the recovery 1 − ‖patched − source‖² / ‖target − source‖² of the final latents, for which nothing is decoded. */
  readonly metric?: PatchingMetric;
  /** Hook points patched side by side in one run; default 8. */
  readonly batchSize?: number;
  /**
   * File that keeps the cells as they are done: a sweep broken off goes on where it stopped. The metric is known by its
   * name alone; give a changed one another file.
   */
  readonly checkpoint?: string;
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * Activation patching over hook points and steps: each cell is a run of its own with the activations of one hook point
 * taken from the other run, in one window of steps. Up to its window a run is the unpatched one, whose predictions are
 * used again instead of running the network, with any sampler; hook points share a batch.
 * @throws RangeError if the runs do not differ, a window is outside the steps, or an activation has no batch;
 *   UnknownHookPointError before anything runs; CheckpointError if the checkpoint is another sweep's
 * @see Meng et al. 2022, arXiv:2202.05262 (causal tracing); Heimersheim & Nanda 2024, arXiv:2404.15255
 * @example
 * import { load, patchingSweep } from "tweedie";
 *
 * await patchingSweep(await load("shapes"), {
 *   clean: { prompt: "a red circle" },
 *   corrupted: { prompt: "a blue circle" },
 *   at: "up_blocks.*",
 *   windows: "from",
 *   steps: 4,
 * })
 */
export async function patchingSweep(pipe: Pipeline, options: PatchingSweepOptions): Promise<PatchingSweep> {
  const {
    clean,
    corrupted,
    at,
    direction = "denoising",
    branch,
    metric,
    batchSize = 8,
    checkpoint,
    onProgress,
    windows = "each",
    ...shared
  } = options;
  const points = [
    ...new Map(
      [at]
        .flat()
        .flatMap((p) => pipe.tree().find(p))
        .map((p) => [p.path, p]),
    ).values(),
  ];
  const [from, into] = direction === "denoising" ? [clean, corrupted] : [corrupted, clean];
  const decode = metric !== undefined;
  const { prompt: sourcePrompt, ...sourceRun } = from;
  const { prompt: targetPrompt, ...targetRun } = into;
  const source = await pipe.generate(sourcePrompt, { ...shared, ...sourceRun, decode, capture: points.map((p) => p.path) });
  const chosen = stepWindows(windows, source.timesteps.length);
  const prediction = { at: pipe.network.outputs[0]!.name, as: "prediction" };
  const target = await pipe.generate(targetPrompt, { ...shared, ...targetRun, decode, capture: [prediction] });
  const distance = squaredDistance(target, source, 0);
  if (metric === undefined && distance === 0)
    throw new RangeError("patchingSweep: the two runs end in the same latents; give them different prompts or seeds");
  const judge: PatchingMetric =
    metric ?? ((run) => run.items.map((_, item) => 1 - squaredDistance(run, source, item) / distance));
  const [atSource, atTarget] = [(await judge(source))[0]!, (await judge(target))[0]!];

  const manifest: PatchingManifest = {
    direction,
    ...(branch && { branch }),
    metric: metric === undefined ? "recovery of the final latents" : metric.name || "metric",
    source: source.manifest,
    target: target.manifest,
  };
  const hookPoints = points.map((p) => p.path);
  const cells = await SweepCheckpoint.open(checkpoint, { hookPoints, windows: chosen, manifest, source, target });
  const total = points.length * chosen.length;
  let done = 0;
  using task = beginTask("patchingSweep", { total, unit: "patches", told: onProgress });
  for (const [start, end] of rowRanges(points.length, batchSize)) {
    const batch = points.slice(start, end);
    for (const [column, window] of chosen.entries()) {
      if (!batch.every((_, i) => cells.isKnown(start + i, column))) {
        const judged = await judge(await patchedRun(batch, window));
        for (const i of batch.keys()) cells.set(start + i, column, judged[i]!);
        await cells.save();
      }
      done += batch.length;
      task.at(done);
      onProgress?.(done, total);
    }
  }
  const { values } = cells;
  return new PatchingSweep({
    hookPoints,
    windows: chosen,
    timesteps: target.timesteps,
    values,
    atSource,
    atTarget,
    source,
    target,
    manifest,
  });

  /** The target run once per hook point, each item with another one patched. */
  async function patchedRun(batch: readonly HookPoint[], window: StepWindow): Promise<Generation> {
    const { noise, seed = 0, negativePrompt } = targetRun;
    const call = { index: -1, patched: false };
    return pipe.generate(
      batch.map(() => targetPrompt),
      {
        ...shared,
        ...(negativePrompt !== undefined && { negativePrompt }),
        seeds: batch.map(() => seed),
        ...(noise && { noise: concatRows(batch.map(() => noise)) }),
        decode,
        batchSize: batch.length,
        edits: batch.map((point, item) =>
          patchRows(
            point,
            { activation: source.activations[point.path]!, branches: source.branches },
            { item, branch, call: () => call },
          ),
        ),
        recall: ({ step }) => {
          call.index++;
          call.patched = step >= window.start && step < window.end;
          return step < window.start ? repeated(target.activations.prediction!.tensor.row(call.index), batch.length) : undefined;
        },
      },
    );
  }
}

/** A prediction [branch, 1, …] as rows [branch × items, …]; a branch that was not computed is left out. */
function repeated(prediction: Tensor<"float32">, items: number): Tensor<"float32"> {
  const branches = Array.from({ length: prediction.shape[0]! }, (_, b) => prediction.row(b));
  const computed = branches.filter((rows) => !Number.isNaN(rows.data[0]));
  return concatRows(computed.flatMap((rows) => new Array<Tensor<"float32">>(items).fill(rows)));
}

/** ‖a − b‖² of the final latents of an item of one run and the only item of another. */
function squaredDistance(run: Generation, other: Generation, item: number): number {
  const [a, b] = [run.finalLatents.row(item).data, other.finalLatents.row(0).data];
  return a.reduce((sum, v, i) => sum + (v - b[i]!) ** 2, 0);
}

function stepWindows(windows: StepWindows, steps: number): StepWindow[] {
  const each = Array.from({ length: steps }, (_, step) => step);
  if (windows === "each") return each.map((start) => ({ start, end: start + 1 }));
  if (windows === "from") return each.map((start) => ({ start, end: steps }));
  if (windows === "until") return each.map((step) => ({ start: 0, end: step + 1 }));
  if (typeof windows === "number") return rowRanges(steps, windows).map(([start, end]) => ({ start, end }));
  return windows.map(([start, end]) => {
    if (Number.isInteger(start) && Number.isInteger(end) && 0 <= start && start < end && end <= steps) return { start, end };
    throw new RangeError(`patchingSweep: windows are [start, end) within 0…${steps}, got [${start}, ${end}]`);
  });
}
