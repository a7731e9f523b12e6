import path from "node:path";
import { EngineProcess } from "./engine-process.js";
import { LANGUAGE_INFO } from "./language-info.js";
import type { CellError, CellEvent } from "./messages.js";
import type { CodeCell, Notebook } from "./notebook-format.js";
import { OutputCollector } from "./output-collector.js";
import { hasTag, injectParameters } from "./parameters.js";
import { cellTitle, secondsOf, timed } from "./run-record.js";
import { secondsLeft } from "./time-left.js";

export interface RunOptions {
  /** Folder in which the cells run, usually the notebook's own. */
  readonly directory: string;
  /** Limit per cell. */
  readonly timeoutMs?: number | undefined;
  /** Limit for the whole notebook. */
  readonly notebookTimeoutMs?: number | undefined;
  /** Goes on behind cells that fail. */
  readonly allowErrors?: boolean;
  /** Values for variables that the notebook declares as parameters (see `parameterCell`). */
  readonly parameters?: Readonly<Record<string, unknown>>;
  /** Stops the run: the running cell is interrupted, the cells behind it stay without outputs. */
  readonly signal?: AbortSignal;
  /** The notebook as an earlier run wrote it: tells how long cells take. */
  readonly earlier?: Notebook | undefined;
  readonly progress?: RunProgress;
}

/** What a run tells whoever watches it. `number` counts code cells from 1. */
export interface RunProgress {
  cellStarted?(cell: RunningCell): void;
  cellEvent?(event: CellEvent, number: number): void;
  cellEnded?(cell: CellReport): void;
}

export interface RunningCell {
  readonly number: number;
  readonly of: number;
  readonly source: string;
  /** Until the notebook's end, this cell included; undefined while nothing is known. */
  readonly secondsLeft: number | undefined;
}

export type RunStatus = "ok" | "failed" | "timeout" | "interrupted";

export interface CellReport {
  readonly number: number;
  readonly title: string;
  /** `allowed`: it failed, and was allowed to; `skipped`: an earlier one ended the run. */
  readonly status: RunStatus | "allowed" | "skipped";
  readonly seconds: number;
  readonly error?: CellError;
}

export interface RunReport {
  /** The notebook with its outputs; cells behind the one that ended the run are left without. */
  readonly notebook: Notebook;
  readonly status: RunStatus;
  /** All code cells that are not empty. */
  readonly cells: readonly CellReport[];
  readonly seconds: number;
}

/** How long an interrupted cell may take to end before its process is ended. */
const GRACE_MS = 3_000;

/** Runs a notebook from top to bottom in a fresh engine process and stops at the first cell that fails.
 *
 * A cell tagged `raises-exception` may fail, as in nbclient. Time limits and the end of the process end every run.
 * @throws RangeError for parameters that the notebook does not declare */
export async function runNotebook(notebook: Notebook, options: RunOptions): Promise<RunReport> {
  const { signal } = options;
  const started = performance.now();
  const executed = freshCopy(notebook, options.parameters ?? {});
  const code = executed.cells.filter((cell) => cell.cell_type === "code");
  const cells = code.map((cell, index) => ({ cell, number: index + 1 })).filter(({ cell }) => cell.source.trim() !== "");
  const usual = secondsOf(options.earlier, executed);
  const reports: CellReport[] = [];
  let status: RunStatus = signal?.aborted ? "interrupted" : "ok";

  const engine = await EngineProcess.start(path.resolve(options.directory));
  let kill: NodeJS.Timeout | undefined;
  const stop = (): void => {
    engine.interrupt("the run was interrupted");
    kill = setTimeout(() => void engine.stop(), GRACE_MS);
  };
  signal?.addEventListener("abort", stop);
  try {
    const outputs = new OutputCollector();
    for (const { cell, number } of cells) {
      if (status !== "ok") {
        reports.push({ number, title: cellTitle(cell.source), status: "skipped", seconds: 0 });
        continue;
      }
      const left = secondsLeft(cells.map(({ cell }, index) => ({ usual: usual.get(cell), taken: reports[index]?.seconds })));
      options.progress?.cellStarted?.({ number, of: code.length, source: cell.source, secondsLeft: left });
      const spent = performance.now() - started;
      const report = await runCell(engine, cell, { number, spent, outputs, options });
      reports.push(report);
      options.progress?.cellEnded?.(report);
      if (report.status !== "allowed" && report.status !== "skipped") status = report.status;
    }
  } finally {
    signal?.removeEventListener("abort", stop);
    clearTimeout(kill);
    await engine.stop();
  }
  return { notebook: executed, status, cells: reports, seconds: (performance.now() - started) / 1000 };
}

interface CellRun {
  readonly number: number;
  /** Milliseconds that the notebook has taken so far. */
  readonly spent: number;
  readonly outputs: OutputCollector;
  readonly options: RunOptions;
}

async function runCell(engine: EngineProcess, cell: CodeCell, { number, spent, outputs, options }: CellRun): Promise<CellReport> {
  const { timeoutMs = Number.POSITIVE_INFINITY, notebookTimeoutMs = Number.POSITIVE_INFINITY, signal } = options;
  const notebookLimit = Math.max(1, notebookTimeoutMs - spent);
  const limit = Math.min(timeoutMs, notebookLimit);
  cell.execution_count = number;
  let error: CellError | undefined;
  const onEvent = (event: CellEvent): void => {
    outputs.add(cell, event);
    if (event.type === "error") error = event;
    options.progress?.cellEvent?.(event, number);
  };
  const from = new Date();
  const { ok, died } = await engine.execute(cell.source, {
    label: `cell[${number}]`,
    onEvent,
    ...(Number.isFinite(limit) && { timeoutMs: limit }),
    ...(notebookLimit < timeoutMs && {
      timeoutReason: `the notebook ran longer than its limit of ${notebookTimeoutMs / 1000} s`,
    }),
  });
  const seconds = timed(cell, from, new Date());
  const title = cellTitle(cell.source);
  if (signal?.aborted) {
    // A process that had to be killed says nothing more.
    if (!error) onEvent({ type: "error", ...interruption() });
    return { number, title, status: "interrupted", seconds, error: error! };
  }
  if (ok) return { number, title, status: "ok", seconds };
  // Timers may fire a little early.
  const late = seconds * 1000 > limit - 20 && ["Interrupted", "EngineDied"].includes(error!.ename);
  const allowed = !late && !died && (options.allowErrors === true || hasTag(cell, "raises-exception"));
  return { number, title, status: late ? "timeout" : allowed ? "allowed" : "failed", seconds, error: error! };
}

function interruption(): CellError {
  const evalue = "the run was interrupted";
  return { ename: "Interrupted", evalue, traceback: [`Interrupted: ${evalue}`] };
}

function freshCopy(notebook: Notebook, parameters: Readonly<Record<string, unknown>>): Notebook {
  const copy = structuredClone(notebook);
  for (const cell of copy.cells) if (cell.cell_type === "code") Object.assign(cell, { execution_count: null, outputs: [] });
  copy.metadata.kernelspec ??= { name: "tweedie", display_name: "TypeScript (tweedie)", language: "typescript" };
  copy.metadata.language_info = LANGUAGE_INFO;
  injectParameters(copy, parameters);
  return copy;
}
