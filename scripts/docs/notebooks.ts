import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { CodeCell, Notebook, Output } from "../../kernel/notebook-format.js";
import { escapeHtml } from "../../lib/figures/escape.js";
import { ink } from "../../lib/figures/palette.js";
import { examplesOf } from "./examples.js";
import type { Page } from "./pages.js";
import { stillOf } from "./stills.js";

/** A notebook that has been run. */
export interface RanNotebook {
  readonly notebook: Notebook;
  /** The same as a page of its own, a file. */
  readonly page: string;
  /** Whether it was run with small parameters for this site. */
  readonly small: boolean;
}

/** Runs notebooks with the headless runner and keeps what came out until sources change. */
export class NotebookRuns {
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
    const folder = await this.#run(name, source, ["--html", ...values]);
    return { notebook: readNotebook(folder, name), page: path.join(folder, `${name}.html`), small: true };
  }

  /** Runs the examples of a page as the cells of a notebook. @returns what they showed, in HTML, by line of their fence */
  async page(
    { name, markdown }: Page,
    asset: (file: string, bytes: Uint8Array | string) => string,
  ): Promise<Map<number, string>> {
    const examples = examplesOf(markdown, name).filter((example) => example.notRun === undefined);
    const outputs = new Map<number, string>();
    if (!examples.some((example) => example.shown)) return outputs;
    const cells = examples.map(({ code }, i) => ({
      cell_type: "code",
      id: `example-${i}`,
      metadata: {},
      source: code,
      execution_count: null,
      outputs: [],
    }));
    const file = name.replaceAll("/", "-");
    const folder = await this.#run(file, JSON.stringify({ cells, metadata: {}, nbformat: 4, nbformat_minor: 5 }), []);
    codeCells(readNotebook(folder, file)).forEach((cell, i) => {
      const { line, shown } = examples[i]!;
      if (shown)
        outputs.set(
          line,
          outputsHtml(cell.outputs, (still, extension) => asset(`${file}-${line + 1}.${extension}`, still)),
        );
    });
    return outputs;
  }

  /** @returns the folder with what the run wrote */
  async #run(name: string, source: string, options: readonly string[]): Promise<string> {
    // Inside the package, where its own name can be imported; a folder of its own, because notebooks write files beside them.
    const folder = path.join(this.#cache, `${name}-${digestOf(this.#library, source, ...options).slice(0, 16)}`);
    const out = path.join(folder, "out");
    if (existsSync(path.join(out, `${name}.ipynb`))) return out;
    for (const old of readdirSync(this.#cache)) {
      if (old.replace(/-[\da-f]{16}$/, "") === name) rmSync(path.join(this.#cache, old), { recursive: true });
    }
    mkdirSync(folder);
    const given = path.join(folder, `${name}.ipynb`);
    writeFileSync(given, source);
    await node([path.join(this.#root, "dist/kernel/cli.js"), "run", given, "--output", out, "--quiet", ...options]);
    return out;
  }
}

function readNotebook(folder: string, name: string): Notebook {
  return JSON.parse(readFileSync(path.join(folder, `${name}.ipynb`), "utf8")) as Notebook;
}

/** A still or small piece of HTML from what a cell showed, the richest that needs no scripts. */
export function outputsHtml(
  outputs: readonly Output[],
  asset: (bytes: Uint8Array | string, extension: string) => string,
): string {
  return outputs.flatMap((output) => ("data" in output ? [bundleHtml(output.data, asset)] : [])).join("\n");
}

function bundleHtml(
  data: Readonly<Record<string, unknown>>,
  asset: (bytes: Uint8Array | string, extension: string) => string,
): string {
  const text = (type: string): string => (Array.isArray(data[type]) ? data[type].join("") : String(data[type] ?? ""));
  const alt = escapeHtml(text("text/plain").slice(0, 400));
  const json = data["application/vnd.plotly.v1+json"];
  const svg = text("image/svg+xml") || (json === undefined ? "" : stillOf(json, text("text/plain")));
  if (svg !== "") return `<img alt="${alt}" loading="lazy" src="${asset(withDarkInk(svg), "svg")}">`;
  const png = text("image/png");
  if (png !== "") return `<img alt="${alt}" loading="lazy" src="${asset(Buffer.from(png, "base64"), "png")}">`;
  const html = text("text/html");
  return html !== "" && !/<script/i.test(html) ? html : `<pre>${escapeHtml(text("text/plain"))}</pre>`;
}

/** A still whose texts are lighter on dark ground; pictures follow the colour scheme of the page that shows them. */
function withDarkInk(svg: string): string {
  const texts = [`svg[fill="${ink.text}"]`, `text[fill="${ink.text}"]`].join();
  return svg.replace(">", `><style>@media(prefers-color-scheme:dark){${texts}{fill:#a9b2bd}}</style>`);
}

/** Code cells, as Jupyter keeps them: text may be a list of lines. */
export function codeCells(notebook: Notebook): readonly CodeCell[] {
  return notebook.cells.filter((cell) => cell.cell_type === "code");
}

function codeOf(notebook: Notebook): string {
  return JSON.stringify(codeCells(notebook).map(({ source }) => [source].flat().join("")));
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
