import { expectFloat32, float32, type Tensor } from "../tensor/index.js";

/** One output of several batches, float32 [n of the batch, …], as one tensor. */
export function joinRows(batches: readonly Readonly<Record<string, Tensor>>[], name: string): Tensor<"float32"> {
  const parts = batches.map((batch) => expectFloat32(batch[name]!, name));
  if (parts.length === 1) return parts[0]!;
  const rows = parts.reduce((sum, part) => sum + part.shape[0]!, 0);
  const data = new Float32Array(parts.reduce((sum, part) => sum + part.size, 0));
  let at = 0;
  for (const part of parts) {
    data.set(part.data, at);
    at += part.size;
  }
  return float32(data, [rows, ...(parts[0]?.shape.slice(1) ?? [])]);
}
