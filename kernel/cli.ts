#!/usr/bin/env node
import path from "node:path";
import { columns, didYouMean, EXIT, helpOf, say, UsageError } from "./command-line.js";
import { commands } from "./commands/index.js";
import { fileTrouble } from "./file-trouble.js";
import { NotebookFormatError } from "./notebook-format.js";
import { PACKAGE_ROOT, packageVersion } from "./package-root.js";

function firstSteps(): [command: string, what: string][] {
  const notebook = path.join(PACKAGE_ROOT, "notebooks", "01-look-inside.ipynb");
  const from = path.relative("", notebook);
  return [
    [`tweedie run ${from.length < notebook.length ? from : notebook} --html`, "look inside a diffusion model, without Jupyter"],
    ["tweedie new research my-study", "begin a notebook of your own"],
    ["tweedie run my-study -p seed=2", "run it with other values; results in out/"],
    ["tweedie export out/ --to site", "show others what came out"],
    ["tweedie install && jupyter lab", "work in Jupyter"],
  ];
}

function overview(): string {
  return `tweedie: TypeScript notebooks that look inside diffusion models

First steps
${columns(firstSteps())}

Usage: tweedie <command> [options]

${columns(commands.map(({ name, summary }) => [name, summary]))}

tweedie <command> --help shows examples and every option. Exit codes: 0 all is well, 1 something failed, 2 wrong use,
3 a time limit, 130 interrupted.
`;
}

async function main([name = "", ...args]: readonly string[]): Promise<number> {
  if (name === "--version" || name === "-v") return say(packageVersion(path.join(PACKAGE_ROOT, "package.json")));
  // What the kernelspec starts.
  if (name === "kernel") {
    const { JupyterServer } = await import("./jupyter-server.js");
    await JupyterServer.serve(args[0] ?? "");
    return EXIT.ok;
  }
  const asksForHelp = ["", "--help", "-h", "help"].includes(name);
  const wanted = asksForHelp ? args[0] : name;
  if (wanted === undefined || (asksForHelp && wanted.startsWith("-"))) return say(overview());
  const command = commands.find((known) => known.name === wanted);
  if (!command) {
    const hint = didYouMean(
      wanted,
      commands.map((known) => known.name),
    );
    throw new UsageError(`there is no command ${wanted}${hint}; tweedie --help lists them`);
  }
  const own = args.includes("--") ? args.slice(0, args.indexOf("--")) : args;
  if (asksForHelp || own.includes("--help") || own.includes("-h")) return say(helpOf(command));
  return command.execute(args);
}

try {
  process.exitCode = await main(process.argv.slice(2));
  // Open watchers and sockets of a stopped kernel must not keep the process.
  if (process.argv[2] === "kernel") process.exit();
} catch (error) {
  const expected = error instanceof UsageError || error instanceof RangeError || error instanceof NotebookFormatError;
  const told = expected ? error.message : fileTrouble(error);
  process.stderr.write(`tweedie: ${told ?? (error instanceof Error ? error.stack : String(error))}\n`);
  process.exitCode = told === undefined ? EXIT.failed : EXIT.usage;
}
