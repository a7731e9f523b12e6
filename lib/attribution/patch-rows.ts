import type { Activation, Branch, Edit, HookPoint, StepContext } from "../hooks/index.js";
import { int64, Tensor, zeros } from "../tensor/index.js";

/** Activations of one item of a run, by model call, and which branch is where. */
export interface PatchSource {
  /** [call, branch, 1, …] */
  readonly activation: Activation<Tensor<"float32">>;
  readonly branches: readonly Branch[];
}

export interface PatchRowsOptions {
  /** The item that gets the source's activation; all others pass bit by bit. */
  readonly item: number;
  /** Only this part of the guidance batch; default both. */
  readonly branch?: Branch | undefined;
  /** The model call under way, and whether it is patched. */
  readonly call: () => { readonly index: number; readonly patched: boolean };
}

/**
 * Puts a run's activations in the place of another's, in one item of a batch: several hook points can then be patched at
 * once, each in its own item. Only the source's rows are fed, whatever the batch.
 * @throws RangeError if the activation has no rows that belong to items
 */
export function patchRows(point: HookPoint, source: PatchSource, { item, branch, call }: PatchRowsOptions): Edit {
  const { activation, branches: sourceBranches } = source;
  if (activation.axes[1] !== "branch") {
    throw new RangeError(
      `patch ${point.path}: its axes [${point.axes.join(", ")}] have no batch, so no single picture can be patched`,
    );
  }
  const [, , , ...perItem] = activation.tensor.shape;
  const isFolded = point.axes[0] === "batch*head";
  const heads = isFolded ? perItem[0]! : 1;
  return {
    pattern: point.path,
    structure: `patch rows @ ${point.path}`,
    label: `${point.path} ← another run${branch === undefined ? "" : `, ${branch}`}`,
    program: (hooked, input) => (x, g) => {
      const loose = (hooked.shape ?? []).map(() => undefined);
      const values = g.input(input("values"), "float32", loose).cast(x.dtype);
      const rows = g.input(input("rows"), "int64", [undefined]);
      return g.where(g.input(input("mask"), "bool", loose), values.gather(rows, 0), x);
    },
    feeds: (hooked, context) => {
      const { index, patched } = call();
      const ones = hooked.axes.map(() => 1);
      if (!patched) return { values: zeros(ones), rows: int64([0]), mask: new Tensor("bool", Uint8Array.of(0), ones) };
      const rows = rowsOf(context).flatMap(({ branch: b, item: i }) =>
        Array.from({ length: heads }, (_, head) => ({
          source: sourceBranches.indexOf(b) * heads + head,
          hit: i === item && (branch === undefined || branch === b),
        })),
      );
      return {
        values: activation.tensor.row(index).reshape([-1, ...(isFolded ? perItem.slice(1) : perItem)]),
        rows: int64(rows.map((row) => row.source)),
        mask: new Tensor(
          "bool",
          Uint8Array.from(rows, (row) => Number(row.hit)),
          [rows.length, ...ones.slice(1)],
        ),
      };
    },
  };
}

/** Rows of the batch as branch and item: blocks of items, one per branch. */
function rowsOf({ branches = [] }: StepContext): { branch: Branch; item: number }[] {
  const items = branches.length / new Set(branches).size;
  return branches.map((branch, row) => ({ branch, item: row % items }));
}
