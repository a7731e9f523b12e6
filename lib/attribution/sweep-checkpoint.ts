import { existsSync } from "node:fs";
import type { Generation, GenerationManifest } from "../diffusion/index.js";
import { type Tensor, zeros } from "../tensor/index.js";
import { CheckpointError, readCheckpoint, writeCheckpoint } from "../train/index.js";
import type { PatchingManifest, StepWindow } from "./patching-sweep-result.js";

/** What a sweep is of. Cells may be kept only for the same. */
export interface SweepIdentity {
  readonly hookPoints: readonly string[];
  readonly windows: readonly StepWindow[];
  readonly manifest: PatchingManifest;
  readonly source: Generation;
  readonly target: Generation;
}

/** Final latents of two runs of the same settings agree better than this, relative to their size, also on other devices. */
const agreement = 1e-2;

/**
 * The cells of a sweep, kept in a file while it goes on.
 * @throws CheckpointError if the file holds another sweep, or is damaged
 */
export class SweepCheckpoint {
  /** The metric of each cell, float32 [hook point, window]; 0 where it is not known yet. */
  readonly values: Tensor<"float32">;
  /** 1 where it is known. */
  readonly #known: Tensor<"uint8">;
  readonly #path: string | undefined;
  readonly #settings: string;
  readonly #ends: Record<string, Tensor<"float32">>;

  private constructor(path: string | undefined, sweep: SweepIdentity) {
    const shape = [sweep.hookPoints.length, sweep.windows.length];
    this.values = zeros(shape);
    this.#known = zeros(shape, "uint8");
    this.#path = path;
    this.#settings = settingsOf(sweep);
    this.#ends = { source: sweep.source.finalLatents, target: sweep.target.finalLatents };
  }

  /** @param path the file; without one nothing is kept */
  static async open(path: string | undefined, sweep: SweepIdentity): Promise<SweepCheckpoint> {
    const checkpoint = new SweepCheckpoint(path, sweep);
    if (path !== undefined && existsSync(path)) await checkpoint.#read(path);
    return checkpoint;
  }

  isKnown(hookPoint: number, window: number): boolean {
    return this.#known.data[hookPoint * this.values.shape[1]! + window] === 1;
  }

  set(hookPoint: number, window: number, value: number): void {
    const cell = hookPoint * this.values.shape[1]! + window;
    this.values.data[cell] = value;
    this.#known.data[cell] = 1;
  }

  async save(): Promise<void> {
    if (this.#path === undefined) return;
    await writeCheckpoint(this.#path, {
      step: this.#known.data.reduce((sum, known) => sum + known, 0),
      tensors: { values: this.values, known: this.#known, ...this.#ends },
      metadata: { sweep: this.#settings },
    });
  }

  async #read(path: string): Promise<void> {
    const { tensors, metadata } = await readCheckpoint(path);
    const refuse = (why: string): never => {
      throw new CheckpointError(`${path}: ${why}; give its settings, or another file`);
    };
    if (metadata.sweep === undefined) refuse("expected the checkpoint of a patching sweep, got one of a training");
    const [before, now] = [JSON.parse(metadata.sweep!), JSON.parse(this.#settings)] as Record<string, unknown>[];
    for (const setting of Object.keys({ ...before, ...now })) {
      const [kept, asked] = [before![setting], now![setting]].map((value) => JSON.stringify(value));
      if (kept !== asked) refuse(`the sweep in it has other ${setting}: ${kept}, not ${asked}`);
    }
    for (const [name, latents] of Object.entries(this.#ends)) {
      if (!agrees(tensors[name] as Tensor<"float32">, latents))
        refuse(`the ${name} run of the sweep in it ends in other latents, as with other callbacks or changes`);
    }
    this.values.bytes.set(tensors.values!.bytes);
    this.#known.bytes.set(tensors.known!.bytes);
  }
}

function settingsOf({ hookPoints, windows, manifest }: SweepIdentity): string {
  const { source, target, ...own } = manifest;
  return JSON.stringify({
    "hook points": hookPoints,
    windows: windows.map(({ start, end }) => [start, end]),
    ...own,
    ...settingsOfRun("source", source),
    ...settingsOfRun("target", target),
  });
}

/** A sweep may go on elsewhere, and what is captured follows from the hook points. */
function settingsOfRun(run: string, { environment: _, captures: __, ...manifest }: GenerationManifest): object {
  return Object.fromEntries(Object.entries(manifest).map(([name, value]) => [`${run}.${name}`, value]));
}

function agrees(a: Tensor<"float32">, b: Tensor<"float32">): boolean {
  if (a.shape.join() !== b.shape.join()) return false;
  const [off, size] = a.data.reduce(([d, s], v, i) => [d! + (v - b.data[i]!) ** 2, s! + v ** 2], [0, 0]);
  return off! <= agreement ** 2 * size!;
}
