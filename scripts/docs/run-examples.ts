import { fork } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { compiledModule, moduleOf } from "./examples.js";

/** What became of a page's examples. */
export interface ExampleOutcome {
  readonly seconds: number;
  /** The stack of what they threw. */
  readonly error?: string;
  /** What blocks displayed, by line of their fence. */
  readonly shown: readonly (readonly [line: number, bundle: Readonly<Record<string, unknown>>])[];
}

/** Runs the examples of pages in a process of its own, page after page, each as one module against the compiled library.
 * @param pages Markdown by name */
export function runExamples(pages: ReadonlyMap<string, string>, root: string): ReadonlyMap<string, Promise<ExampleOutcome>> {
  // Inside the package, where its own name can be imported.
  mkdirSync(path.join(root, ".cache"), { recursive: true });
  const folder = mkdtempSync(path.join(root, ".cache", "examples-"));
  const ended = new Map<string, (outcome: ExampleOutcome) => void>();
  const outcomes = new Map<string, Promise<ExampleOutcome>>();
  for (const [page, markdown] of pages) {
    const file = path.join(folder, `${page.replaceAll("/", ".")}.mjs`);
    writeFileSync(file, compiledModule(moduleOf(markdown, page, "run")));
    outcomes.set(page, new Promise((resolve) => ended.set(file, resolve)));
  }
  const script = fileURLToPath(new URL("example-process.mjs", import.meta.url));
  const child = fork(script, [...ended.keys()], { execArgv: ["--enable-source-maps"], serialization: "advanced" });
  child.on("message", (message) => {
    const { file, ...outcome } = message as ExampleOutcome & { readonly file: string };
    ended.get(file)!(outcome);
  });
  child.on("exit", (code) => {
    rmSync(folder, { recursive: true, force: true });
    for (const end of ended.values())
      end({ error: `the process ended with ${code} before this page was done`, seconds: 0, shown: [] });
  });
  return outcomes;
}
