import type { Activation, Axis } from "../../hooks/index.js";
import { expectFloat32, sizeOf, Tensor } from "../../tensor/index.js";

/** What one model call over some of the items captured; its rows are branch × item. */
export interface RecordedBatch {
  readonly items: number;
  readonly activations: Readonly<Record<string, Activation>>;
}

/**
 * Gathers the activations of a trajectory, call by call, and gives them the axes [step, branch, item, …].
 * A step is one model call: samplers of second order make two per step of theirs.
 */
export class ActivationRecorder {
  readonly #branches: number;
  readonly #calls: Record<string, Activation<Tensor<"float32">>>[] = [];

  constructor(branches: number) {
    this.#branches = branches;
  }

  /** Adds one model call over all items, made in one batch or several. */
  add(batches: readonly RecordedBatch[]): void {
    const call: Record<string, Activation<Tensor<"float32">>> = {};
    for (const key of Object.keys(batches[0]?.activations ?? {})) call[key] = joinItems(batches, key, this.#branches);
    this.#calls.push(call);
  }

  /** Everything recorded, by key. */
  activations(): Record<string, Activation<Tensor<"float32">>> {
    const joined: Record<string, Activation<Tensor<"float32">>> = {};
    for (const [key, first] of Object.entries(this.#calls[0] ?? {})) {
      const parts = this.#calls.map((call) => call[key]!.tensor);
      const data = new Float32Array(parts.length * first.tensor.size);
      parts.forEach((part, i) => {
        data.set(part.data, i * first.tensor.size);
      });
      const tensor = new Tensor("float32", data, [parts.length, ...first.tensor.shape]);
      joined[key] = { hookPoint: first.hookPoint, axes: ["step", ...first.axes], tensor };
    }
    return joined;
  }
}

/** Rows of batches [branch, items of the batch, …] as one tensor [branch, item, …]; what has no batch axis stays as it is. */
function joinItems(batches: readonly RecordedBatch[], key: string, branches: number): Activation<Tensor<"float32">> {
  const parts = batches.map(({ items, activations }) => ({ items, tensor: expectFloat32(activations[key]!.tensor, key) }));
  const { hookPoint, axes } = batches[0]!.activations[key]!;
  const { items: firstItems, tensor: first } = parts[0]!;
  const perRow = first.shape[0]! / (branches * firstItems);
  const batched = axes[0] === "batch" ? perRow === 1 : axes[0] === "batch*head" && Number.isInteger(perRow);
  if (!batched) return { hookPoint, axes, tensor: first };

  const items = parts.reduce((sum, part) => sum + part.items, 0);
  const heads: Axis[] = axes[0] === "batch" ? [] : ["head"];
  const rest = [...(heads.length > 0 ? [perRow] : []), ...first.shape.slice(1)];
  const size = sizeOf(rest);
  const data = new Float32Array(branches * items * size);
  let done = 0;
  for (const part of parts) {
    const block = part.items * size;
    for (let b = 0; b < branches; b++) data.set(part.tensor.data.subarray(b * block, (b + 1) * block), (b * items + done) * size);
    done += part.items;
  }
  return {
    hookPoint,
    axes: ["branch", "item", ...heads, ...axes.slice(1)],
    tensor: new Tensor("float32", data, [branches, items, ...rest]),
  };
}
