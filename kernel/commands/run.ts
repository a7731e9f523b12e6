import { accessSync, constants, existsSync, mkdirSync } from "node:fs";
import path from "node:path";
import { type Command, columns, command, EXIT, positive, say, UsageError } from "../command-line.js";
import { reasonOf } from "../file-trouble.js";
import { findNotebooks, type NotebookFile } from "../notebook-files.js";
import { readNotebook, writeFileAtomic } from "../notebook-format.js";
import type { ParameterKind } from "../parameters.js";
import type { BatchOptions, Job, JobReport } from "../run-batch.js";
import { endOf, jsonReport, junitReport, summaryTable } from "../run-report.js";
import { ParallelProgress, ProgressLines, TerminalProgress } from "../terminal-progress.js";

export const run: Command = command({
  name: "run",
  summary: "runs notebooks without Jupyter and writes them with their outputs",
  operands: "<notebook, folder or glob…>",
  examples: [
    ["tweedie run study.ipynb --html", "out/study.ipynb with its outputs, and out/study.html"],
    ["tweedie run study.ipynb --help-notebook", "which parameters it has"],
    ['tweedie run study.ipynb -p steps=50 -p prompt="a red circle" -o out/steps-50.ipynb', "with other values"],
    ["tweedie run study.ipynb -f params.yaml", "with the values of a file: steps: 50"],
    ["tweedie run notebooks/ --jobs 2 --resume", "a folder, two at a time, without what is done already"],
    ["tweedie run notebooks/ --timeout 600 --junit report.xml", "in CI"],
  ],
  about: `Each notebook runs from top to bottom in a process of its own, in its folder. A cell that fails ends its notebook (not the
others); what ran until then is written. A cell tagged "raises-exception" may fail.

Parameters are the variables of the cell tagged "parameters", without one of the first cell that only has let declarations. Values
are read as what the default is: a number, text, true or false, a list or an object as JSON. A cell that sets them is put behind.

--resume reuses the outputs of notebooks that came through with the same source, parameters and versions (of tweedie and
TypeScript); the report calls them "reused", with what they took then. What failed, was interrupted or has changed runs again from
its top: a notebook cannot go on in its middle, for variables end with their process. Inside a cell, collect with a folder and
trainSae with a checkpoint do go on. Files that a notebook reads or imports are not compared: without --resume everything runs.

Ctrl-C interrupts what runs and writes it as far as it came; Ctrl-C again ends at once.

Exit codes: 0 every notebook came through, 1 a cell failed, 2 wrong use or not a notebook, 3 a time limit, 130 interrupted.`,
  options: {
    output: { short: "o", value: "<folder or .ipynb>", default: "out", help: "where to write" },
    html: { help: "also write one self-contained HTML page per notebook" },
    parameters: { short: "p", value: "<name=value>", multiple: true, help: "set a parameter; may be repeated" },
    "parameters-file": { short: "f", value: "<file>", help: "set parameters from a YAML or JSON file; -p wins over it" },
    "help-notebook": { help: "list the notebook's parameters instead of running it" },
    timeout: { short: "t", value: "<seconds>", help: "limit per cell" },
    "notebook-timeout": { value: "<seconds>", help: "limit per notebook" },
    "allow-errors": { help: "go on behind cells that fail; the exit code is 0 then" },
    jobs: { short: "j", value: "<number>", default: "1", help: "notebooks that run at the same time" },
    resume: { help: "reuse the outputs of notebooks that came through and have not changed" },
    "kernel-log": { value: "<file>", help: "write all that cells print, with times" },
    json: { help: "report as JSON on standard output" },
    junit: { value: "<file.xml>", help: "report for CI" },
    quiet: { short: "q", help: "only errors" },
  },
  async run({ values, positionals }) {
    const limits = {
      timeoutMs: milliseconds(values.timeout, "timeout"),
      notebookTimeoutMs: milliseconds(values["notebook-timeout"], "notebook-timeout"),
    };
    const count = positive(values.jobs, "--jobs to be a whole number of notebooks", { whole: true });
    if (positionals.length === 0)
      throw new UsageError("run: expected a notebook, for instance tweedie run study.ipynb; tweedie new begins one");
    const single = values.output.endsWith(".ipynb");
    const files = findNotebooks(positionals, single ? undefined : values.output);
    if (values["help-notebook"]) return helpNotebooks(files);
    if (single && files.length > 1)
      throw new UsageError(`run: expected --output to be a folder for ${files.length} notebooks, got ${values.output}`);
    const given = { assignments: values.parameters, file: values["parameters-file"] };
    const jobs = await prepare(files, { output: values.output, single, given });
    if (values.junit !== undefined) expectWritable(values.junit, "--junit");
    const { runBatch } = await import("../run-batch.js");
    const stop = new AbortController();
    const interrupt = (): void => {
      if (stop.signal.aborted) process.exit(EXIT.interrupted);
      stop.abort(new Error("interrupted"));
    };
    process.on("SIGINT", interrupt).on("SIGTERM", interrupt);

    const log =
      values["kernel-log"] === undefined ? undefined : new (await import("../kernel-log.js")).KernelLog(values["kernel-log"]);
    const watch = watchers(jobs, { quiet: values.quiet, json: values.json, parallel: count > 1 });
    const reports = await runBatch(jobs, {
      ...limits,
      jobs: count,
      allowErrors: values["allow-errors"],
      resume: values.resume,
      html: values.html,
      signal: stop.signal,
      ...watch,
      ...(log && { progress: (job) => log.notebook(job.file, watch.progress?.(job) ?? {}) }),
    });
    process.off("SIGINT", interrupt).off("SIGTERM", interrupt);
    log?.close();
    if (values.junit !== undefined) writeFileAtomic(values.junit, junitReport(reports));
    if (values.json) say(jsonReport(reports));
    else if (!values.quiet) say(`\n${summaryTable(reports)}`);
    return exitCode(reports);
  },
});

function milliseconds(seconds: string | undefined, option: string): number | undefined {
  return seconds === undefined ? undefined : 1000 * positive(seconds, `--${option} in seconds`);
}

interface Preparation {
  readonly output: string;
  readonly single: boolean;
  readonly given: { readonly assignments: readonly string[]; readonly file: string | undefined };
}

/** Everything that can be wrong is found out before hours of computing, not after. */
async function prepare(files: readonly NotebookFile[], { output, single, given }: Preparation): Promise<Job[]> {
  const wanted = given.assignments.length > 0 || given.file !== undefined;
  const { parameterCell, readParameter, injectParameters } = await import("../parameters.js");
  const fromFile = given.file === undefined ? {} : (await import("../parameter-file.js")).readParameterFile(given.file);
  const jobs = files.map(({ file, place }): Job => {
    const notebook = readNotebook(file);
    const target = single ? output : path.join(output, place);
    if (path.resolve(target) === path.resolve(file))
      throw new UsageError(`run: ${file} would be overwritten by its own run; choose another folder with --output`);
    const parameters = naming(file, () => {
      const declared = wanted ? (parameterCell(notebook)?.parameters ?? []) : [];
      const assigned = Object.fromEntries(given.assignments.map((text) => readParameter(text, declared)));
      const values = { ...fromFile, ...assigned };
      injectParameters(structuredClone(notebook), values);
      return values;
    });
    return { file, target, notebook, parameters };
  });
  const targets = jobs.map(({ target }) => path.resolve(target));
  const twice = targets.find((target, index) => targets.indexOf(target) !== index);
  if (twice) throw new UsageError(`run: two notebooks would be written to ${twice}; run them into different folders`);
  expectWritable(single ? output : path.join(output, "notebook"), "--output");
  return jobs;
}

/** Makes the folder of a file that will be written, and sees whether it can be. */
function expectWritable(file: string, option: string): void {
  const folder = path.dirname(file);
  try {
    mkdirSync(folder, { recursive: true });
    accessSync(folder, constants.W_OK);
    if (existsSync(file)) accessSync(file, constants.W_OK);
  } catch (error) {
    throw new UsageError(`run: cannot write to ${folder}: ${reasonOf(error)}; choose another place with ${option}`);
  }
}

/** What is wrong is wrong with this notebook; others may take the same parameters. */
function naming<T>(file: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw error instanceof RangeError ? new UsageError(`run: ${file}: ${error.message}`) : error;
  }
}

async function helpNotebooks(files: readonly NotebookFile[]): Promise<number> {
  const { parameterCell } = await import("../parameters.js");
  for (const { file } of files) {
    const parameters = parameterCell(readNotebook(file))?.parameters ?? [];
    say(
      `${file}: ${parameters.length === 0 ? 'no parameters; declare them with let in a cell tagged "parameters"' : "parameters"}`,
    );
    const rows = parameters.map(
      ({ name, kind, value, help }) =>
        [assignment(name, kind, value), [kind === "any" ? "" : kind, help].filter(Boolean).join(": ")] as const,
    );
    if (rows.length > 0) say(columns(rows));
  }
  return EXIT.ok;
}

/** As one writes it in a shell: a list or an object as JSON, on one line and in quotes. */
function assignment(name: string, kind: ParameterKind, value: string): string {
  if (kind !== "list" && kind !== "object") return `-p ${name}=${value}`;
  return `-p '${name}=${value
    .replace(/\s*\n\s*/g, " ")
    .replace(/,?\s*([\]}])/g, "$1")
    .replace(/([[{])\s+/g, "$1")}'`;
}

/** What is seen of a run while it runs. Where standard output is the report's, progress goes to standard error. */
function watchers(
  jobs: readonly Job[],
  { quiet, json, parallel }: { readonly quiet: boolean; readonly json: boolean; readonly parallel: boolean },
): Pick<BatchOptions, "progress" | "ended"> {
  const lines = new ProgressLines(json ? process.stderr : process.stdout);
  const tellFailure = (report: JobReport): void => {
    const ended = endOf(report);
    if (!ended) return;
    lines.erase();
    const how = ended.status === "failed" ? "failed" : ended.status === "timeout" ? "reached its time limit" : "was interrupted";
    process.stderr.write(`\n${report.file}: cell ${ended.number} ${how}\n${ended.error!.traceback.join("\n")}\n`);
  };
  if (quiet) return { ended: tellFailure };
  if (parallel) {
    const progress = new ParallelProgress(lines, jobs.length);
    return {
      progress: ({ file }) => progress.notebook(file),
      ended: (report) => {
        progress.ended(report.file, report.status);
        tellFailure(report);
      },
    };
  }
  return {
    progress: ({ file }) => {
      lines.line(file);
      return new TerminalProgress(lines);
    },
    ended: tellFailure,
  };
}

function exitCode(reports: readonly JobReport[]): number {
  const some = (status: JobReport["status"]): boolean => reports.some((report) => report.status === status);
  if (some("interrupted") || some("waiting")) return EXIT.interrupted;
  if (some("failed")) return EXIT.failed;
  return some("timeout") ? EXIT.timeout : EXIT.ok;
}
