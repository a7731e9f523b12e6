import { sizeOf, Tensor } from "../tensor/index.js";
import type { Branch } from "./edits/edit.js";
import type { Axis, HookPoint } from "./hook-point.js";

/** A captured activation. */
export interface Activation<T extends Tensor = Tensor> {
  readonly hookPoint: HookPoint;
  /** Names of the tensor's axes. */
  readonly axes: readonly Axis[];
  readonly tensor: T;
  /** The guidance branch whose rows these are, where the capture asked for one. */
  readonly branch?: Branch;
  /** The model calls behind the axis `step`. */
  readonly calls?: readonly { readonly step: number; readonly timestep: number }[];
}

/**
 * The part of an activation at the given indices, without those axes: `select(a, { step: 3, branch: 1, item: 0 })`.
 * Negative indices count from the end.
 * @throws RangeError if the activation has no such axis, or it is shorter
 */
export function select(activation: Activation, at: Partial<Readonly<Record<Axis, number>>>): Activation<Tensor<"float32">> {
  let { axes } = activation;
  let tensor = activation.tensor as Tensor<"float32">;
  for (const [axis, asked] of Object.entries(at) as [Axis, number][]) {
    const i = axes.indexOf(axis);
    const length = tensor.shape[i];
    if (length === undefined)
      throw new RangeError(`select ${activation.hookPoint.path}: no axis "${axis}" among [${axes.join(", ")}]`);
    const index = asked < 0 ? asked + length : asked;
    if (!Number.isInteger(index) || index < 0 || index >= length) {
      throw new RangeError(`select ${activation.hookPoint.path}: ${axis} must be 0…${length - 1}, got ${asked}`);
    }
    tensor = take(tensor, i, index);
    axes = axes.filter((_, k) => k !== i);
  }
  const { hookPoint, branch, calls } = activation;
  return { hookPoint, axes, tensor, ...(branch && { branch }), ...(calls && axes.includes("step") && { calls }) };
}

function take(tensor: Tensor<"float32">, axis: number, index: number): Tensor<"float32"> {
  const before = sizeOf(tensor.shape.slice(0, axis));
  const after = sizeOf(tensor.shape.slice(axis + 1));
  const length = tensor.shape[axis]!;
  const data = new Float32Array(before * after);
  for (let i = 0; i < before; i++) {
    const start = (i * length + index) * after;
    data.set(tensor.data.subarray(start, start + after), i * after);
  }
  return new Tensor("float32", data, tensor.shape.toSpliced(axis, 1));
}
