import { denoise, type GenerateOptions, type Generation, type ModelCall, type Pipeline } from "../diffusion/index.js";
import { type Capture, positionAxes } from "../hooks/index.js";
import type { Picture } from "../tensor/index.js";
import { type CollectionPlan, type CollectionSettings, imagesOf } from "./plan.js";

/** What a replayed run is asked for beside the plan. */
export interface ReplayOptions extends Pick<GenerateOptions, "batchSize" | "decode" | "signal"> {
  /** The pictures of the collection, one per image, where they were given rather than generated. */
  readonly pictures?: readonly Picture[] | undefined;
}

/** What a replayed run brings forth. */
export type Replay = Pick<Generation, "images" | "activations" | "calls" | "branches">;

/**
 * Runs pictures of a collection as `collect` did, with all positions of its hook points: activations
 * [captured step, branch, item, position, channel] by path, positions row by row.
 * @param images numbers of the pictures
 * @throws RangeError if there is no such picture, the pipeline is another, or pictures were given and are not given again
 */
export async function replay(
  pipe: Pipeline,
  plan: CollectionPlan,
  images: readonly number[],
  { pictures, ...options }: ReplayOptions = {},
): Promise<Replay> {
  const { steps, guidanceScale, negativePrompt, sampler, captureSteps, timesteps, hookPoints } = plan;
  const all = imagesOf(plan);
  const wrong = images.find((i) => all[i] === undefined);
  if (wrong !== undefined) throw new RangeError(`replay: pictures are 0…${all.length - 1}, got ${wrong}`);
  if (pipe.digest !== plan.model) {
    throw new RangeError(
      `replay: the collection is of model ${plan.model.slice(0, 12)}, this pipeline is ${pipe.digest.slice(0, 12)}; load the one it was collected from`,
    );
  }
  const prompts = images.map((i) => all[i]!.prompt);
  const seeds = images.map((i) => all[i]!.seed);
  const capture = hookPoints.map(
    ({ path, axes }): Capture => (positionAxes(axes).length > 0 ? { at: path, reduce: "tokens" } : path),
  );
  if (plan.pictures !== "generated") {
    if (pictures?.length !== all.length) {
      const count = pictures === undefined ? "none" : pictures.length;
      throw new RangeError(
        `replay: this collection is of given pictures and needs them again, ${all.length}, got ${count}; openActivations takes them as \`pictures\``,
      );
    }
    const { decode: _, ...rest } = options;
    const shown = images.map((i) => pictures[i]!);
    return { images: shown, ...(await denoise(pipe, shown, { ...rest, prompts, seeds, timesteps, capture })) };
  }
  const wanted = new Set(captureSteps);
  let last = -1;
  return await pipe.generate(prompts, {
    ...options,
    seeds,
    steps,
    guidanceScale,
    negativePrompt,
    ...(sampler !== "default" && { sampler: sampler as NonNullable<CollectionSettings["sampler"]> }),
    capture,
    // A sampler of second order calls the network twice in a step; the first call stands at the step's own noise level.
    captureAt: ({ step }: ModelCall) => {
      const isFirst = step !== last;
      last = step;
      return isFirst && wanted.has(step);
    },
  });
}
