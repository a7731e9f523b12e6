import { createHash } from "node:crypto";
import { readSafetensors, type Tensor, writeSafetensors } from "../tensor/index.js";

/** Everything training needs to go on: step count and state, plus what the recipe wants to remember. */
export interface Checkpoint {
  readonly step: number;
  readonly tensors: Readonly<Record<string, Tensor>>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** The checkpoint file is not whole, or not a checkpoint. */
export class CheckpointError extends Error {
  override readonly name: string = "CheckpointError";
}

/** SHA-256 over names, shapes and bytes, in name order. */
export function digestOf(tensors: Readonly<Record<string, Tensor>>): string {
  const hash = createHash("sha256");
  for (const name of Object.keys(tensors).sort()) {
    const tensor = tensors[name]!;
    hash.update(`${name} ${tensor.dtype} ${tensor.shape.join()}\n`);
    hash.update(tensor.bytes);
  }
  return hash.digest("hex");
}

/** Writes to a temporary file and renames: a checkpoint is whole or absent. */
export async function writeCheckpoint(path: string, { step, tensors, metadata }: Checkpoint): Promise<void> {
  await writeSafetensors(path, tensors, { ...metadata, step: String(step), digest: digestOf(tensors) });
}

/** @throws CheckpointError if the numbers do not match the digest written with them */
export async function readCheckpoint(path: string): Promise<Checkpoint> {
  const { tensors, metadata } = readSafetensors(path);
  const { step, digest, ...rest } = metadata;
  if (step === undefined || digest === undefined)
    throw new CheckpointError(`${path}: not a training checkpoint; it has no step and digest`);
  if (digestOf(tensors) !== digest)
    throw new CheckpointError(
      `${path}: contents do not match their digest; the file is damaged, go back to an earlier checkpoint`,
    );
  return { step: Number(step), tensors, metadata: rest };
}
