import type { Activation, Axis } from "../../hooks/index.js";
import { sizeOf, Tensor, toFloat32 } from "../../tensor/index.js";
import type { ModelCall } from "./generation.js";

/** What one run of the network captured; its rows are branch × item, the conditional branch last. */
export interface RecordedBatch {
  readonly items: number;
  readonly branches: number;
  readonly activations: Readonly<Record<string, Activation>>;
}

/**
 * Gathers the activations of a trajectory, call by call, and gives them the axes [step, branch, item, …].
 * A step is one model call: samplers of second order make two in a step of theirs. Where a call did without the
 * unconditional branch its numbers are NaN. What a capture holds of one branch alone has no axis `branch`; what left the
 * runtime in float16 is float32 again.
 */
export class ActivationRecorder {
  readonly #branches: number;
  readonly #items: number;
  readonly #recorded: Record<string, Activation<Tensor<"float32">>>[] = [];
  readonly #calls: ModelCall[] = [];

  constructor(branches: number, items: number) {
    this.#branches = branches;
    this.#items = items;
  }

  /** Adds one model call over all items, made in one batch or several. */
  add(batches: readonly RecordedBatch[], call: ModelCall): void {
    const joined: Record<string, Activation<Tensor<"float32">>> = {};
    for (const key of Object.keys(batches[0]?.activations ?? {})) joined[key] = this.#joinItems(batches, key);
    this.#recorded.push(joined);
    this.#calls.push(call);
  }

  /** Everything recorded, by key. */
  activations(): Record<string, Activation<Tensor<"float32">>> {
    const joined: Record<string, Activation<Tensor<"float32">>> = {};
    for (const [key, first] of Object.entries(this.#recorded[0] ?? {})) {
      const data = new Float32Array(this.#recorded.length * first.tensor.size);
      for (const [i, call] of this.#recorded.entries()) data.set(call[key]!.tensor.data, i * first.tensor.size);
      const tensor = new Tensor("float32", data, [this.#recorded.length, ...first.tensor.shape]);
      joined[key] = { ...first, axes: ["step", ...first.axes], tensor, calls: this.#calls };
    }
    return joined;
  }

  /** Rows of batches as one tensor [branch, item, …]; an activation without a batch axis stays as it is. */
  #joinItems(batches: readonly RecordedBatch[], key: string): Activation<Tensor<"float32">> {
    const [first] = batches as readonly [RecordedBatch];
    const { hookPoint, axes, tensor, branch: only } = first.activations[key]!;
    const perRow = only === undefined ? tensor.shape[0]! / (first.branches * first.items) : 1;
    const isBatched = axes[0] === "batch" ? perRow === 1 : axes[0] === "batch*head" && Number.isInteger(perRow);
    if (!isBatched) return { hookPoint, axes, tensor: toFloat32(tensor) };

    const heads: Axis[] = axes[0] === "batch" ? [] : ["head"];
    const rest = [...(heads.length > 0 ? [perRow] : []), ...tensor.shape.slice(1)];
    const size = sizeOf(rest);
    const held = only === undefined ? this.#branches : 1;
    const shape = [...(only === undefined ? [held] : []), this.#items, ...rest];
    const joined = (rows: Tensor<"float32">): Activation<Tensor<"float32">> => ({
      hookPoint,
      axes: [...(only === undefined ? (["branch"] as const) : []), "item", ...heads, ...axes.slice(1)],
      tensor: rows.reshape(shape),
      ...(only && { branch: only }),
    });
    // All rows in one batch are as they are to be.
    if (batches.length === 1 && tensor.size === sizeOf(shape)) return joined(toFloat32(tensor));
    const data = new Float32Array(held * this.#items * size).fill(Number.NaN);
    let start = 0;
    for (const { items, activations } of batches) {
      const rows = toFloat32(activations[key]!.tensor);
      const branches = rows.size / (items * size);
      for (let b = 0; b < branches; b++) {
        const branch = held - branches + b;
        data.set(rows.data.subarray(b * items * size, (b + 1) * items * size), (branch * this.#items + start) * size);
      }
      start += items;
    }
    return joined(new Tensor("float32", data, shape));
  }
}
