import { createHash } from "node:crypto";
import { closeSync, openSync, readSync, statSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Environment } from "../runtime/index.js";
import { readSafetensors, type Tensor, writeFileAtomic, writeSafetensors } from "../tensor/index.js";
import { type CollectionPlan, imagesOf } from "./plan.js";
import { decodeProvenance, encodeProvenance, type Provenance } from "./provenance.js";

/** One part of a collection on disk: vectors (safetensors) and their provenance (Arrow). */
export interface Shard {
  readonly file: string;
  readonly provenanceFile: string;
  /** Pictures firstImage…endImage−1, whole. */
  readonly firstImage: number;
  readonly endImage: number;
  readonly rows: number;
  readonly sha256: string;
  readonly provenanceSha256: string;
}

/** What stands in a collection's `manifest.json`. */
export interface CollectionManifest {
  readonly format: "tweedie activations";
  readonly version: 1;
  readonly plan: CollectionPlan;
  readonly environment: Environment;
  readonly shards: readonly Shard[];
}

/** A folder that does not hold what its manifest says, or none at all. */
export class ActivationsFolderError extends Error {
  override readonly name: string = "ActivationsFolderError";
}

const manifestFile = "manifest.json";

/** @returns undefined if the folder has no manifest @throws ActivationsFolderError if it is not one of ours */
export async function readManifest(folder: string): Promise<CollectionManifest | undefined> {
  let text: string;
  try {
    text = await readFile(join(folder, manifestFile), "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  const manifest = parsed(text);
  const { format, version, shards } = manifest ?? {};
  const sound = Array.isArray(shards) && shards.every((s) => [s.file, s.provenanceFile].every((f) => f === basename(f)));
  if (manifest === undefined || format !== "tweedie activations" || version !== 1 || !sound) {
    throw new ActivationsFolderError(
      `${join(folder, manifestFile)}: expected a manifest of tweedie activations, version 1, got ${format} version ${version}; choose another folder`,
    );
  }
  let next = 0;
  for (const { firstImage, endImage } of manifest.shards) {
    if (firstImage !== next)
      throw new ActivationsFolderError(`${folder}: shards should continue at picture ${next}, got ${firstImage}`);
    next = endImage;
  }
  return manifest;
}

function parsed(text: string): CollectionManifest | undefined {
  try {
    return JSON.parse(text) as CollectionManifest;
  } catch {
    return undefined;
  }
}

/**
 * Adds a shard: its two files first, then the manifest that names them. Until the manifest is renamed into place the
 * shard does not exist, and a later attempt writes the same files again.
 */
export async function appendShard(
  folder: string,
  manifest: CollectionManifest,
  part: { readonly vectors: Tensor<"float32">; readonly provenance: Provenance; readonly endImage: number },
): Promise<CollectionManifest> {
  const { plan, shards } = manifest;
  await mkdir(folder, { recursive: true });
  const stem = `shard-${String(shards.length).padStart(5, "0")}`;
  const [file, provenanceFile] = [`${stem}.safetensors`, `${stem}.arrow`];
  const path = join(folder, file);
  await writeSafetensors(path, { vectors: part.vectors });
  const arrow = encodeProvenance(
    part.provenance,
    imagesOf(plan),
    plan.hookPoints.map((p) => p.path),
  );
  await writeFileAtomic(join(folder, provenanceFile), [arrow]);
  const shard: Shard = {
    file,
    provenanceFile,
    firstImage: shards.at(-1)?.endImage ?? 0,
    endImage: part.endImage,
    rows: part.vectors.shape[0]!,
    sha256: sha256(await readFile(path)),
    provenanceSha256: sha256(arrow),
  };
  const next: CollectionManifest = { ...manifest, shards: [...shards, shard] };
  await writeFileAtomic(join(folder, manifestFile), [new TextEncoder().encode(`${JSON.stringify(next, undefined, 1)}\n`)]);
  return next;
}

/** The vectors of a shard, [rows, channels]. @throws ActivationsFolderError if the file was changed or cut */
export async function readShard(folder: string, shard: Shard): Promise<Tensor<"float32">> {
  const bytes = await readFile(join(folder, shard.file));
  expectDigest(folder, shard.file, bytes, shard.sha256);
  return readSafetensors(bytes).tensors.vectors as Tensor<"float32">;
}

/** @throws ActivationsFolderError if the file was changed or cut */
export async function readShardProvenance(folder: string, shard: Shard, plan: CollectionPlan): Promise<Provenance> {
  const bytes = await readFile(join(folder, shard.provenanceFile));
  expectDigest(folder, shard.provenanceFile, bytes, shard.provenanceSha256);
  return decodeProvenance(
    bytes,
    plan.hookPoints.map((p) => p.path),
  );
}

/** @throws ActivationsFolderError if a shard's file is missing or has another size than its rows need */
export function expectShards(folder: string, { plan, shards }: CollectionManifest): void {
  for (const { file, rows } of shards) {
    const size = statSync(join(folder, file), { throwIfNoEntry: false })?.size;
    if (size === undefined || size < rows * plan.channels * 4) {
      throw new ActivationsFolderError(
        `${join(folder, file)}: expected ${rows} vectors, got ${size ?? "no"} bytes; collect again`,
      );
    }
  }
}

/** Reads single rows of a shard, without the rest of it. `rows` are numbers within the shard, `place` where each goes. */
export function readShardRows(
  folder: string,
  shard: Shard,
  channels: number,
  rows: readonly number[],
  place: (i: number) => Float32Array,
): void {
  const file = openSync(join(folder, shard.file), "r");
  try {
    const head = Buffer.alloc(8);
    readSync(file, head, 0, 8, 0);
    const dataStart = 8 + Number(head.readBigUInt64LE()); // a shard holds one tensor, so its bytes begin here
    rows.forEach((row, i) => {
      const { buffer, byteOffset, byteLength } = place(i);
      const read = readSync(file, new Uint8Array(buffer, byteOffset, byteLength), 0, byteLength, dataStart + row * channels * 4);
      if (read !== byteLength) throw new ActivationsFolderError(`${join(folder, shard.file)}: ended at vector ${row}`);
    });
  } finally {
    closeSync(file);
  }
}

function expectDigest(folder: string, file: string, bytes: Uint8Array, expected: string): void {
  if (sha256(bytes) !== expected) {
    throw new ActivationsFolderError(
      `${join(folder, file)}: its content is not what was written (SHA-256 differs); collect again`,
    );
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
