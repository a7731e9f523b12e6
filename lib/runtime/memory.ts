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
