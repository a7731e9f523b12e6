import type { Dim } from "../onnx/index.js";
import { allocate, expectFloat32, float32, sizeOf, Tensor, tensorDigest } from "../tensor/index.js";
import { positionAxes } from "./axes.js";
import type { HookPoint } from "./hook-point.js";
import type { ActivationProgram } from "./program-splice.js";
import { reduceOver } from "./reduction.js";

/** Which part of the guidance batch a row belongs to. */
export type Branch = "cond" | "uncond";

/** Where a run stands in a trajectory; edits may depend on it. */
export interface StepContext {
  /** Counted from 0. */
  readonly step: number;
  readonly timestep?: number;
  readonly sigma?: number;
  /** What the rows of the batch are; absent where there is no guidance. */
  readonly branches?: readonly Branch[];
}

/** A number, or one that follows the trajectory. */
export type Strength = number | ((context: StepContext) => number);

/** Limits an edit. */
export interface EditOptions {
  /** Only this part of the guidance batch; default both. */
  readonly branch?: Branch;
  /** Only these channels; default all. */
  readonly channels?: readonly number[];
  /** Only steps for which this holds; default all. Elsewhere the activation passes bit by bit. */
  readonly when?: (context: StepContext) => boolean;
}

/** A change of one or more activations. Numbers in it are fed at each run; only `structure` needs a new session. */
export interface Edit {
  readonly pattern: string;
  /** Edits of equal structure share compiled sessions. */
  readonly structure: string;
  /** For manifests: what was done, in one line. */
  readonly label: string;
  /** The program behind a hook point; `input` makes the name of each required input it declares. */
  program(point: HookPoint, input: (name: string) => string): ActivationProgram;
  /** Values of those inputs, under their short names. */
  feeds(point: HookPoint, context: StepContext): Readonly<Record<string, Tensor>>;
}

/** Edits of the activations a pattern names. */
export interface EditTarget {
  /** x·strength; 1 leaves everything as it is, 0 removes it. */
  scale(strength: Strength, options?: EditOptions): Edit;
  /**
   * x + strength·direction.
   * @param direction float32: [channel], or anything that broadcasts to the activation
   */
  add(direction: Tensor | Float32Array | readonly number[], strength?: Strength, options?: EditOptions): Edit;
  /** Another tensor in the activation's place: float32, [channel] or anything that broadcasts to it. */
  replace(tensor: Tensor, options?: EditOptions): Edit;
  /** Zero, or each channel's mean over positions (y and x, or tokens) in the same picture; for a mean over a data set use `replace`. */
  ablate(by?: "zero" | "mean", options?: EditOptions): Edit;
  /** Any program; it must keep dtype and shape. Use one function object again to share its compiled session. */
  graph(program: ActivationProgram): Edit;
}

/** Names activations to edit: exact path, glob or value name, as `ModuleTree.find` takes them. */
export function at(pattern: string): EditTarget {
  return {
    scale: (strength, options = {}) => ({
      pattern,
      structure: structure(pattern, "scale"),
      label: `${pattern} × ${shown(strength)}`,
      program: (point, input) => (x, g) => x.mul(g.input(input("scale"), "float32", loose(point)).cast(x.dtype)),
      feeds: (point, context) => ({ scale: gains(point, options, context, strength, 1) }),
    }),
    add: (direction, strength = 1, options = {}) => {
      const tensor = direction instanceof Tensor ? expectFloat32(direction, `at("${pattern}").add`) : float32(direction);
      return {
        pattern,
        structure: structure(pattern, "add"),
        label: `${pattern} + ${shown(strength)}·${tensorText(tensor)}`,
        program: (point, input) => (x, g) => x.add(g.input(input("delta"), "float32", loose(point)).cast(x.dtype)),
        feeds: (point, context) => ({ delta: product(gains(point, options, context, strength, 0), aligned(tensor, point)) }),
      };
    },
    replace: (tensor, options = {}) => {
      const values = expectFloat32(tensor, `at("${pattern}").replace`);
      return {
        pattern,
        structure: structure(pattern, "replace"),
        label: `${pattern} ← ${tensorText(values)}`,
        program: (point, input) => (x, g) => {
          const by = g.input(input("value"), "float32", loose(point)).cast(x.dtype);
          return g.where(g.input(input("mask"), "bool", loose(point)), by, x);
        },
        feeds: (point, context) => ({ value: aligned(values, point), mask: mask(point, options, context) }),
      };
    },
    ablate: (by = "zero", options = {}) => ({
      pattern,
      structure: structure(pattern, `ablate ${by}`),
      label: `${pattern} ablated (${by})`,
      program: (point, input) => (x, g) => {
        const chosen = g.input(input("mask"), "bool", loose(point));
        return g.where(chosen, by === "zero" ? g.scalar(0, x.dtype) : reduceOver(x, g, "ReduceMean", meanAxes(point), true), x);
      },
      feeds: (point, context) => ({ mask: mask(point, options, context) }),
    }),
    graph: (program) => ({
      pattern,
      structure: structure(pattern, `graph ${identityOf(program)}`),
      label: `${pattern} → ${program.name || "program"}`,
      program: () => program,
      feeds: () => ({}),
    }),
  };
}

const identities = new WeakMap<object, number>();
let identityCount = 0;

/** A number per object, so that a function can be part of a key. */
export function identityOf(object: object): number {
  const id = identities.get(object) ?? ++identityCount;
  identities.set(object, id);
  return id;
}

function structure(pattern: string, kind: string): string {
  return `${kind} @ ${pattern}`;
}

function shown(strength: Strength): string {
  return typeof strength === "number" ? String(strength) : "strength(step)";
}

/** Shape and digest: with them a manifest tells one direction from another. */
function tensorText(tensor: Tensor): string {
  return `[${tensor.shape.join("×")}] ${tensorDigest(tensor).slice(0, 12)}`;
}

/** An input that broadcasts against the activation: its rank, every axis left open. */
function loose(point: HookPoint): Dim[] {
  return (point.shape ?? []).map(() => undefined);
}

function meanAxes(point: HookPoint): number[] {
  const axes = positionAxes(point.axes);
  if (axes.length === 0)
    throw new RangeError(`at("${point.path}").ablate: no positions to average, its axes are [${point.axes.join(", ")}]`);
  return axes;
}

/** One gain per row and channel where the options tell them apart, `neutral` where the edit does not reach. */
function gains(
  point: HookPoint,
  options: EditOptions,
  context: StepContext,
  strength: Strength,
  neutral: number,
): Tensor<"float32"> {
  const { shape, reached } = reach(point, options, context);
  const full = typeof strength === "number" ? strength : strength(context);
  if (!Number.isFinite(full)) throw new RangeError(`edit at ${point.path}: the strength must be a finite number, got ${full}`);
  return new Tensor(
    "float32",
    Float32Array.from(reached, (hit) => (hit ? full : neutral)),
    shape,
  );
}

function mask(point: HookPoint, options: EditOptions, context: StepContext): Tensor<"bool"> {
  const { shape, reached } = reach(point, options, context);
  return new Tensor("bool", Uint8Array.from(reached, Number), shape);
}

/** Which rows and channels an edit reaches, as a tensor of the activation's rank; axes that do not matter have length 1. */
function reach(
  point: HookPoint,
  { branch, channels, when }: EditOptions,
  context: StepContext,
): { shape: number[]; reached: boolean[] } {
  const shape = (point.shape ?? []).map(() => 1);
  const active = when === undefined || when(context);
  let rows: readonly boolean[] = [active];
  if (branch !== undefined) {
    if (context.branches === undefined) {
      throw new RangeError(`edit at ${point.path}: branch "${branch}" needs a guided run; this one has no cond and uncond rows`);
    }
    if (point.axes[0] !== "batch") {
      throw new RangeError(
        `edit at ${point.path}: its rows cannot be told apart by branch, its axes are [${point.axes.join(", ")}]`,
      );
    }
    rows = context.branches.map((b) => active && b === branch);
    shape[0] = rows.length;
  }
  if (channels === undefined) return { shape, reached: [...rows] };
  const axis = point.axes.indexOf("channel");
  const count = point.shape?.[axis];
  if (typeof count !== "number")
    throw new RangeError(`edit at ${point.path}: it has no channel axis of known length to pick channels from`);
  for (const c of channels) {
    if (!Number.isInteger(c) || c < 0 || c >= count)
      throw new RangeError(`edit at ${point.path}: channels are 0…${count - 1}, got ${c}`);
  }
  shape[axis] = count;
  const chosen = new Set(channels);
  return { shape, reached: rows.flatMap((row) => Array.from({ length: count }, (_, c) => row && chosen.has(c))) };
}

/** A tensor brought to the activation's rank: a vector lies along channels, anything else aligns at the last axes. */
function aligned(tensor: Tensor<"float32">, point: HookPoint): Tensor<"float32"> {
  const rank = point.shape?.length ?? tensor.shape.length;
  const channel = point.axes.indexOf("channel");
  const shape = Array.from({ length: rank }, () => 1);
  if (tensor.shape.length === 1 && channel >= 0) shape[channel] = tensor.size;
  else if (tensor.shape.length <= rank) shape.splice(rank - tensor.shape.length, tensor.shape.length, ...tensor.shape);
  else throw misfit(tensor, point);
  shape.forEach((d, i) => {
    const actual = point.shape?.[i];
    if (d !== 1 && typeof actual === "number" && d !== actual) throw misfit(tensor, point);
  });
  return tensor.reshape(shape);
}

function misfit(tensor: Tensor, point: HookPoint): RangeError {
  const shape = point.shape?.map((d, i) => `${point.axes[i] ?? "axis"} ${d ?? "?"}`).join(", ");
  return new RangeError(`edit at ${point.path}: [${tensor.shape.join(", ")}] does not broadcast to its activation [${shape}]`);
}

/**
 * gain·direction, broadcast over both. Where the gain is 0 the product is −0, the one number whose addition
 * changes no bit (−0 + +0 would turn a −0 into +0).
 */
function product(gain: Tensor<"float32">, direction: Tensor<"float32">): Tensor<"float32"> {
  const shape = gain.shape.map((d, i) => Math.max(d, direction.shape[i]!));
  const data = allocate("float32", sizeOf(shape));
  const at = shape.map(() => 0);
  for (let n = 0; n < data.length; n++) {
    const g = gain.data[offset(at, gain.shape)]!;
    data[n] = g === 0 ? -0 : g * direction.data[offset(at, direction.shape)]!;
    for (let axis = shape.length - 1; axis >= 0 && ++at[axis]! === shape[axis]; axis--) at[axis] = 0;
  }
  return new Tensor("float32", data, shape);
}

/** Position of an index in a tensor that broadcasts along its axes of length 1. */
function offset(index: readonly number[], shape: readonly number[]): number {
  let n = 0;
  for (let i = 0; i < shape.length; i++) n = n * shape[i]! + (shape[i] === 1 ? 0 : index[i]!);
  return n;
}
