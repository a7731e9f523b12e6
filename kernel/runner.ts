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
  const halt = new Halt(engine);
  const interrupt = (): void => halt.now("interrupted", "the run was interrupted");
  signal?.addEventListener("abort", interrupt);
  if (options.notebookTimeoutMs !== undefined) halt.after(options.notebookTimeoutMs);
  try {
    const outputs = new OutputCollector();
    for (const { cell, number } of cells) {
      if (halt.reason) status = halt.reason.status;
      if (status !== "ok") {
        reports.push({ number, title: cellTitle(cell.source), status: "skipped", seconds: 0 });
        continue;
      }
      const left = secondsLeft(cells.map(({ cell }, index) => ({ usual: usual.get(cell), taken: reports[index]?.seconds })));
      options.progress?.cellStarted?.({ number, of: code.length, source: cell.source, secondsLeft: left });
      const report = await runCell(engine, cell, { number, halt, outputs, options });
      reports.push(report);
      options.progress?.cellEnded?.(report);
      if (report.status !== "allowed" && report.status !== "skipped") status = report.status;
    }
  } finally {
    signal?.removeEventListener("abort", interrupt);
    halt.clear();
    await engine.stop();
  }
  return { notebook: executed, status, cells: reports, seconds: (performance.now() - started) / 1000 };
}

/** Ends a run from outside: its running cell is interrupted, and its process ended if that does not help. */
class Halt {
  reason: { readonly status: "timeout" | "interrupted"; readonly error: CellError } | undefined;
  readonly #engine: EngineProcess;
  readonly #timers: NodeJS.Timeout[] = [];

  constructor(engine: EngineProcess) {
    this.#engine = engine;
  }

  now(status: "timeout" | "interrupted", evalue: string): void {
    this.reason ??= { status, error: { ename: "Interrupted", evalue, traceback: [`Interrupted: ${evalue}`] } };
    this.#engine.interrupt(evalue);
    this.#timers.push(setTimeout(() => void this.#engine.stop(), GRACE_MS));
  }

  after(ms: number): void {
    const reason = `the notebook ran longer than its limit of ${ms / 1000} s`;
    this.#timers.push(setTimeout(() => this.now("timeout", reason), ms));
  }

  clear(): void {
    for (const timer of this.#timers) clearTimeout(timer);
  }
}

interface CellRun {
  readonly number: number;
  readonly halt: Halt;
  readonly outputs: OutputCollector;
  readonly options: RunOptions;
}

async function runCell(engine: EngineProcess, cell: CodeCell, { number, halt, outputs, options }: CellRun): Promise<CellReport> {
  cell.execution_count = number;
  let error: CellError | undefined;
  const onEvent = (event: CellEvent): void => {
    outputs.add(cell, event);
    if (event.type === "error") error = event;
    options.progress?.cellEvent?.(event, number);
  };
  const from = new Date();
  const { timeoutMs } = options;
  const { ok, died } = await engine.execute(cell.source, { label: `cell[${number}]`, cellId: cell.id, onEvent, timeoutMs });
  const report = { number, title: cellTitle(cell.source), seconds: timed(cell, from, new Date()) };
  if (ok) return { ...report, status: "ok" };
  // A process that had to be killed says nothing more.
  if (!error && halt.reason) onEvent({ type: "error", ...halt.reason.error });
  if (halt.reason) return { ...report, status: halt.reason.status, error: error! };
  const late = ["Interrupted", "EngineDied"].includes(error!.ename) && error!.evalue.includes("ran longer than its limit");
  const allowed = !late && !died && (options.allowErrors === true || hasTag(cell, "raises-exception"));
  return { ...report, status: late ? "timeout" : allowed ? "allowed" : "failed", error: error! };
}

function freshCopy(notebook: Notebook, parameters: Readonly<Record<string, unknown>>): Notebook {
  const copy = structuredClone(notebook);
  for (const cell of copy.cells) if (cell.cell_type === "code") Object.assign(cell, { execution_count: null, outputs: [] });
  copy.metadata.kernelspec ??= { name: "tweedie", display_name: "TypeScript (tweedie)", language: "typescript" };
  copy.metadata.language_info = LANGUAGE_INFO;
  injectParameters(copy, parameters);
  return copy;
}
