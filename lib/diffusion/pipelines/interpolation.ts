import { Tensor } from "../../tensor/index.js";
import { concatRows } from "../batches.js";

/**
 * Spherical interpolation: the point a share `t` of the way along the great circle through two tensors. Noise stays
 * noise of the same norm on it, which a straight line does not keep. Nearly parallel tensors are mixed linearly.
 * @param a float32, any shape; taken as one vector
 * @param b of the same shape
 * @see Shoemake 1985; for latents of diffusion models Song et al. 2020, arXiv:2010.02502, App. D.5
 */
export function slerp(a: Tensor<"float32">, b: Tensor<"float32">, t: number): Tensor<"float32"> {
  expectAlike("slerp", a, b);
  let [dot, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.size; i++) {
    dot += a.data[i]! * b.data[i]!;
    aa += a.data[i]! ** 2;
    bb += b.data[i]! ** 2;
  }
  const cosine = Math.min(Math.max(dot / Math.sqrt(aa * bb), -1), 1);
  if (!(Math.abs(cosine) < 0.9995)) return lerp(a, b, t);
  const angle = Math.acos(cosine);
  return combine([a, b], [Math.sin((1 - t) * angle) / Math.sin(angle), Math.sin(t * angle) / Math.sin(angle)]);
}

/** (1 − t)·a + t·b: how text states are mixed. */
export function lerp(a: Tensor<"float32">, b: Tensor<"float32">, t: number): Tensor<"float32"> {
  expectAlike("lerp", a, b);
  return combine([a, b], [1 - t, t]);
}

/** Σ weights[k]·tensors[k], such as a − b + c of latents: weights [1, −1, 1]. @throws RangeError unless all have one shape */
export function combine(tensors: readonly Tensor<"float32">[], weights: readonly number[]): Tensor<"float32"> {
  const [first] = tensors;
  if (first === undefined || weights.length !== tensors.length)
    throw new RangeError(`combine: expected a weight for each tensor, got ${weights.length} for ${tensors.length}`);
  for (const tensor of tensors) expectAlike("combine", first, tensor);
  const data = first.data.map((_, i) => tensors.reduce((sum, tensor, k) => sum + weights[k]! * tensor.data[i]!, 0));
  return new Tensor("float32", data, first.shape);
}

/**
 * A way from one tensor to another: [frames, …] with both ends in it.
 * @param a float32 [1, …], one item
 */
export function between(
  a: Tensor<"float32">,
  b: Tensor<"float32">,
  frames: number,
  way: typeof slerp = slerp,
): Tensor<"float32"> {
  if (!Number.isSafeInteger(frames) || frames < 2)
    throw new RangeError(`between: frames must be a whole number ≥ 2, got ${frames}`);
  return concatRows(Array.from({ length: frames }, (_, i) => way(a, b, i / (frames - 1))));
}

function expectAlike(who: string, a: Tensor<"float32">, b: Tensor<"float32">): void {
  if (a.shape.join() !== b.shape.join()) throw new RangeError(`${who}: expected tensors of one shape, got ${a} and ${b}`);
}
