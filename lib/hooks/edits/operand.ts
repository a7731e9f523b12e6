import { expectFloat32, float32, scalar, Tensor, tensorDigest } from "../../tensor/index.js";
import type { HookPoint } from "../hook-point.js";
import type { StepContext } from "./edit.js";

/** A number, or one that follows the trajectory. */
export type Strength = number | ((context: StepContext) => number);

/** A tensor that broadcasts to an activation; a plain vector lies along its channels. */
export type Operand = Tensor | Float32Array | readonly number[];

/** @throws TypeError on another dtype than float32; RangeError on NaN or infinity, which would spread over the whole activation */
export function operand(given: Operand, where: string): Tensor<"float32"> {
  const tensor = given instanceof Tensor ? expectFloat32(given, where) : float32(given);
  if (!tensor.data.every(Number.isFinite))
    throw new RangeError(`${where}: expected finite numbers, ${tensor} holds NaN or infinity`);
  return tensor;
}

/** The strength at a call. @throws RangeError unless it is finite */
export function strengthAt(strength: Strength, context: StepContext, path: string): number {
  const value = typeof strength === "number" ? strength : strength(context);
  if (!Number.isFinite(value)) throw new RangeError(`edit at ${path}: the strength must be a finite number, got ${value}`);
  return value;
}

/** The strength at a call as something to feed. */
export function strengthFeed(strength: Strength, context: StepContext, { path }: HookPoint): Tensor<"float32"> {
  return scalar(strengthAt(strength, context, path));
}

/** A strength in a label. */
export function shown(strength: Strength): string {
  return typeof strength === "number" ? String(strength) : "strength(step)";
}

/** Shape and digest: with them a label tells one direction from another. */
export function tensorText(tensor: Tensor): string {
  return `[${tensor.shape.join("×")}] ${tensorDigest(tensor).slice(0, 12)}`;
}

/**
 * A tensor brought to the activation's rank: a vector lies along channels, anything else aligns at the last axes.
 * @throws RangeError if it does not broadcast to the activation
 */
export function aligned(tensor: Tensor<"float32">, point: HookPoint): Tensor<"float32"> {
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

/** One tensor per row of the batch, each without a batch axis, as one that broadcasts to the activation. */
export function alignedRows(rows: readonly Tensor<"float32">[], point: HookPoint): Tensor<"float32"> {
  const [first] = rows as [Tensor<"float32">];
  const row = aligned(first, point);
  if (point.axes[0] !== "batch" || row.shape[0] !== 1) throw misfit(first, point);
  const data = new Float32Array(rows.length * row.size);
  for (const [i, { data: numbers }] of rows.entries()) data.set(numbers, i * row.size);
  return float32(data, [rows.length, ...row.shape.slice(1)]);
}

function misfit(tensor: Tensor, point: HookPoint): RangeError {
  return new RangeError(
    `edit at ${point.path}: [${tensor.shape.join(", ")}] does not broadcast to its activation [${shapeText(point)}]`,
  );
}

/** Axis names with their lengths, for messages. */
export function shapeText({ axes, shape }: HookPoint): string {
  return axes.map((axis, i) => `${axis} ${shape?.[i] ?? "?"}`).join(", ");
}
