#!/usr/bin/env node
import { accessSync, constants, mkdirSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { type InstallTarget, installKernel, uninstallKernel } from "./install.js";
import { formatNotebook, NotebookFormatError, readNotebook, writeFileAtomic } from "./notebook-format.js";
import { PACKAGE_ROOT, packageVersion } from "./package-root.js";
import { parseParameter, type RunReport, runNotebook } from "./runner.js";
import { TerminalProgress } from "./terminal-progress.js";

const EXIT = { ok: 0, failed: 1, usage: 2, interrupted: 130 } as const;

const HELP: Readonly<Record<string, string>> = {
  "": `tweedie: TypeScript notebooks that look inside diffusion models

Usage: tweedie <command> [options]

  run <notebook…>   run notebooks without Jupyter, write them with their outputs
  install           register the TypeScript kernel with Jupyter
  uninstall         take it away again
  doctor            check everything tweedie stands on, say what to do

tweedie <command> --help tells more. First steps:

  tweedie run notebooks/01-look-inside.ipynb --html
  tweedie install && jupyter lab
`,
  run: `Usage: tweedie run <notebook…> [options]

Runs each notebook from top to bottom in a process of its own, in the notebook's folder, and writes it with its outputs.
A cell that fails ends its notebook; what ran until then is written, and the exit code is 1.

  -o, --output <folder>     where to write (default: out)
      --html                also write one self-contained HTML page per notebook
  -t, --timeout <seconds>   limit per cell (default: none)
  -p, --parameters <k=v>    set a variable of the cell tagged "parameters"; the value is JSON or text; may be repeated
  -q, --quiet               only errors

Exit codes: 0 all cells ran, 1 a cell failed, 2 wrong use or not a notebook, 130 interrupted (the running notebook is not written).

  tweedie run study.ipynb --html
  tweedie run study.ipynb -p steps=50 -p prompt="a red circle" -o out/steps-50
`,
  install: `Usage: tweedie install [--user | --prefix <folder> | --sys-prefix]

Writes a kernelspec, so that Jupyter offers "TypeScript (tweedie)". Needs no Python.

      --user             for you, in every Jupyter (default)
      --prefix <folder>  under <folder>/share/jupyter
      --sys-prefix       in the active Python environment
`,
  uninstall: `Usage: tweedie uninstall [--user | --prefix <folder> | --sys-prefix]

Removes what "tweedie install" with the same option wrote.
`,
  doctor: `Usage: tweedie doctor [--json] [--timeout <seconds>]
       tweedie doctor --install-cuda [--yes]

Checks Node.js, the compiler, ONNX Runtime, Jupyter and the kernelspec; then runs and trains a small net on every device
this system may have, each in a process of its own, and compares it with the CPU. Exit code 1 if something must be repaired.

      --json                 findings as JSON
  -t, --timeout <seconds>    limit per device (default: 5)
      --install-cuda         fetch ONNX Runtime's CUDA libraries, after saying what and from where
      --yes                  without asking
`,
};

/** Wrong use of the command line. */
class UsageError extends Error {}

async function main(args: readonly string[]): Promise<number> {
  const [command = "", ...rest] = args;
  if (command === "--version") {
    return say(packageVersion(path.join(PACKAGE_ROOT, "package.json")));
  }
  if (command === "" || command === "--help" || command === "-h" || command === "help")
    return say(HELP[rest[0] ?? ""] ?? HELP[""]!);
  if (rest.includes("--help") || rest.includes("-h")) return say(HELP[command] ?? HELP[""]!);
  switch (command) {
    case "run":
      return run(rest);
    case "install":
      return install(rest);
    case "uninstall":
      return uninstall(rest);
    case "doctor":
      return doctor(rest);
    case "kernel": {
      // What the kernelspec starts.
      const { JupyterServer } = await import("./jupyter-server.js");
      await JupyterServer.serve(rest[0] ?? "");
      return EXIT.ok;
    }
    default:
      throw new UsageError(`unknown command ${JSON.stringify(command)}; tweedie --help lists them`);
  }
}

async function run(args: string[]): Promise<number> {
  const { values, positionals } = parse(args, {
    output: { type: "string", short: "o", default: "out" },
    html: { type: "boolean", default: false },
    timeout: { type: "string", short: "t" },
    parameters: { type: "string", short: "p", multiple: true, default: [] as string[] },
    quiet: { type: "boolean", short: "q", default: false },
  });
  if (positionals.length === 0)
    throw new UsageError("run: expected a notebook, for instance tweedie run notebooks/01-look-inside.ipynb");
  const seconds = values.timeout === undefined ? undefined : Number(values.timeout);
  if (seconds !== undefined && !(seconds > 0)) throw new UsageError(`run: expected --timeout in seconds, got ${values.timeout}`);
  const parameters = Object.fromEntries((values.parameters as string[]).map(parseParameter));
  const notebooks = positionals.map((file) => ({ file, notebook: readNotebook(file) }));
  const output = String(values.output);
  prepareTargets(positionals, output);

  const interrupted = new AbortController();
  const interrupt = (): void => interrupted.abort(new Error("interrupted"));
  process.once("SIGINT", interrupt).once("SIGTERM", interrupt);
  let code: number = EXIT.ok;
  for (const { file, notebook } of notebooks) {
    if (!values.quiet) process.stdout.write(`${file}\n`);
    const directory = path.dirname(path.resolve(file));
    let report: RunReport;
    try {
      report = await runNotebook(notebook, {
        directory,
        timeoutMs: seconds === undefined ? undefined : seconds * 1000,
        parameters,
        signal: interrupted.signal,
        ...(!values.quiet && { progress: new TerminalProgress() }),
      });
    } catch (error) {
      if (!interrupted.signal.aborted) throw error;
      process.stderr.write(`\ninterrupted; ${file} was not written\n`);
      return EXIT.interrupted;
    }
    const written = await write(report, { file, directory, output, html: values.html === true });
    if (report.failure) {
      code = EXIT.failed;
      const { number, error } = report.failure;
      process.stderr.write(`\n${file}: cell ${number} failed\n${error.traceback.join("\n")}\n`);
    }
    if (!values.quiet)
      process.stdout.write(
        `${report.cells} cells in ${report.seconds.toFixed(1)} s\n${written.map((name) => `  ${name}\n`).join("")}`,
      );
  }
  return code;
}

async function write(
  report: RunReport,
  to: { file: string; directory: string; output: string; html: boolean },
): Promise<string[]> {
  const name = path.join(to.output, path.basename(to.file, ".ipynb"));
  const written = [`${name}.ipynb`];
  writeFileAtomic(`${name}.ipynb`, formatNotebook(report.notebook));
  if (to.html) {
    const { notebookToHtml } = await import("./html.js");
    written.push(`${name}.html`);
    writeFileAtomic(`${name}.html`, notebookToHtml(report.notebook, { directory: to.directory, title: path.basename(name) }));
  }
  return written;
}

/** Found out before hours of computing, not after. */
function prepareTargets(files: readonly string[], output: string): void {
  const targets = files.map((file) => path.resolve(output, `${path.basename(file, ".ipynb")}.ipynb`));
  const own = files.find((file, index) => path.resolve(file) === targets[index]);
  if (own) throw new UsageError(`run: ${own} would be overwritten by its own run; choose another folder with --output`);
  const twice = targets.find((target, index) => targets.indexOf(target) !== index);
  if (twice) throw new UsageError(`run: two notebooks would be written to ${twice}; run them into different folders`);
  try {
    mkdirSync(output, { recursive: true });
    accessSync(output, constants.W_OK);
  } catch (error) {
    throw new UsageError(`run: cannot write to ${output}: ${(error as Error).message}; choose another folder with --output`);
  }
}

function install(args: string[]): number {
  const folder = installKernel(targetOf(args));
  return say(`installed ${folder}\nNow: jupyter lab, and choose "TypeScript (tweedie)".`);
}

function uninstall(args: string[]): number {
  const folder = uninstallKernel(targetOf(args));
  return say(folder ? `removed ${folder}` : "there was nothing to remove");
}

function targetOf(args: string[]): InstallTarget {
  const { values } = parse(args, { user: { type: "boolean" }, prefix: { type: "string" }, "sys-prefix": { type: "boolean" } });
  if (typeof values.prefix === "string") return { kind: "prefix", prefix: values.prefix };
  return { kind: values["sys-prefix"] ? "sys-prefix" : "user" };
}

async function doctor(args: string[]): Promise<number> {
  const { values } = parse(args, {
    json: { type: "boolean", default: false },
    timeout: { type: "string", short: "t", default: "5" },
    "install-cuda": { type: "boolean", default: false },
    yes: { type: "boolean", default: false },
  });
  if (values["install-cuda"]) return installCuda(values.yes === true);
  const seconds = Number(values.timeout);
  if (!(seconds > 0)) throw new UsageError(`doctor: expected --timeout in seconds, got ${values.timeout}`);
  const [{ diagnose }, { checkDevices }] = await Promise.all([import("./doctor.js"), import("./device-checks.js")]);
  const findings = await diagnose();
  const devices = await checkDevices(seconds * 1000);
  if (values.json) say(JSON.stringify({ findings, devices }, undefined, 2));
  else {
    const mark = { ok: "✓", missing: "·", broken: "✗", unavailable: "·", wrong: "✗", crashed: "✗", late: "·" } as const;
    const rows = [...findings, ...devices.map(({ device, ...rest }) => ({ what: `device ${device}`, ...rest }))];
    for (const { what, status, detail } of rows) say(`${mark[status]} ${what.padEnd(18)} ${detail}`);
  }
  const sick = findings.some(({ status }) => status === "broken") || devices.some(({ status }) => status === "wrong");
  return sick || devices.some(({ device, status }) => device === "cpu" && status !== "ok") ? EXIT.failed : EXIT.ok;
}

async function installCuda(yes: boolean): Promise<number> {
  const { cudaInstallation, describeInstallation, runInstaller } = await import("./install-cuda.js");
  const plan = cudaInstallation();
  if (plan === undefined)
    return say(`onnxruntime-node has no CUDA libraries for ${process.platform} on ${process.arch}; nothing to do`);
  process.stdout.write(describeInstallation(plan));
  if (!yes) {
    if (!process.stdin.isTTY) throw new UsageError("doctor: nothing was fetched; --install-cuda --yes does it without asking");
    const { createInterface } = await import("node:readline/promises");
    const terminal = createInterface({ input: process.stdin, output: process.stdout });
    const answer = await terminal.question("Fetch them? [y/N] ");
    terminal.close();
    if (!/^y(es)?$/i.test(answer.trim())) return say("nothing was fetched");
  }
  return (await runInstaller(plan)) === 0 ? say("Now: tweedie doctor") : EXIT.failed;
}

type Options = NonNullable<NonNullable<Parameters<typeof parseArgs>[0]>["options"]>;

function parse(args: string[], options: Options): { values: Record<string, unknown>; positionals: string[] } {
  try {
    const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
    return { values, positionals };
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function say(text: string): number {
  process.stdout.write(text.endsWith("\n") ? text : `${text}\n`);
  return EXIT.ok;
}

try {
  process.exitCode = await main(process.argv.slice(2));
  // Open watchers and sockets of a stopped kernel must not keep the process.
  if (process.argv[2] === "kernel") process.exit();
} catch (error) {
  const expected = error instanceof UsageError || error instanceof RangeError || error instanceof NotebookFormatError;
  process.stderr.write(`tweedie: ${error instanceof Error ? (expected ? error.message : error.stack) : String(error)}\n`);
  process.exitCode = expected ? EXIT.usage : EXIT.failed;
}
