import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { type Notebook, readNotebook } from "../../kernel/notebook-format.js";
import { recordOf } from "../../kernel/run-record.js";
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

/** What a page's `ts show` blocks displayed, by line of their fence. */
type Shown = ExampleOutcome["shown"];

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

  /** A notebook of `notebooks/`: as `npm start` and the like left it in `out/`, where that is of this notebook and came through;
   * else run with these parameters.
   * @throws Error with what a cell threw */
  async notebook(name: string, parameters: Readonly<Record<string, unknown>>): Promise<RanNotebook> {
    const given = path.join(this.#root, "notebooks", `${name}.ipynb`);
    const source = readFileSync(given, "utf8");
    const full = path.join(this.#root, "out", `${name}.ipynb`);
    const fullPage = path.join(this.#root, "out", `${name}.html`);
    if (existsSync(full) && existsSync(fullPage)) {
      const ran = readNotebook(full);
      const isWhole = recordOf(ran).status === "ok" && codeOf(ran) === codeOf(readNotebook(given));
      if (isWhole) return { notebook: ran, page: fullPage, small: false };
    }
    const values = Object.entries(parameters).flatMap(([key, value]) => ["-p", `${key}=${JSON.stringify(value)}`]);
    const folder = this.#place(name, source, ...values);
    const cli = path.join(this.#root, "dist", "kernel", "cli.js");
    await node([cli, "run", given, "--output", folder, "--html", "--quiet", "--resume", ...values]);
    const notebook = readNotebook(path.join(folder, `${name}.ipynb`));
    return { notebook, page: path.join(folder, `${name}.html`), small: values.length > 0 };
  }

  /** Runs the examples of pages.
   * @returns by page what its `ts show` blocks displayed; rejected with the stack of an example that failed, and where such a
   *   block displayed nothing */
  examples(pages: readonly Page[]): ReadonlyMap<string, Promise<Shown>> {
    const running = pages.filter(({ name, markdown }) => examplesOf(markdown, name).some(({ notRun }) => notRun === undefined));
    const placed = running.map((page) => {
      const file = path.join(this.#place(page.name.replaceAll("/", "-"), page.markdown), "shown.json");
      return { page, file, known: existsSync(file) };
    });
    const fresh = placed.filter(({ known }) => !known).map(({ page: { name, markdown } }) => [name, markdown] as const);
    const outcomes = fresh.length > 0 ? runExamples(new Map(fresh), this.#root) : new Map<string, Promise<ExampleOutcome>>();
    return new Map(
      placed.map(({ page, file, known }) => [
        page.name,
        known
          ? Promise.resolve(JSON.parse(readFileSync(file, "utf8")) as Shown)
          : outcomes.get(page.name)!.then((outcome) => {
              const shown = shownBy(page, outcome);
              mkdirSync(path.dirname(file), { recursive: true });
              writeFileSync(file, JSON.stringify(shown));
              return shown;
            }),
      ]),
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

function shownBy({ name, markdown }: Page, { error, shown }: ExampleOutcome): Shown {
  if (error !== undefined) throw new Error(`an example of docs/${name}.md failed: ${error}`);
  const wanted = examplesOf(markdown, name).flatMap((example) => (example.shown ? [example.line] : []));
  const missing = wanted.find((line) => !shown.some(([at]) => at === line));
  if (missing !== undefined) throw new Error(`docs/${name}.md:${missing + 1}: expected the example to display something`);
  return shown.filter(([line]) => wanted.includes(line));
}

function codeOf({ cells }: Notebook): string {
  return JSON.stringify(cells.flatMap((cell) => (cell.cell_type === "code" ? [cell.source] : [])));
}

function node(args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "pipe"] });
    let errors = "";
    child.stderr.on("data", (chunk) => {
      errors += chunk;
    });
    child.on("exit", (code) =>
      code === 0 ? resolve() : reject(new Error(`${args.slice(1, 3).join(" ")} failed:\n${errors.trim()}`)),
    );
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
