import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Notebook, Output } from "./notebook-format.js";
import { runNotebook } from "./runner.js";

/** Something that a check found. */
export interface Finding {
  readonly check: "types" | "rerun" | "cleared";
  /** Counts code cells from 1, as running them does; not set for what concerns the folder. */
  readonly cell?: number;
  /** 1-based, in the cell. */
  readonly line?: number;
  readonly column?: number;
  readonly message: string;
  /** The place in the source, for people. */
  readonly excerpt?: readonly string[];
}

/** Type-checks notebooks of one folder without running them, in a process of its own there: the compiler believes that its
 * folder never changes.
 * @returns findings per notebook */
export function checkTypes(notebooks: readonly Notebook[], directory: string): Promise<Finding[][]> {
  const child = fork(fileURLToPath(new URL("./type-check-main.js", import.meta.url)), { cwd: directory });
  return new Promise((resolve, reject) => {
    child.once("message", (findings: Finding[][]) => resolve(findings));
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`checkTypes: the compiler's process ended with exit code ${code}`)));
    child.send(notebooks.map(codeCells));
  });
}

/** Runs a notebook twice, each time in a fresh engine, and compares what the cells show; times may differ. */
export async function checkRerun(notebook: Notebook, directory: string): Promise<Finding[]> {
  const [first, second] = [await runNotebook(notebook, { directory }), await runNotebook(notebook, { directory })];
  const failed = [first, second].flatMap(({ cells }) => cells).find(({ status }) => status === "failed" || status === "timeout");
  if (failed) {
    const { ename, evalue } = failed.error!;
    return [{ check: "rerun", cell: failed.number, message: `failed with ${ename}: ${evalue}` }];
  }
  const outputs = (run: typeof first): Output[][] =>
    run.notebook.cells.flatMap((c) => (c.cell_type === "code" ? [c.outputs] : []));
  const again = outputs(second);
  return outputs(first).flatMap((before, index): Finding[] => {
    const message = difference(before, again[index]!);
    return message === undefined ? [] : [{ check: "rerun", cell: index + 1, message }];
  });
}

/** Numbers with a unit of time or a rate, dates, and clock times: what no two runs agree on. */
const TIMES =
  /\d{4}-\d\d-\d\d[T ]\d\d:\d\d[\d:.]*Z?|\b\d+(?::\d\d){1,2}(?:\.\d+)?\b|\b\d+(?:[.,]\d+)?\s*(?:[nmµu]?s|sec|seconds?|min|minutes?|h|hours?)\b|\b\d+(?:[.,]\d+)?\s*[\p{L}\s]{0,12}\/s\b/gu;

function difference(before: readonly Output[], after: readonly Output[]): string | undefined {
  const [a, b] = [before, after].map((outputs) => outputs.map(comparable));
  if (a!.length !== b!.length) return `${a!.length} outputs, then ${b!.length}`;
  const at = a!.findIndex((entries, index) => JSON.stringify(entries) !== JSON.stringify(b![index]));
  if (at < 0) return undefined;
  const [one, two] = [new Map(a![at]), new Map(b![at])];
  const type = [...one.keys(), ...two.keys()].find((key) => one.get(key) !== two.get(key))!;
  return `${type} differs: ${firstDifference(one.get(type) ?? "nothing", two.get(type) ?? "nothing")}`;
}

/** What an output shows, by type. */
function comparable(output: Output): [string, string][] {
  if (output.output_type === "stream") return [[output.name, output.text.replace(TIMES, "<time>")]];
  if (output.output_type === "error") return [["error", `${output.ename}: ${output.evalue}`.replace(TIMES, "<time>")]];
  return Object.entries(output.data).map(([type, value]) => [
    type,
    typeof value !== "string" ? JSON.stringify(value) : type.startsWith("text/") ? value.replace(TIMES, "<time>") : value,
  ]);
}

function firstDifference(a: string, b: string): string {
  let at = 0;
  while (a[at] === b[at]) at++;
  const from = Math.max(0, at - 12);
  const cut = (text: string): string => JSON.stringify(`${from > 0 ? "…" : ""}${text.slice(from, at + 28)}`);
  return `${cut(a)}, then ${cut(b)}`;
}

/** Cells that carry outputs or a count, which do not belong into a repository. */
export function checkCleared(notebook: Notebook): Finding[] {
  return codeCells(notebook).flatMap(({ number, outputs, execution_count }): Finding[] => {
    const what = [
      outputs.length > 0 ? `${outputs.length} output${outputs.length > 1 ? "s" : ""}` : "",
      execution_count === null ? "" : `execution count ${execution_count}`,
    ].filter(Boolean);
    return what.length > 0 ? [{ check: "cleared", cell: number, message: `has ${what.join(" and ")}` }] : [];
  });
}

/** The notebook without outputs, counts and records of runs. */
export function cleared(notebook: Notebook): Notebook {
  const copy = structuredClone(notebook);
  for (const cell of copy.cells) {
    if (cell.cell_type !== "code") continue;
    Object.assign(cell, { outputs: [], execution_count: null });
    delete cell.metadata.execution;
  }
  const { run: _, ...rest } = (copy.metadata.tweedie ?? {}) as { run?: unknown };
  if (Object.keys(rest).length > 0) copy.metadata.tweedie = rest;
  else delete copy.metadata.tweedie;
  return copy;
}

/** A code cell, counted from 1. */
export interface NumberedCell {
  readonly number: number;
  readonly source: string;
  readonly outputs: readonly Output[];
  readonly execution_count: number | null;
}

function codeCells(notebook: Notebook): NumberedCell[] {
  return notebook.cells.filter((cell) => cell.cell_type === "code").map((cell, index) => ({ number: index + 1, ...cell }));
}
