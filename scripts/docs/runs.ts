import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { CodeCell, Notebook } from "../../kernel/notebook-format.js";
import { examplesOf } from "./examples.js";
import type { Page } from "./pages.js";
import { type ExampleOutcome, runExamples } from "./run-examples.js";

/** A notebook that has been run. */
export interface RanNotebook {
  readonly notebook: Notebook;
  /** The same as a page of its own, a file. */
  readonly page: string;
  /** Whether it was run with small parameters for this site. */
  readonly small: boolean;
}

/** What notebooks and examples show, kept until the library or they themselves change. */
export class Runs {
  readonly #root: string;
  readonly #cache: string;
  readonly #library: string;

  constructor(root: string) {
    this.#root = root;
    this.#cache = path.join(root, ".cache", "docs");
    this.#library = digestOf(...["lib", "kernel", "models"].flatMap((folder) => sources(path.join(root, folder))));
    mkdirSync(this.#cache, { recursive: true });
  }

  /** A notebook of `notebooks/` as `npm start` and the like left it in `out/`, where that is of this notebook.
   * @param parameters with which it is run otherwise; without any it is not */
  async notebook(name: string, parameters?: Readonly<Record<string, unknown>>): Promise<RanNotebook | undefined> {
    const source = readFileSync(path.join(this.#root, "notebooks", `${name}.ipynb`), "utf8");
    const full = path.join(this.#root, "out", `${name}.ipynb`);
    const page = path.join(this.#root, "out", `${name}.html`);
    if (existsSync(full) && existsSync(page)) {
      const ran = JSON.parse(readFileSync(full, "utf8")) as Notebook;
      if (codeOf(ran) === codeOf(JSON.parse(source) as Notebook)) return { notebook: ran, page, small: false };
    }
    if (parameters === undefined) return undefined;
    const values = Object.entries(parameters).flatMap(([key, value]) => ["-p", `${key}=${JSON.stringify(value)}`]);
    const folder = this.#place(name, source, ...values);
    const result = path.join(folder, `${name}.ipynb`);
    if (!existsSync(result)) {
      const given = path.join(this.#root, "notebooks", `${name}.ipynb`);
      const cli = path.join(this.#root, "dist", "kernel", "cli.js");
      await node([cli, "run", given, "--output", folder, "--html", "--quiet", ...values]);
    }
    const notebook = JSON.parse(readFileSync(result, "utf8")) as Notebook;
    return { notebook, page: path.join(folder, `${name}.html`), small: true };
  }

  /** What the `ts show` blocks of pages displayed, by page.
   * @throws Error with the stack of an example that failed */
  examples(pages: readonly Page[]): ReadonlyMap<string, Promise<ExampleOutcome["shown"]>> {
    const showing = pages.filter(({ name, markdown }) => examplesOf(markdown, name).some((example) => example.shown));
    const placed = showing.map((page) => {
      const file = path.join(this.#place(page.name.replaceAll("/", "-"), page.markdown), "shown.json");
      return { page, file, known: existsSync(file) };
    });
    const fresh = placed.filter(({ known }) => !known).map(({ page: { name, markdown } }) => [name, markdown] as const);
    const outcomes = fresh.length > 0 ? runExamples(new Map(fresh), this.#root) : new Map<string, Promise<ExampleOutcome>>();
    return new Map(
      placed.map(({ page: { name, markdown }, file, known }) => {
        if (known) return [name, Promise.resolve(JSON.parse(readFileSync(file, "utf8")) as ExampleOutcome["shown"])];
        const lines = new Set(examplesOf(markdown, name).flatMap((example) => (example.shown ? [example.line] : [])));
        const shown = outcomes.get(name)!.then((outcome) => {
          if (outcome.error !== undefined) throw new Error(`an example of docs/${name}.md failed: ${outcome.error}`);
          const wanted = outcome.shown.filter(([line]) => lines.has(line));
          mkdirSync(path.dirname(file), { recursive: true });
          writeFileSync(file, JSON.stringify(wanted));
          return wanted;
        });
        return [name, shown];
      }),
    );
  }

  /** The folder of what something with this content showed; those of what it was before are removed. */
  #place(name: string, ...content: readonly string[]): string {
    const place = `${name}-${digestOf(this.#library, ...content).slice(0, 16)}`;
    for (const old of readdirSync(this.#cache)) {
      if (old !== place && old.replace(/-[\da-f]{16}$/, "") === name) rmSync(path.join(this.#cache, old), { recursive: true });
    }
    return path.join(this.#cache, place);
  }
}

function codeOf(notebook: Notebook): string {
  const cells = notebook.cells.filter((cell): cell is CodeCell => cell.cell_type === "code");
  // As Jupyter keeps them, text may be a list of lines.
  return JSON.stringify(cells.map(({ source }) => [source].flat().join("")));
}

function node(args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "pipe"] });
    let errors = "";
    child.stderr.on("data", (chunk) => {
      errors += chunk;
    });
    child.on("exit", (code) => (code === 0 ? resolve() : reject(new Error(`${args.slice(1, 3).join(" ")} failed:\n${errors}`))));
  });
}

function sources(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => /\.(ts|js|json)$/.test(file))
    .sort()
    .map((file) => path.join(folder, file))
    .filter((file) => statSync(file).size < 2 ** 20)
    .map((file) => readFileSync(file, "utf8"));
}

function digestOf(...parts: readonly string[]): string {
  const digest = createHash("sha256");
  for (const part of parts) digest.update(part).update("\0");
  return digest.digest("hex");
}
