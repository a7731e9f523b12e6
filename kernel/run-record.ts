import { createHash } from "node:crypto";
import path from "node:path";
import { TYPESCRIPT_VERSION } from "./language-info.js";
import type { CodeCell, Notebook } from "./notebook-format.js";
import { PACKAGE_ROOT, packageVersion } from "./package-root.js";
import type { RunStatus } from "./runner.js";

/** What a notebook remembers of the run that wrote it, under `metadata.tweedie`. */
export interface RunRecord {
  /** See `digestOf`. */
  readonly digest: string;
  /** How it ended; `allowed` where cells failed that only `--allow-errors` let pass. */
  readonly status: RunStatus | "allowed";
  readonly seconds: number;
}

/** Stands for everything that decides what a run computes and that the notebook knows of: source, tags and order of the cells,
 * parameters, versions. Files that cells read or import are not in it. */
export function digestOf(notebook: Notebook, parameters: Readonly<Record<string, unknown>>): string {
  const cells = notebook.cells.map(({ cell_type, source, metadata }) => [cell_type, source, metadata.tags ?? []]);
  const versions = [packageVersion(path.join(PACKAGE_ROOT, "package.json")), TYPESCRIPT_VERSION];
  const sorted = Object.entries(parameters).sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash("sha256")
    .update(JSON.stringify([cells, sorted, versions]))
    .digest("hex");
}

/** Leaves the record in the notebook's metadata. */
export function recordRun(notebook: Notebook, record: RunRecord): void {
  notebook.metadata.tweedie = { ...(notebook.metadata.tweedie as object | undefined), run: record };
}

/** The record of the run that wrote a notebook. */
export function recordOf(notebook: Notebook): Partial<RunRecord> {
  return (notebook.metadata.tweedie as { run?: RunRecord } | undefined)?.run ?? {};
}

/** Notes in a cell when it ran, under the names that nbclient uses.
 * @returns the seconds between */
export function timed(cell: CodeCell, from: Date, to: Date): number {
  cell.metadata.execution = { "iopub.execute_input": from.toISOString(), "shell.execute_reply": to.toISOString() };
  return (to.getTime() - from.getTime()) / 1000;
}

/** How long cells took in an earlier run, for those whose source is still the same. */
export function secondsOf(earlier: Notebook | undefined, notebook: Notebook): Map<CodeCell, number> {
  const known = new Map<string, number>();
  for (const { source, metadata } of earlier?.cells ?? []) {
    const execution = metadata.execution as Record<string, string> | undefined;
    const [from, to] = [execution?.["iopub.execute_input"], execution?.["shell.execute_reply"]].map((at) => Date.parse(at ?? ""));
    if (Number.isFinite(to! - from!)) known.set(source, (to! - from!) / 1000);
  }
  const cells = notebook.cells.filter((cell) => cell.cell_type === "code");
  return new Map(cells.flatMap((cell) => (known.has(cell.source) ? [[cell, known.get(cell.source)!] as const] : [])));
}

/** What a cell is about: its first comment or line of code. */
export function cellTitle(source: string): string {
  const behindImports = source.replace(/^import\b[^"'`]*["'][^"']*["'];?/gm, "").trim();
  const line = (behindImports || source.trim()).split("\n", 1)[0]!.trim();
  const text = line.replace(/^(\/\/|\/\*+)\s*/, "");
  return text.length > 70 ? `${text.slice(0, 69)}…` : text;
}
