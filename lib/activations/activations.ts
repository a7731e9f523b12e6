import type { ColumnTable } from "arquero";
import { Displayed, type MimeBundle, numberText, table } from "../figures/index.js";
import type { Axis } from "../hooks/index.js";
import type { Environment } from "../runtime/index.js";
import { float32, type Picture, type Tensor } from "../tensor/index.js";
import { type CollectedImage, type CollectionPlan, imagesOf, picturesDigest } from "./plan.js";
import { emptyProvenance, type Provenance, placeRows, provenanceTable } from "./provenance.js";
import {
  ActivationsFolderError,
  type CollectionManifest,
  expectShards,
  readManifest,
  readShard,
  readShardProvenance,
  readShardRows,
} from "./shard-folder.js";

/** Where the vectors of a collection are. */
export type Storage =
  | { readonly kind: "memory"; readonly vectors: Tensor<"float32"> }
  | { readonly kind: "folder"; readonly folder: string; readonly manifest: CollectionManifest };

/** Activation vectors with where each came from. What takes vectors by number (`trainSae`, probes) takes this. */
export class Activations extends Displayed {
  /** Number of vectors, n. */
  readonly count: number;
  /** Length of each: channels of the hook points. */
  readonly width: number;
  readonly axes: readonly ["vector", Axis] = ["vector", "channel"];
  readonly plan: CollectionPlan;
  readonly environment: Environment;
  /** The generations, or given pictures with their noise, by number. */
  readonly images: readonly CollectedImage[];
  readonly provenance: Provenance;
  /** The pictures, one per image: those that were given, or generated ones where `collect` was asked to keep them. */
  readonly pictures: readonly Picture[] | undefined;
  readonly #storage: Storage;

  constructor(
    { plan, environment }: Pick<CollectionManifest, "plan" | "environment">,
    provenance: Provenance,
    storage: Storage,
    pictures?: readonly Picture[],
  ) {
    super();
    this.count = provenance.image.length;
    this.width = plan.channels;
    this.plan = plan;
    this.environment = environment;
    this.images = imagesOf(plan);
    this.provenance = provenance;
    this.#storage = storage;
    this.pictures = pictures;
  }

  /** All vectors, float32 [n, channels]. @throws RangeError if they are on disk and too many for memory */
  get vectors(): Tensor<"float32"> {
    if (this.#storage.kind === "memory") return this.#storage.vectors;
    throw new RangeError(
      `Activations.vectors: ${this.count} vectors stay in ${this.#storage.folder}, over the budget; use rows() or parts(), or open with a larger budgetBytes`,
    );
  }

  /** The vectors of those numbers, in that order: [indices.length, channels]. */
  rows(indices: ArrayLike<number>): Tensor<"float32"> {
    const { width } = this;
    const out = new Float32Array(indices.length * width);
    const place = (i: number): Float32Array => out.subarray(i * width, (i + 1) * width);
    for (let i = 0; i < indices.length; i++) {
      const index = indices[i]!;
      if (!(index >= 0 && index < this.count))
        throw new RangeError(`Activations.rows: vectors are 0…${this.count - 1}, got ${index}`);
    }
    if (this.#storage.kind === "memory") {
      const { data } = this.#storage.vectors;
      for (let i = 0; i < indices.length; i++) place(i).set(data.subarray(indices[i]! * width, (indices[i]! + 1) * width));
      return float32(out, [indices.length, width]);
    }
    const { folder, manifest } = this.#storage;
    const order = Array.from({ length: indices.length }, (_, i) => i).sort((a, b) => indices[a]! - indices[b]!);
    let start = 0;
    let next = 0;
    for (const shard of manifest.shards) {
      const end = start + shard.rows;
      const from = next;
      while (next < order.length && indices[order[next]!]! < end) next++;
      const here = order.slice(from, next);
      if (here.length > 0) {
        const rows = here.map((i) => indices[i]! - start);
        readShardRows(folder, shard, width, rows, (j) => place(here[j]!));
      }
      start = end;
    }
    return float32(out, [indices.length, width]);
  }

  /** All vectors in order, part after part, with the number of each part's first vector. */
  async *parts(): AsyncGenerator<{ readonly start: number; readonly vectors: Tensor<"float32"> }> {
    if (this.#storage.kind === "memory") {
      yield { start: 0, vectors: this.#storage.vectors };
      return;
    }
    let start = 0;
    for (const shard of this.#storage.manifest.shards) {
      const vectors = await readShard(this.#storage.folder, shard);
      yield { start, vectors };
      start += shard.rows;
    }
  }

  /** What is needed to collect them again; SAEs and embeddings made of them carry it on. */
  get manifest(): { readonly plan: CollectionPlan; readonly environment: Environment } {
    return { plan: this.plan, environment: this.environment };
  }

  /** The vectors of those pictures only, in their order, for training on some and judging on others. Nothing is copied. */
  ofImages(
    images: readonly number[],
  ): { readonly count: number; readonly width: number; readonly manifest: unknown } & Pick<Activations, "rows"> {
    const wanted = new Set(images);
    for (const image of wanted) {
      if (!(Number.isInteger(image) && image >= 0 && image < this.images.length))
        throw new RangeError(`Activations.ofImages: pictures are 0…${this.images.length - 1}, got ${image}`);
    }
    const numbers = Uint32Array.from(this.provenance.image.keys()).filter((row) => wanted.has(this.provenance.image[row]!));
    return {
      count: numbers.length,
      width: this.width,
      manifest: { ...this.manifest, images: [...wanted].sort((a, b) => a - b) },
      rows: (indices) => this.rows(Array.from(indices, (i) => numbers[i] ?? Number.NaN)),
    };
  }

  /** The mean of each image's vectors, float32 [images, channels]; an image without vectors has zeros. */
  async imageMeans(): Promise<Tensor<"float32">> {
    const { width, images, provenance } = this;
    const sums = new Float64Array(images.length * width);
    const counts = new Uint32Array(images.length);
    for await (const { start, vectors } of this.parts()) {
      for (let row = 0; row < vectors.shape[0]!; row++) {
        const image = provenance.image[start + row]!;
        counts[image]!++;
        for (let c = 0; c < width; c++) sums[image * width + c]! += vectors.data[row * width + c]!;
      }
    }
    return float32(
      Float32Array.from(sums, (sum, i) => sum / Math.max(1, counts[Math.floor(i / width)]!)),
      [images.length, width],
    );
  }

  /** What was collected, in a small table. */
  override mimeBundle(): MimeBundle | Promise<MimeBundle> {
    const { plan, count, width, images } = this;
    return table(
      {
        vectors: [count],
        channels: [width],
        "hook points": [plan.hookPoints.map((p) => p.path).join(", ")],
        pictures: [images.length],
        timesteps: [plan.timesteps.map((t) => numberText(t)).join(", ")],
        source: [plan.pictures === "generated" ? `sampled in ${plan.steps} steps` : "given pictures, noised"],
      },
      { title: "Activations" },
    ).mimeBundle();
  }

  /** One row per vector: image, promptIndex, prompt, seed, step, timestep, sigma, branch, y, x, hookPoint. */
  table(): ColumnTable {
    return provenanceTable(
      this.provenance,
      this.images,
      this.plan.hookPoints.map((p) => p.path),
    );
  }

  override toString(): string {
    const { plan, count, width, images } = this;
    const places = plan.hookPoints.map((p) => p.path).join(", ");
    return `Activations(${count} × ${width} at ${places}, ${plan.captureSteps.length} steps of ${images.length} pictures)`;
  }
}

export interface OpenActivationsOptions {
  /** Up to how many bytes are read into memory; larger collections are read row by row. Default 2 GiB. */
  readonly budgetBytes?: number;
  /** The pictures the collection was made of, where they were given; needed only to look at them again. */
  readonly pictures?: readonly Picture[];
}

export const defaultBudgetBytes: number = 2 ** 31;

/**
 * Opens a collection that `collect` wrote.
 * @throws ActivationsFolderError if there is none, it is unfinished, or a file was changed
 */
export async function openActivations(folder: string, options: OpenActivationsOptions = {}): Promise<Activations> {
  const manifest = await readManifest(folder);
  if (manifest === undefined) {
    throw new ActivationsFolderError(`openActivations: ${folder} has no manifest.json; collect into it first`);
  }
  const { plan, shards } = manifest;
  const images = imagesOf(plan).length;
  const done = shards.at(-1)?.endImage ?? 0;
  if (done < images) {
    throw new ActivationsFolderError(
      `openActivations: ${folder} holds ${done} of ${images} pictures; call collect with the same settings to finish it`,
    );
  }
  const { budgetBytes = defaultBudgetBytes, pictures } = options;
  if (pictures !== undefined && picturesDigest(pictures) !== plan.pictures) {
    throw new ActivationsFolderError(
      `openActivations: ${folder} is not of these pictures (SHA-256 differs); give those it was collected from, in their order`,
    );
  }
  return await activationsIn(folder, manifest, budgetBytes, pictures && perImage(pictures, plan));
}

/** Given pictures, one per image of the plan. */
export function perImage(pictures: readonly Picture[], plan: CollectionPlan): readonly Picture[] {
  return imagesOf(plan).map(({ promptIndex }) => pictures[promptIndex]!);
}

/** A finished collection, in memory if it fits the budget. */
export async function activationsIn(
  folder: string,
  manifest: CollectionManifest,
  budgetBytes: number,
  pictures?: readonly Picture[],
): Promise<Activations> {
  const { plan, shards } = manifest;
  expectShards(folder, manifest);
  const count = shards.reduce((sum, s) => sum + s.rows, 0);
  const provenance = emptyProvenance(count);
  const size = count * plan.channels;
  const data = size * 4 <= budgetBytes ? new Float32Array(size) : undefined;
  let start = 0;
  for (const shard of shards) {
    placeRows(provenance, await readShardProvenance(folder, shard, plan), start);
    data?.set((await readShard(folder, shard)).data, start * plan.channels);
    start += shard.rows;
  }
  const storage: Storage =
    data === undefined
      ? { kind: "folder", folder, manifest }
      : { kind: "memory", vectors: float32(data, [count, plan.channels]) };
  return new Activations(manifest, provenance, storage, pictures);
}
