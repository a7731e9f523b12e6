import { expectFloat32, type Tensor } from "../tensor/index.js";

/** Points that no embedding can be made of: not finite, all the same, or too few that differ. */
export class DegenerateInputError extends RangeError {
  override readonly name: string = "DegenerateInputError";
}

/** Points as rows. @throws TypeError on another dtype; RangeError unless float32 [n, d]; DegenerateInputError on NaN or infinity */
export function expectRows(x: Tensor, where: string): Tensor<"float32"> {
  const points = expectFloat32(x, where);
  if (points.shape.length !== 2 || points.size === 0) {
    throw new RangeError(`${where}: expected points as rows [n, d], got ${points}; reshape them`);
  }
  const wrong = points.data.findIndex((v) => !Number.isFinite(v));
  if (wrong >= 0) {
    const [row, column] = [Math.floor(wrong / points.shape[1]!), wrong % points.shape[1]!];
    throw new DegenerateInputError(
      `${where}: point ${row} is ${points.data[wrong]} at coordinate ${column}; drop such points before`,
    );
  }
  return points;
}

/** Mean of each column. */
export function columnMeans({ data, shape }: Tensor<"float32">): Float64Array {
  const [n, d] = shape as [number, number];
  const mean = new Float64Array(d);
  for (let i = 0; i < n; i++) for (let j = 0; j < d; j++) mean[j] = mean[j]! + data[i * d + j]!;
  return mean.map((sum) => sum / n);
}

/** Row ranges of a table that keep `perRow` numbers per row near `limit` numbers per range. */
export function blocks(rows: number, perRow: number, limit: number = 2 ** 23): [start: number, end: number][] {
  const size = Math.max(1, Math.floor(limit / perRow));
  return Array.from({ length: Math.ceil(rows / size) }, (_, i) => [i * size, Math.min(rows, (i + 1) * size)]);
}
