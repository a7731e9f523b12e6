import { float32, orthonormalRows } from "../../tensor/index.js";
import type { Edit } from "./edit.js";
import type { EditOptions } from "./limits.js";
import { channelUpdate, transposed } from "./low-rank.js";
import { type Operand, operand, type Strength, shown, tensorText } from "./operand.js";

/**
 * x − strength·Σ(x·u)u at every place, over an orthonormal basis u of the directions: 1 takes the subspace out, 0 leaves it.
 * @param directions float32 [channel] or [k, channel]; need not be orthogonal, of unit length or independent
 * @throws RangeError, when it runs, if they do not have the activation's channels
 * @see Ravfogel et al. 2020, arXiv:2004.07667; Arditi et al. 2024, arXiv:2406.11717
 */
export function projectOut(pattern: string, directions: Operand, strength: Strength = 1, options: EditOptions = {}): Edit {
  const given = operand(directions, `at("${pattern}").projectOut`);
  const rows = given.shape.length === 1 ? given.reshape([1, -1]) : given;
  const [count = 0, width = 0, ...rest] = rows.shape;
  if (count * width === 0 || rest.length > 0) {
    throw new RangeError(`at("${pattern}").projectOut: expected directions [channel] or [k, channel], got ${given}`);
  }
  const basis = float32(Float32Array.from(orthonormalRows(Float64Array.from(rows.data), count, width)), rows.shape);
  const negative = float32(
    basis.data.map((v) => -v),
    basis.shape,
  );
  const label = `${pattern} − ${shown(strength)}·projection on ${tensorText(given)}`;
  return channelUpdate(pattern, { label, down: basis, up: transposed(negative) }, strength, options);
}
