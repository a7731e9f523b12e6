import { createHash } from "node:crypto";
import type { Tensor } from "./tensor.js";

/** SHA-256 of tensors' dtypes, shapes and numbers, in their order: equal for equal tensors. */
export function tensorDigest(...tensors: readonly Tensor[]): string {
  const digest = createHash("sha256");
  for (const { dtype, shape, bytes } of tensors) digest.update(`${dtype}[${shape.join()}]`).update(bytes);
  return digest.digest("hex");
}
