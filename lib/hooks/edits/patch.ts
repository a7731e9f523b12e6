import { type Tensor, tensorDigest, toFloat32, zeros } from "../../tensor/index.js";
import { type Activation, select } from "../activation.js";
import type { Axis, HookPoint } from "../hook-point.js";
import { type Branch, branchesOf, type Edit, itemsOf, type StepContext } from "./edit.js";
import { limitedEdit } from "./limited-edit.js";
import type { EditOptions } from "./limits.js";
import { alignedRows, shapeText } from "./operand.js";
import { fedValue } from "./replace.js";

/** Which of the recorded activations stands in; limits say at which rows and steps. */
export interface PatchOptions extends EditOptions {
  /** Row of the recording's step axis; default "same", that of the model call under way. */
  readonly step?: "same" | number;
  /** The recorded picture; default "same", each picture its own. */
  readonly item?: "same" | number;
  /** The recorded branch; default "same", each branch its own. */
  readonly from?: "same" | Branch;
}

/**
 * The activation of another run in the place of this run's (activation patching).
 *
 * Of a recording with axes [step, branch, item, …], as `Generation.activations` are, each row gets what was recorded at the
 * same model call, branch and picture, unless options say otherwise; axes that the recording does not have are the
 * same for all. A row whose counterpart was not recorded is an error, not a gap: outside its guidance interval the
 * other run has no unconditional branch, and `branch`, `timesteps` or `from` have to say what is meant.
 * @throws RangeError, when it runs, if a call, branch or picture was not recorded, or the activations have other shapes
 * @see Heimersheim & Nanda 2024, arXiv:2404.15255
 */
export function patch(pattern: string, recorded: Activation, options: PatchOptions = {}): Edit {
  const { step = "same", item = "same", from = "same", ...limits } = options;
  const source: Activation<Tensor<"float32">> = { ...recorded, tensor: toFloat32(recorded.tensor) };
  const chosen = Object.entries({ step, item, from }).flatMap(([name, value]) => (value === "same" ? [] : `, ${name} ${value}`));
  return limitedEdit(
    pattern,
    {
      kind: "patch",
      label: `${pattern} ← ${source.hookPoint.path} of another run ${tensorDigest(source.tensor).slice(0, 12)}${chosen.join("")}`,
      edited: fedValue,
      feeds: (point, context, weights) => {
        const reached = (row: number): boolean => weights[weights.length === 1 ? 0 : row] !== 0;
        const rows = itemsOf(context, point.path).map((own, row) => {
          if (!reached(row)) return undefined;
          const branch = from === "same" ? context.branches?.[row] : from;
          if (source.branch !== undefined && source.branch !== branch) {
            throw new RangeError(
              `patch at ${point.path}: of the other run only the branch "${source.branch}" was recorded, needed is ${branch ?? "an unguided one"}; limit the patch to that branch or choose it with from`,
            );
          }
          return recordedRow(source, point, {
            step: () => (step === "same" ? callOf(source, context) : step),
            branch: () => branchOf(source, branch),
            item: () => (item === "same" ? own : item),
            batch: (length) => (length === 1 ? 0 : row),
          });
        });
        const any = rows.find((row) => row !== undefined) ?? placeholder(point);
        return {
          value: alignedRows(
            rows.map((row) => row ?? any),
            point,
          ),
        };
      },
    },
    limits,
  );
}

/** What was recorded for one row. */
function recordedRow(
  source: Activation<Tensor<"float32">>,
  point: HookPoint,
  indexOf: Readonly<Partial<Record<Axis, (length: number) => number>>>,
): Tensor<"float32"> {
  const at: Partial<Record<Axis, number>> = {};
  source.axes.forEach((axis, i) => {
    const length = source.tensor.shape[i]!;
    const index = indexOf[axis]?.(length);
    if (index === undefined) return;
    if (!(Number.isInteger(index) && index >= 0 && index < length)) {
      const range = length === 1 ? "only 0" : `0…${length - 1}`;
      throw new RangeError(
        `patch at ${point.path}: of the other run's ${axis} axis ${range} was recorded, needed is ${index}; record it, limit the patch or choose with ${axis === "branch" ? "from" : axis}`,
      );
    }
    at[axis] = index;
  });
  const { axes, tensor } = select(source, at);
  const expected = point.axes.filter((axis) => axis !== "batch");
  const fits = tensor.shape.every((d, i) => typeof point.shape?.[i + 1] !== "number" || point.shape[i + 1] === d);
  if (axes.join() !== expected.join() || !fits) {
    throw new RangeError(
      `patch at ${point.path}: recorded was [${axes.map((axis, i) => `${axis} ${tensor.shape[i]}`).join(", ")}] per row, its activation is [${shapeText(point)}]; patch the same hook point, recorded without reduction`,
    );
  }
  if (tensor.size > 0 && tensor.data.every(Number.isNaN)) {
    throw new RangeError(
      `patch at ${point.path}: at step ${at.step ?? 0} the other run had no such branch (outside its guidance interval); limit the patch or choose with from`,
    );
  }
  return tensor;
}

/** The row of the step axis that belongs to the model call under way, −1 if none does. */
function callOf({ calls }: Activation, { step, call = step, timestep }: StepContext): number {
  return calls?.findIndex((c) => c.step === step && c.timestep === timestep) ?? call;
}

/** The place of a branch among those that were recorded. */
function branchOf({ axes, tensor }: Activation, branch: Branch | undefined): number {
  const names = branchesOf(tensor.shape[axes.indexOf("branch")] ?? 1);
  return branch === undefined && names.length === 1 ? 0 : names.indexOf(branch!);
}

/** Something to feed where no row is reached. */
function placeholder(point: HookPoint): Tensor<"float32"> {
  return zeros(point.axes.slice(1).map(() => 1));
}
