import { int64, Rng, type Tensor } from "../../tensor/index.js";
import { positionAxes } from "../axes.js";
import type { HookPoint } from "../hook-point.js";
import { type Edit, itemsOf, type StepContext } from "./edit.js";
import { limitedEdit, type UnlimitedEdit } from "./limited-edit.js";
import type { EditOptions } from "./limits.js";
import { aligned, alignedRows, operand, tensorText } from "./operand.js";
import { fedValue } from "./replace.js";

/**
 * What stands in for an ablated activation:
 * - `"zero"`;
 * - `"mean"`: each channel's mean over positions (y and x, or tokens) in the same picture;
 * - `{ mean }`: a mean over a data set, float32 [channel] or anything that broadcasts to the activation;
 * - `{ resample: seed }`: the activation of another picture of the same batch and branch, the same one at every call;
 * - `{ bank, seed }`: one of the activations [n, …], drawn for each picture, the same one at every call.
 */
export type Ablation =
  | "zero"
  | "mean"
  | { readonly mean: Tensor }
  | { readonly resample: number }
  | { readonly bank: Tensor; readonly seed: number };

/**
 * Takes away what an activation says.
 * @see Chan et al. 2022, "Causal scrubbing" (resampling); Zhang & Nanda 2024, arXiv:2309.16042 (which ablation to choose)
 */
export function ablate(pattern: string, by: Ablation = "zero", options: EditOptions = {}): Edit {
  return limitedEdit(pattern, ablation(pattern, by), options);
}

function ablation(pattern: string, by: Ablation): UnlimitedEdit {
  const where = `at("${pattern}").ablate`;
  if (by === "zero") return { kind: "ablate zero", label: `${pattern} ablated (zero)`, edited: (x, g) => g.fullLike(x, 0) };
  if (by === "mean") {
    return {
      kind: "ablate mean",
      label: `${pattern} ablated (mean)`,
      edited: (x, g, _, point) => g.op("Expand", [x.mean(meanAxes(point), true), g.op("Shape", [x])]),
    };
  }
  if ("mean" in by) {
    const mean = operand(by.mean, where);
    return {
      kind: "ablate value",
      label: `${pattern} ablated (mean ${tensorText(mean)})`,
      edited: fedValue,
      feeds: (point) => ({ value: aligned(mean, point) }),
    };
  }
  if ("bank" in by) {
    const bank = operand(by.bank, where);
    const [entries = 0] = bank.shape;
    if (entries === 0) throw new RangeError(`${where}: a bank holds activations [n, …], got ${bank}`);
    const rng = new Rng(by.seed);
    return {
      kind: "ablate value",
      label: `${pattern} ablated (bank ${tensorText(bank)}, seed ${by.seed})`,
      edited: fedValue,
      feeds: (point, context) => ({
        value: alignedRows(
          itemsOf(context, point.path).map((item) => bank.row(rng.fork(item).int(entries))),
          point,
        ),
      }),
    };
  }
  return {
    kind: "ablate resample",
    label: `${pattern} ablated (resampled, seed ${by.resample})`,
    edited: (x, _, input) => x.gather(input("order", "int64", ["rows"]), 0),
    feeds: (point, context, rows) => ({ order: int64(otherRows(point, context, rows, by.resample)) }),
  };
}

/** For each row another one of its branch: the next in a random circle, in which no row stands for itself. */
function otherRows(point: HookPoint, context: StepContext, weights: readonly number[], seed: number): number[] {
  const { branches } = context;
  if (point.axes[0] !== "batch") {
    throw new RangeError(`edit at ${point.path}: its rows cannot be told apart, its axes are [${point.axes.join(", ")}]`);
  }
  const all = [...itemsOf(context, point.path).keys()];
  const others = [...all];
  for (const branch of new Set(branches ?? [undefined])) {
    const rows = all.filter((row) => branches?.[row] === branch);
    const isReached = rows.some((row) => weights[weights.length === 1 ? 0 : row] !== 0);
    if (isReached && rows.length < 2) {
      throw new RangeError(
        `edit at ${point.path}: resampling takes two pictures or more in one batch, got ${rows.length}; or give a bank`,
      );
    }
    const circle = new Rng(seed).permutation(rows.length);
    circle.forEach((from, i) => {
      others[rows[from]!] = rows[circle[(i + 1) % circle.length]!]!;
    });
  }
  return others;
}

function meanAxes(point: HookPoint): number[] {
  const axes = positionAxes(point.axes);
  if (axes.length === 0)
    throw new RangeError(`at("${point.path}").ablate: no positions to average, its axes are [${point.axes.join(", ")}]`);
  return axes;
}
