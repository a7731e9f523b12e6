import { float32, Tensor } from "../../tensor/index.js";
import type { Axis, HookPoint } from "../hook-point.js";
import { type Branch, expectBranch, itemsOf, type StepContext } from "./edit.js";
import { shapeText, strengthAt, tensorText } from "./operand.js";
import { coverage, type Region, regionGrid } from "./region.js";

/**
 * How much of an edit takes effect along a trajectory: a table from timesteps to shares, straight lines between its entries
 * and constant outside them, or a function. 0 is nothing, 1 all of it.
 */
export type Schedule = Readonly<Record<number, number>> | ((context: StepContext) => number);

/** Limits an edit; those given hold together. Where an edit does not reach, the activation passes bit by bit. */
export interface EditOptions {
  /** Only this part of the guidance batch; default both. */
  readonly branch?: Branch;
  /** Only these pictures of the run; default all. */
  readonly items?: readonly number[];
  /** Only these steps of the sampler, counted from 0; default all. */
  readonly steps?: readonly number[];
  /** Only timesteps low ≤ t ≤ high, or those listed; default all. */
  readonly timesteps?: readonly [low: number, high: number] | { readonly only: readonly number[] };
  /** Only steps for which this holds; default all. It cannot be written into a manifest. */
  readonly when?: (context: StepContext) => boolean;
  /** x + share·(edited − x); default 1. */
  readonly schedule?: Schedule;
  /** Only these channels; default all. */
  readonly channels?: readonly number[];
  /** Only these heads of an attention; default all. */
  readonly heads?: readonly number[];
  /** Only these tokens of a sequence, or keys of attention probabilities; default all. */
  readonly tokens?: readonly number[];
  /** Only this part of the picture, x + share·(edited − x) where it is soft; default all of it. Rows of tokens (or queries) are read as a grid of the region's proportions. */
  readonly region?: Region;
}

const rowLimits = ["branch", "items", "steps", "timesteps", "when", "schedule"] as const;
const axisLimits = ["channels", "heads", "tokens", "region"] as const;

/** One weight of an edit, along some axes of the activation. */
export type Factor = "rows" | (typeof axisLimits)[number];

/** Which factors options bring; they decide the program, their numbers do not. */
export function factorsOf(options: EditOptions): Factor[] {
  const axes = axisLimits.filter((name) => options[name] !== undefined);
  return rowLimits.some((name) => options[name] !== undefined) ? ["rows", ...axes] : axes;
}

/** Whether places may be reached in part. */
export function isSoft({ schedule, region }: EditOptions): boolean {
  return schedule !== undefined || region !== undefined;
}

/** How far an edit reaches each row of the batch, 0 for not at all; one number where all rows share it. */
export function rowWeights(point: HookPoint, options: EditOptions, context: StepContext): number[] {
  const { branch, items } = options;
  const share = shareAt(point, options, context);
  if (branch === undefined && items === undefined) return [share];
  if (point.axes[0] !== "batch") {
    throw new RangeError(`edit at ${point.path}: its rows cannot be told apart, its axes are [${point.axes.join(", ")}]`);
  }
  if (branch !== undefined) expectBranch(branch, context.branches, `edit at ${point.path}`);
  return itemsOf(context, point.path).map((item, row) => {
    const isReached = (branch ?? context.branches?.[row]) === context.branches?.[row] && (items?.includes(item) ?? true);
    return isReached ? share : 0;
  });
}

function shareAt(point: HookPoint, { steps, timesteps, when, schedule }: EditOptions, context: StepContext): number {
  const timestep = (): number => {
    if (context.timestep !== undefined) return context.timestep;
    throw new RangeError(
      `edit at ${point.path}: it is limited by timesteps and this run does not tell them; pass context.timestep`,
    );
  };
  if (steps?.includes(context.step) === false) return 0;
  if (timesteps !== undefined) {
    const [low, high] = "only" in timesteps ? [] : timesteps;
    if ("only" in timesteps ? !timesteps.only.includes(timestep()) : !(low! <= timestep() && timestep() <= high!)) return 0;
  }
  if (when?.(context) === false) return 0;
  if (schedule === undefined) return 1;
  return strengthAt(typeof schedule === "function" ? schedule : interpolated(schedule, timestep()), context, point.path);
}

function interpolated(table: Readonly<Record<number, number>>, t: number): number {
  const entries = Object.entries(table)
    .map(([timestep, share]) => [Number(timestep), share] as const)
    .sort(([a], [b]) => a - b);
  const after = entries.findIndex(([timestep]) => timestep >= t);
  const [t1, w1] = entries.at(after) ?? [Number.NaN, Number.NaN];
  if (after <= 0) return w1;
  const [t0, w0] = entries[after - 1]!;
  return w0 + ((w1 - w0) * (t - t0)) / (t1 - t0);
}

/** Weights to feed, of the activation's rank; axes that do not matter have length 1. @throws RangeError where an axis is missing or shorter */
export function factorFeed(factor: Factor, point: HookPoint, options: EditOptions, rows: readonly number[]): Tensor<"float32"> {
  switch (factor) {
    case "rows":
      return along(point, { 0: rows.length }, rows);
    case "channels":
      return picked(point, "channels", ["channel"], options.channels!);
    case "heads":
      return picked(point, "heads", ["head"], options.heads!);
    case "tokens":
      return picked(point, "tokens", ["token", "key"], options.tokens!);
    case "region":
      return regionFeed(point, options.region!);
  }
}

function along(
  point: HookPoint,
  lengths: Readonly<Record<number, number>>,
  data: readonly number[] | Float32Array,
): Tensor<"float32"> {
  return float32(
    data,
    point.axes.map((_, i) => lengths[i] ?? 1),
  );
}

function picked(point: HookPoint, name: string, axes: readonly Axis[], indices: readonly number[]): Tensor<"float32"> {
  const axis = point.axes.findIndex((a) => axes.includes(a));
  const length = point.shape?.[axis];
  if (typeof length !== "number") {
    throw new RangeError(
      `edit at ${point.path}: it has no ${axes.join(" or ")} axis of known length to pick ${name} from, its activation is [${shapeText(point)}]`,
    );
  }
  const wrong = indices.find((i) => !(Number.isInteger(i) && i >= 0 && i < length));
  if (wrong !== undefined) throw new RangeError(`edit at ${point.path}: ${name} are 0…${length - 1}, got ${wrong}`);
  const weights = new Float32Array(length);
  for (const i of indices) weights[i] = 1;
  return along(point, { [axis]: length }, weights);
}

function regionFeed(point: HookPoint, region: Region): Tensor<"float32"> {
  const { axes, shape, path } = point;
  const where = `edit at ${path}`;
  const [y, x] = [axes.indexOf("y"), axes.indexOf("x")];
  const [height, width] = [shape?.[y], shape?.[x]];
  if (typeof height === "number" && typeof width === "number") {
    return along(point, { [y]: height, [x]: width }, coverage(region, height, width, where));
  }
  const row = axes.findIndex((axis) => axis === "token" || axis === "query");
  const count = shape?.[row];
  const [rows, columns] = regionGrid(region, typeof count === "number" ? count : undefined, where);
  return along(point, { [row]: rows * columns }, coverage(region, rows, columns, where));
}

/** Limits in words, for labels; "" where there are none. */
export function limitsText(options: EditOptions): string {
  const parts = Object.entries(options)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name} ${valueText(value)}`);
  return parts.length === 0 ? "" : ` (${parts.join(", ")})`;
}

function valueText(value: unknown): string {
  if (typeof value === "function") return "by a function";
  return value instanceof Tensor ? tensorText(value) : JSON.stringify(value).replaceAll('"', "");
}
