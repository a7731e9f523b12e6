import type { Pipeline } from "../diffusion/index.js";
import type { Branch } from "../hooks/index.js";
import { beginTask, currentSignal, type Environment, environment } from "../runtime/index.js";
import { float32, type Picture } from "../tensor/index.js";
import { Activations, activationsIn, defaultBudgetBytes, perImage } from "./activations.js";
import {
  type CollectionPlan,
  type CollectionSettings,
  type GivenPictures,
  imageCount,
  planCollection,
  positionsOf,
  vectorsBefore,
} from "./plan.js";
import { branchNames, emptyProvenance, type Provenance, sliceRows } from "./provenance.js";
import { type Replay, replay } from "./replay.js";
import { ActivationsFolderError, appendShard, type CollectionManifest, readManifest } from "./shard-folder.js";

/** How far a collection is. */
export interface CollectionProgress {
  readonly images: number;
  readonly ofImages: number;
  readonly vectors: number;
  readonly ofVectors: number;
}

export interface CollectOptions extends CollectionSettings {
  /** Where to keep the vectors, in shards; a collection broken off there goes on where it stopped. Default in memory only. */
  readonly folder?: string;
  /** Vectors are written when this much has come together; default 16 MiB. */
  readonly shardBytes?: number;
  /** Up to how many bytes of vectors are held in memory; default 2 GiB. */
  readonly budgetBytes?: number;
  /** Also decode the generated pictures and keep them in memory; not together with `folder`. Default false; given pictures are kept anyway. */
  readonly pictures?: boolean;
  /** Pictures run at once; default 8. */
  readonly batchSize?: number;
  /** Ends the collection; in a folder, finished pictures are kept. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: CollectionProgress) => void;
}

/**
 * Generates pictures and keeps activation vectors from inside the network, with where each came from; or takes given
 * pictures, noises them to some timesteps and runs the network once at each (see `denoise`): then everything is known
 * of the pictures, and no guidance is involved. The U-Net's activations leave the runtime position by position; those
 * drawn are kept, the rest is dropped.
 * @param source one or more prompts, or pictures with what the network is told of them
 * @throws UnknownHookPointError, or RangeError on settings that do not fit, before anything runs
 * @throws ActivationsFolderError if the folder holds another collection
 * @throws the signal's reason
 * @example
 * import { collect, load } from "tweedie";
 *
 * const pipe = await load("shapes");
 * const acts = await collect(pipe, ["a red circle", "a blue square"], { at: "mid_block", seeds: [0, 1], steps: 4 });
 * acts.table() // where each vector came from
 */
export async function collect(
  pipe: Pipeline,
  source: string | readonly string[] | GivenPictures,
  options: CollectOptions,
): Promise<Activations> {
  const {
    folder,
    batchSize = 8,
    signal = currentSignal(),
    shardBytes = 2 ** 24,
    budgetBytes = defaultBudgetBytes,
    onProgress,
  } = options;
  if (!Number.isSafeInteger(batchSize) || batchSize < 1)
    throw new RangeError(`collect: batchSize must be a whole number ≥ 1, got ${batchSize}`);
  if (folder !== undefined && options.pictures) {
    throw new RangeError("collect: pictures are kept in memory only; leave out folder, or replay() the pictures you want to see");
  }
  const plan = planCollection(pipe, typeof source === "string" ? [source] : source, options);
  const images = imageCount(plan);
  const given = typeof source === "object" && "pictures" in source ? perImage(source.pictures, plan) : undefined;
  const generated: Picture[] = [];
  const bytes = plan.vectors * plan.channels * 4;
  if (folder === undefined && bytes > budgetBytes) {
    throw new RangeError(
      `collect: ${plan.vectors} vectors of ${plan.channels} need ${bytes} bytes, over the budget of ${budgetBytes}; give a folder or fewer vectors`,
    );
  }
  const ran = environment(await pipe.network.prepare({ edits: pipe.edits }));
  let manifest = folder === undefined ? undefined : await resumed(folder, plan, ran);
  const first = manifest?.shards.at(-1)?.endImage ?? 0;
  const firstVector = vectorsBefore(plan, first);
  const held = new Rows(plan, folder === undefined ? plan.vectors : vectorsPerShard(plan, shardBytes, batchSize));

  const flush = async (endImage: number): Promise<void> => {
    if (folder === undefined || manifest === undefined || held.count === 0) return;
    manifest = await appendShard(folder, manifest, { ...held.filled(), endImage });
    held.count = 0;
  };
  let done = first;
  using task = beginTask("collect", { total: images, unit: "pictures", told: onProgress });
  try {
    while (done < images) {
      const end = Math.min(done + batchSize, images);
      const batch = Array.from({ length: end - done }, (_, i) => done + i);
      const run = await replay(pipe, plan, batch, {
        batchSize,
        decode: options.pictures ?? false,
        pictures: given,
        ...(signal && { signal }),
      });
      generated.push(...(given ? [] : run.images));
      for (let i = done; i < end; i++) held.add(run, i - done, i);
      done = end;
      if (held.count * plan.channels * 4 >= shardBytes || done === images) await flush(done);
      task.at(done);
      onProgress?.({
        images: done,
        ofImages: images,
        vectors: vectorsBefore(plan, done),
        ofVectors: plan.vectors,
      });
      signal?.throwIfAborted();
    }
  } catch (error) {
    if (signal?.aborted) await flush(done);
    throw error;
  }
  if (folder !== undefined && manifest !== undefined) return await activationsIn(folder, manifest, budgetBytes, given);
  const { vectors, provenance } = held.filled();
  if (held.count !== plan.vectors - firstVector) throw new Error(`collect: ${held.count} vectors came of ${plan.vectors}`);
  return new Activations(
    { plan, environment: ran },
    provenance,
    { kind: "memory", vectors },
    given ?? (options.pictures ? generated : undefined),
  );
}

/** The manifest to go on with: the folder's own if it is of the same plan, else a new one. */
async function resumed(folder: string, plan: CollectionPlan, ran: Environment): Promise<CollectionManifest> {
  const manifest = await readManifest(folder);
  if (manifest === undefined) return { format: "tweedie activations", version: 1, plan, environment: ran, shards: [] };
  const differing = (Object.keys(plan) as (keyof CollectionPlan)[]).filter(
    (key) => JSON.stringify(plan[key]) !== JSON.stringify(manifest.plan[key]),
  );
  if (differing.length > 0) {
    throw new ActivationsFolderError(
      `collect: ${folder} holds another collection, with other ${differing.join(", ")}; choose another folder or delete this one`,
    );
  }
  return manifest;
}

/** Room for a shard: what triggers writing, and what one more batch of pictures may add. */
function vectorsPerShard(plan: CollectionPlan, shardBytes: number, batchSize: number): number {
  const perImage = Math.ceil(plan.vectors / imageCount(plan)) + 1;
  return Math.min(plan.vectors, Math.ceil(shardBytes / (plan.channels * 4)) + perImage * batchSize);
}

/** Vectors that came together and are not yet written. */
class Rows {
  count = 0;
  readonly #plan: CollectionPlan;
  readonly #vectors: Float32Array;
  readonly #provenance: Provenance;

  constructor(plan: CollectionPlan, capacity: number) {
    this.#plan = plan;
    this.#vectors = new Float32Array(capacity * plan.channels);
    this.#provenance = emptyProvenance(capacity);
  }

  /** Keeps the drawn vectors of one item of a run. */
  add(run: Replay, item: number, image: number): void {
    const { hookPoints, branches, captureSteps, channels } = this.#plan;
    hookPoints.forEach(({ path, positions, columns }, point) => {
      const { tensor, axes: names } = run.activations[path]!;
      const [, allBranches, allItems] = tensor.shape as readonly number[];
      if (names[1] !== "branch" || tensor.size !== captureSteps.length * allBranches! * allItems! * positions * channels) {
        throw new RangeError(`collect: ${path} gave [${names.join(", ")}] of ${tensor}; its batch cannot be told apart`);
      }
      captureSteps.forEach((step, s) => {
        const { timestep, sigma } = run.calls[s]!;
        branches.forEach((branch, b) => {
          const row = (s * allBranches! + branchIndex(run, branch)) * allItems! + item;
          for (const position of positionsOf(this.#plan, image, point, s, b)) {
            const from = (row * positions + position) * channels;
            this.#vectors.set(tensor.data.subarray(from, from + channels), this.count * channels);
            const p = this.#provenance;
            p.image[this.count] = image;
            p.step[this.count] = step;
            p.timestep[this.count] = timestep;
            p.sigma[this.count] = sigma;
            p.branch[this.count] = branchNames.indexOf(branch);
            p.y[this.count] = Math.floor(position / columns);
            p.x[this.count] = position % columns;
            p.hookPoint[this.count] = point;
            this.count++;
          }
        });
      });
    });
  }

  /** What has come together: copies of nothing, to be used before more is added. */
  filled(): { vectors: ReturnType<typeof float32>; provenance: Provenance } {
    const { channels } = this.#plan;
    return {
      vectors: float32(this.#vectors.subarray(0, this.count * channels), [this.count, channels]),
      provenance: sliceRows(this.#provenance, 0, this.count),
    };
  }
}

function branchIndex(run: Replay, branch: Branch): number {
  const index = run.branches.indexOf(branch);
  if (index >= 0) return index;
  throw new RangeError(
    `collect: the run has no "${branch}" branch, only ${run.branches.join(", ")}; raise guidanceScale above 1`,
  );
}
