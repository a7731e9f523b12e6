import type { Activation, HookedModel, HookedRun, HookedRunOptions, StepContext } from "../hooks/index.js";
import type { Tensor } from "../tensor/index.js";
import { concatRows, rowRanges } from "./batches.js";

/** The number of rows that a network was exported for; undefined where it takes any. */
export function fixedRows(network: HookedModel, names: Iterable<string>): number | undefined {
  const fixed = [...names].map((name) => network.inputs.find((input) => input.name === name)?.shape?.[0]);
  return fixed.find((rows) => typeof rows === "number");
}

/**
 * Runs a network over any number of rows. One that was exported for a fixed batch gets as many at a time, the last of them
 * repeated to fill it up; outputs and activations are put together as from one run.
 * @param perRow feeds with one row each, all of the same number
 * @param shared feeds for all rows
 */
export async function runRows(
  network: HookedModel,
  perRow: Readonly<Record<string, Tensor>>,
  shared: Readonly<Record<string, Tensor>> = {},
  options: HookedRunOptions = {},
): Promise<HookedRun> {
  const rows = Object.values(perRow)[0]?.shape[0] ?? 1;
  const fixed = fixedRows(network, Object.keys(perRow)) ?? rows;
  if (fixed === rows || fixed === 0) return network.run({ ...perRow, ...shared }, options);
  const runs: HookedRun[] = [];
  for (const [start, end] of rowRanges(rows, fixed)) {
    const chunk = Array.from({ length: fixed }, (_, i) => Math.min(start + i, end - 1));
    const feeds = Object.fromEntries(
      Object.entries(perRow).map(([name, t]) => [name, concatRows(chunk.map((i) => t.slice(i, i + 1)))]),
    );
    runs.push(await network.run({ ...feeds, ...shared }, { ...options, ...contextOf(options.context, chunk) }));
  }
  const joined = (tensors: readonly Tensor[]): Tensor => {
    const all = concatRows(tensors);
    return all.slice(0, (all.shape[0]! / (runs.length * fixed)) * rows);
  };
  const outputs = Object.fromEntries(
    Object.keys(runs[0]!.outputs).map((name) => [name, joined(runs.map((run) => run.outputs[name]!))]),
  );
  const activations = Object.fromEntries(
    Object.entries(runs[0]!.activations).map(([key, first]): [string, Activation] => {
      const isBatched = first.axes[0] === "batch" || first.axes[0] === "batch*head";
      return [key, isBatched ? { ...first, tensor: joined(runs.map((run) => run.activations[key]!.tensor)) } : first];
    }),
  );
  return { outputs, activations };
}

/** What is told of some of the rows. */
function contextOf(context: StepContext | undefined, rows: readonly number[]): { readonly context?: StepContext } {
  if (context === undefined) return {};
  const { branches, items } = context;
  return {
    context: {
      ...context,
      ...(branches && { branches: rows.map((i) => branches[i]!) }),
      ...(items && { items: rows.map((i) => items[i]!) }),
    },
  };
}
