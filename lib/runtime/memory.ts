import { statSync } from "node:fs";
import type { Model } from "../onnx/index.js";
import { bytesPerElement, type DType, sizeOf } from "../tensor/index.js";
import { MemoryBudgetError } from "./errors.js";

/** Below this, asking the system costs more than the answer is worth. */
const negligibleBytes = 2 ** 26;

/** Memory this process may still take, in bytes: what the system, or the container around it, has left. */
export function availableMemoryBytes(): number {
  return process.availableMemory();
}

/** @throws MemoryBudgetError if `neededBytes` exceed the budget or what the machine has left without swapping */
export function reserveMemory(what: string, neededBytes: number, budgetBytes: number | undefined): void {
  if (budgetBytes !== undefined && neededBytes > budgetBytes) throw new MemoryBudgetError(what, neededBytes, budgetBytes);
  if (neededBytes < negligibleBytes) return;
  const availableBytes = availableMemoryBytes();
  if (neededBytes > availableBytes) throw new MemoryBudgetError(what, neededBytes, availableBytes);
}

/** Weights in a file are mapped and packed for the kernels: once their size, and half as much in passing. */
const perFileByte = 1.5;

/** Weights in memory are also copied there: at worst twice their size. */
const perByte = 2;

/** About what opening a model takes at its peak, in bytes. */
export function openingBytes(model: Model | Uint8Array | string): number {
  if (typeof model === "string") {
    return perByte * fileBytes(model) + perFileByte * (fileBytes(`${model}.data`) + fileBytes(`${model}_data`));
  }
  if (!("graph" in model)) return perByte * model.byteLength;
  // The CPU computes in float32, to which it widens half-precision weights.
  const widened = (dtype: DType): number => (dtype === "float16" ? 4 : bytesPerElement(dtype));
  return model.graph.initializers.reduce(
    (sum, { dtype, shape, data }) => sum + (data.kind === "external" ? perFileByte : perByte) * widened(dtype) * sizeOf(shape),
    0,
  );
}

/** A path that does not exist counts nothing here; the runtime reports it when it opens it. */
function fileBytes(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
