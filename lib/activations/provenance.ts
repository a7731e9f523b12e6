import { type ColumnTable, fromArrow, table, toArrowIPC } from "arquero";
import type { Branch } from "../hooks/index.js";
import type { CollectedImage } from "./plan.js";

/** Where each vector came from, one entry per vector in every column. */
export interface Provenance {
  /** Number of the picture: its place in the list of images. */
  readonly image: Int32Array;
  /** Sampler step, counted from 0. */
  readonly step: Int32Array;
  /** Training timestep of the model call. */
  readonly timestep: Float32Array;
  /** Noise level of the model call. */
  readonly sigma: Float32Array;
  /** 0 = cond, 1 = uncond, 2 = imageCond. */
  readonly branch: Uint8Array;
  /** Row of the position; 0 for vectors, and for sequences that are no grid. */
  readonly y: Int32Array;
  /** Column of the position; the token's number for sequences that are no grid. */
  readonly x: Int32Array;
  /** Number of the hook point in the plan. */
  readonly hookPoint: Uint8Array;
}

export const branchNames: readonly Branch[] = ["cond", "uncond", "imageCond"];

export function emptyProvenance(count: number): Provenance {
  return {
    image: new Int32Array(count),
    step: new Int32Array(count),
    timestep: new Float32Array(count),
    sigma: new Float32Array(count),
    branch: new Uint8Array(count),
    y: new Int32Array(count),
    x: new Int32Array(count),
    hookPoint: new Uint8Array(count),
  };
}

const columns = Object.keys(emptyProvenance(0)) as (keyof Provenance)[];

/** Copies all rows of `part` to row `start` and below. */
export function placeRows(into: Provenance, part: Provenance, start: number): void {
  for (const name of columns) into[name].set(part[name], start);
}

/** Rows start…end−1, as views. */
export function sliceRows(from: Provenance, start: number, end: number): Provenance {
  return Object.fromEntries(columns.map((name) => [name, from[name].subarray(start, end)])) as unknown as Provenance;
}

/** The provenance spelled out: prompts, branches and hook points by name. */
export function provenanceTable(rows: Provenance, images: readonly CollectedImage[], hookPoints: readonly string[]): ColumnTable {
  const { image, step, timestep, sigma, branch, y, x, hookPoint } = rows;
  return table({
    image,
    promptIndex: image.map((i) => images[i]!.promptIndex),
    prompt: Array.from(image, (i) => images[i]!.prompt),
    seed: Float64Array.from(image, (i) => images[i]!.seed),
    step,
    timestep,
    sigma,
    branch: Array.from(branch, (b) => branchNames[b]!),
    y,
    x,
    hookPoint: Array.from(hookPoint, (h) => hookPoints[h]!),
  });
}

/** The same as an Arrow IPC file, readable by anything that reads Arrow. */
export function encodeProvenance(rows: Provenance, images: readonly CollectedImage[], hookPoints: readonly string[]): Uint8Array {
  return toArrowIPC(provenanceTable(rows, images, hookPoints), { format: "file" });
}

/** @throws TypeError if the file lacks a column or names a hook point that is not in the list */
export function decodeProvenance(bytes: Uint8Array, hookPoints: readonly string[]): Provenance {
  const read = fromArrow(bytes);
  const missing = columns.filter((name) => !read.columnNames().includes(name));
  if (missing.length > 0) throw new TypeError(`provenance: the columns ${missing.join(", ")} are missing`);
  const numbers = (name: string): ArrayLike<number> => read.array(name) as ArrayLike<number>;
  const codes = (name: string, names: readonly string[]): Uint8Array =>
    Uint8Array.from(read.array(name) as ArrayLike<string>, (value) => {
      const code = names.indexOf(value);
      if (code < 0) throw new TypeError(`provenance: unknown ${name} "${value}"; expected one of ${names.join(", ")}`);
      return code;
    });
  return {
    image: Int32Array.from(numbers("image")),
    step: Int32Array.from(numbers("step")),
    timestep: Float32Array.from(numbers("timestep")),
    sigma: Float32Array.from(numbers("sigma")),
    branch: codes("branch", branchNames),
    y: Int32Array.from(numbers("y")),
    x: Int32Array.from(numbers("x")),
    hookPoint: codes("hookPoint", hookPoints),
  };
}
