import { existsSync, mkdirSync } from "node:fs";
import path from "node:path";
import { formatNotebook, type Notebook, readNotebook, writeFileAtomic } from "./notebook-format.js";
import { digestOf, recordOf, recordRun } from "./run-record.js";
import { type CellReport, type RunOptions, type RunProgress, type RunStatus, runNotebook } from "./runner.js";

/** A notebook to be run, and where it goes with its outputs. */
export interface Job {
  readonly file: string;
  readonly target: string;
  readonly notebook: Notebook;
  readonly parameters: Readonly<Record<string, unknown>>;
}

export interface JobReport {
  readonly file: string;
  readonly target: string;
  /** `reused`: its outputs are those of an earlier run; `waiting`: its turn never came. */
  readonly status: RunStatus | "reused" | "waiting";
  /** What this run took: nothing for notebooks that it did not run. */
  readonly seconds: number;
  /** What the run took whose outputs are reused. */
  readonly earlierSeconds?: number;
  readonly cells: readonly CellReport[];
  readonly written: readonly string[];
}

export interface BatchOptions extends Pick<RunOptions, "timeoutMs" | "notebookTimeoutMs" | "allowErrors"> {
  /** Notebooks that run at the same time. */
  readonly jobs: number;
  /** Leaves out notebooks whose target is from a run that came through with the same source, parameters and versions. */
  readonly resume: boolean;
  readonly html: boolean;
  readonly signal: AbortSignal;
  readonly progress?: ((job: Job) => RunProgress) | undefined;
  readonly ended?: ((report: JobReport) => void) | undefined;
}

/** Runs notebooks, each in a process of its own, and writes each one as soon as it has ended, however it ended.
 * @returns reports in the order of the jobs */
export async function runBatch(jobs: readonly Job[], options: BatchOptions): Promise<JobReport[]> {
  const reports: JobReport[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    for (let index = next++; index < jobs.length; index = next++) {
      reports[index] = await runJob(jobs[index]!, options);
      options.ended?.(reports[index]!);
    }
  };
  await Promise.all(Array.from({ length: Math.min(options.jobs, jobs.length) }, work));
  return reports;
}

async function runJob(job: Job, options: BatchOptions): Promise<JobReport> {
  const { file, target, parameters } = job;
  const nothing = { file, target, seconds: 0, cells: [], written: [] };
  if (options.signal.aborted) return { ...nothing, status: "waiting" };
  const digest = digestOf(job.notebook, parameters);
  const earlier = existsSync(target) ? attempt(() => readNotebook(target)) : undefined;
  const before = earlier && recordOf(earlier);
  const done = before?.status === "ok" || (before?.status === "allowed" && options.allowErrors);
  if (options.resume && earlier && before?.digest === digest && done) {
    const missing = options.html && !existsSync(pageOf(target));
    const written = missing ? [await writePage(job, earlier)] : [];
    return { ...nothing, status: "reused", written, ...(before.seconds !== undefined && { earlierSeconds: before.seconds }) };
  }
  const { notebook, status, cells, seconds } = await runNotebook(job.notebook, {
    ...options,
    progress: options.progress?.(job) ?? {},
    directory: path.dirname(path.resolve(file)),
    parameters,
    earlier,
  });
  const leniently = options.allowErrors && cells.some((cell) => cell.status === "allowed");
  recordRun(notebook, { digest, status: leniently ? "allowed" : status, seconds });
  mkdirSync(path.dirname(target), { recursive: true });
  writeFileAtomic(target, formatNotebook(notebook));
  const written = options.html ? [target, await writePage(job, notebook)] : [target];
  return { file, target, status, seconds, cells, written };
}

function pageOf(target: string): string {
  return target.replace(/(\.ipynb)?$/, ".html");
}

async function writePage({ file, target }: Job, notebook: Notebook): Promise<string> {
  const { notebookToHtml } = await import("./html.js");
  const page = pageOf(target);
  const directory = path.dirname(path.resolve(file));
  writeFileAtomic(page, notebookToHtml(notebook, { directory, title: path.basename(file, ".ipynb") }));
  return page;
}

/** A target that is not a notebook, or half of one, is simply written again. */
function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
