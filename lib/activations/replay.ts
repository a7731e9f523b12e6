import type { GenerateOptions, Generation, ModelCall, Pipeline } from "../diffusion/index.js";
import { type Capture, positionAxes } from "../hooks/index.js";
import { type CollectionPlan, type CollectionSettings, imagesOf } from "./plan.js";

/** What a replayed run is asked for beside the plan. */
export type ReplayOptions = Pick<GenerateOptions, "batchSize" | "decode" | "signal">;

/**
 * Generates pictures of a collection as `collect` did, with all positions of its hook points: activations
 * [captured step, branch, item, position, channel] by path, positions row by row.
 * @param images numbers of the pictures
 */
export function replay(
  pipe: Pipeline,
  plan: CollectionPlan,
  images: readonly number[],
  options: ReplayOptions = {},
): Promise<Generation> {
  const { steps, guidanceScale, negativePrompt, sampler, captureSteps, hookPoints } = plan;
  const all = imagesOf(plan);
  const wanted = new Set(captureSteps);
  let last = -1;
  return pipe.generate(
    images.map((i) => all[i]!.prompt),
    {
      ...options,
      seeds: images.map((i) => all[i]!.seed),
      steps,
      guidanceScale,
      negativePrompt,
      ...(sampler !== "default" && { sampler: sampler as NonNullable<CollectionSettings["sampler"]> }),
      capture: hookPoints.map(
        ({ path, axes }): Capture => (positionAxes(axes).length > 0 ? { at: path, reduce: "tokens" } : path),
      ),
      // A sampler of second order calls the network twice in a step; the first call stands at the step's own noise level.
      captureAt: ({ step }: ModelCall) => {
        const isFirst = step !== last;
        last = step;
        return isFirst && wanted.has(step);
      },
    },
  );
}
