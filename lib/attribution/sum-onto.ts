import { sizeOf, type Tensor } from "../tensor/index.js";

/** Sums over all axes but those kept; `cellOf` tells in which sum number i of the tensor went. */
export interface Sums {
  readonly sums: Float64Array;
  readonly shape: readonly number[];
  cellOf(i: number): number;
}

/** A tensor summed onto some of its axes, in their order. */
export function sumOnto({ data, shape }: Tensor<"float32">, axes: readonly number[]): Sums {
  const strides = shape.map((_, axis) => sizeOf(shape.slice(axis + 1)));
  const kept = axes.map((axis) => shape[axis]!);
  const cellOf = (i: number): number =>
    axes.reduce((cell, axis) => cell * shape[axis]! + (Math.floor(i / strides[axis]!) % shape[axis]!), 0);
  const sums = new Float64Array(sizeOf(kept));
  for (let i = 0; i < data.length; i++) sums[cellOf(i)]! += data[i]!;
  return { sums, shape: kept, cellOf };
}
