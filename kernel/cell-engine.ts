import { existsSync, readFileSync } from "node:fs";
import { createRequire, Module } from "node:module";
import path from "node:path";
import vm from "node:vm";
import { CellTypeError, InterruptedError, SourceRegistry } from "./cell-errors.js";
import type { CellEvent, Completeness, Completion, EngineRequest } from "./messages.js";
import { NOTEBOOK_RUNTIME, type NotebookRuntime } from "./notebook-runtime.js";
import { PACKAGE_ROOT } from "./package-root.js";
import { type Conversion, type Converter, loadTslab, splitSourceMaps, type Tslab } from "./typescript-shim.js";
import { displayValue, encodeBundle } from "./value-display.js";

interface Cell {
  readonly id: number;
  readonly abort: AbortController;
}

/** Entry of the document's state that says: plotly.js is in there. */
const LIBRARY = "plotly-loaded";

type CellFunction = (exports: object, require: NodeJS.Require) => unknown;

export interface CellEngineOptions {
  /** Receives everything that cell `id` makes visible, in order. */
  readonly emit: (id: number, event: CellEvent) => void;
  /** Runs work of the engine itself, which an interrupt must not tear apart. */
  readonly uninterruptible?: <T>(work: () => T) => T;
}

/** Compiles and runs TypeScript cells that share their variables, and reports what happens as Jupyter-shaped events.
 *
 * Cells run in this process and in the current directory, so one process holds one engine: front ends start it as a child
 * (see EngineProcess) and survive whatever a cell does. */
export class CellEngine {
  readonly #tslab: Tslab;
  readonly #converter: Converter;
  readonly #sources = new SourceRegistry();
  readonly #emit: CellEngineOptions["emit"];
  readonly #uninterruptible: NonNullable<CellEngineOptions["uninterruptible"]>;
  readonly #exports = createExports();
  readonly #localModules = new LocalModules(this.#sources);
  readonly #require: NodeJS.Require;
  readonly #documentState = new Map<string, unknown>();
  /** The notebook cell whose output carries plotly.js. */
  #libraryCell: string | undefined;
  #declarations = "";
  #current: Cell | undefined;
  /** Output that arrives after a cell has ended (a timer, a stray promise) still belongs to it. */
  #last: Cell | undefined;
  /** Why cells were interrupted whose turn has yet to come: interrupts travel on a way of their own and can overtake them. */
  readonly #interruptedAhead = new Map<number, string>();

  constructor(options: CellEngineOptions) {
    this.#emit = options.emit;
    this.#uninterruptible = options.uninterruptible ?? ((work) => work());
    this.#tslab = loadTslab();
    this.#converter = this.#tslab.createConverter({ isJS: false, isBrowser: false });
    this.#require = this.#localModules.requireFrom(process.cwd());
    this.#installRuntime();
  }

  /** Runs one cell and reports its result or error as events.
   * @param label stands for the cell in error messages, for instance `cell[3]`
   * @returns whether the cell succeeded */
  async execute(cell: Omit<Extract<EngineRequest, { op: "execute" }>, "op">): Promise<boolean> {
    const running: Cell = { id: cell.id, abort: new AbortController() };
    this.#current = this.#last = running;
    // A cell that runs again replaces its outputs, also one that brought plotly.js into the document.
    if (cell.cellId !== undefined && cell.cellId === this.#libraryCell) this.#documentState.delete(LIBRARY);
    const hadLibrary = this.#documentState.has(LIBRARY);
    const interrupted = new Promise<never>((_, reject) => {
      running.abort.signal.addEventListener("abort", () => reject(running.abort.signal.reason));
    });
    interrupted.catch(() => undefined);
    const reason = this.#interruptedAhead.get(cell.id);
    this.#interruptedAhead.clear();
    try {
      if (reason !== undefined) throw new InterruptedError(reason);
      const result = await Promise.race([this.#evaluate(cell.label, cell.code, running.abort.signal), interrupted]);
      if (result && !cell.silent) this.#emit(cell.id, { type: "execute_result", data: result, metadata: {} });
      return true;
    } catch (error) {
      this.#emit(cell.id, { type: "error", ...this.#sources.describe(error) });
      return false;
    } finally {
      this.#current = undefined;
      if (!hadLibrary && this.#documentState.has(LIBRARY)) this.#libraryCell = cell.cellId;
    }
  }

  /** Ends a cell with an `Interrupted` error and aborts its signal, also one that has yet to begin.
   * @param id cells are numbered upwards
   * @returns whether that will end it; false if it has ended already */
  interrupt(id: number, reason = "the cell was interrupted"): boolean {
    if (this.#current?.id === id) this.#current.abort.abort(new InterruptedError(reason));
    else if (id > (this.#last?.id ?? 0)) this.#interruptedAhead.set(id, reason);
    else return false;
    return true;
  }

  /** Reports text written to standard output or error as belonging to the cell that is running, or that ran last. */
  write(name: "stdout" | "stderr", text: string): void {
    const cell = this.#current ?? this.#last;
    if (cell) this.#emit(cell.id, { type: "stream", name, text });
  }

  /** Shows an error that no cell caught: a rejected promise nobody awaited, an exception in a timer. */
  reportUncaught(error: unknown): void {
    const { traceback } = this.#sources.describe(error);
    this.write("stderr", `Uncaught ${traceback.join("\n")}\n`);
  }

  /** @param cursor UTF-16 offset into `code` */
  complete(code: string, cursor: number): Completion {
    const { candidates, start, end } = this.#uninterruptible(() => this.#converter.complete(this.#declarations, code, cursor));
    return { matches: candidates, start, end };
  }

  /** Type and documentation of what stands at `cursor` (UTF-16 offset), or undefined where nothing does. */
  inspect(code: string, cursor: number): string | undefined {
    const info = this.#uninterruptible(() => this.#converter.inspect(this.#declarations, code, cursor));
    return info ? this.#tslab.printQuickInfo(info) : undefined;
  }

  isComplete(code: string): Completeness {
    const { completed, indent } = this.#tslab.isCompleteCode(code);
    return completed ? { status: "complete" } : { status: "incomplete", indent: indent ?? "" };
  }

  close(): void {
    this.#converter.close();
  }

  async #evaluate(label: string, code: string, signal: AbortSignal): Promise<Record<string, unknown> | undefined> {
    const conversion = this.#uninterruptible(() => this.#converter.convert(this.#declarations, code));
    this.#localModules.update(conversion.sideOutputs ?? []);
    if (conversion.diagnostics.length > 0) throw new CellTypeError(conversion.diagnostics, code);
    if (!conversion.output) {
      this.#declarations = conversion.declOutput ?? "";
      return undefined;
    }
    const run = this.#compile(label, code, conversion);
    // A runaway loop is ended by terminating the JavaScript that is on the stack. In a task of its own that is the cell alone,
    // and the caller is still there to report it.
    return new Promise((resolve, reject) => {
      const task = async (): Promise<Record<string, unknown> | undefined> => {
        // Interrupted while it was being compiled.
        if (signal.aborted) return undefined;
        await run(this.#exports, this.#require);
        // An interrupted cell may still run to its end in the background; by then other cells define what exists.
        if (signal.aborted) return undefined;
        this.#declarations = conversion.declOutput ?? "";
        if (!conversion.lastExpressionVar) return undefined;
        const value = await (this.#exports[conversion.lastExpressionVar] as unknown);
        delete this.#exports[conversion.lastExpressionVar];
        if (value instanceof Error) return { "text/plain": this.#sources.describe(value).traceback.join("\n") };
        return value === undefined ? undefined : displayValue(value);
      };
      setImmediate(() => void task().then(resolve, reject));
    });
  }

  #compile(label: string, code: string, conversion: Conversion): CellFunction {
    const { code: output, maps } = splitSourceMaps(conversion.output!);
    this.#sources.add(label, { name: label, code, linesBefore: 1 }, maps);
    const prefix = conversion.hasToplevelAwait ? "(async function (exports, require) { " : "(function (exports, require) { ";
    return vm.runInThisContext(`${prefix}${output}\n})`, { filename: label, columnOffset: -prefix.length }) as CellFunction;
  }

  #installRuntime(): void {
    const show: NotebookRuntime["display"] = ({ data, metadata = {}, transient = {} }, update = false) => {
      const cell = this.#current ?? this.#last;
      if (!cell) return;
      this.#emit(cell.id, {
        type: update ? "update_display_data" : "display_data",
        data: encodeBundle(data),
        metadata,
        transient,
      });
    };
    const current = (): Cell | undefined => this.#current;
    const runtime: NotebookRuntime = {
      display: show,
      clear: (wait = false) => {
        const cell = this.#current ?? this.#last;
        if (cell) this.#emit(cell.id, { type: "clear_output", wait });
      },
      get signal() {
        return current()?.abort.signal;
      },
      documentState: this.#documentState,
    };
    (globalThis as Record<symbol, unknown>)[NOTEBOOK_RUNTIME] = runtime;
    this.#tslab.jupyter.lastWriteDisplayData = show as Tslab["jupyter"]["lastWriteDisplayData"];
  }
}

/** Variables of all cells. TypeScript compiles imports to getters; cells may redefine them, so their values are stored. */
function createExports(): Record<string, unknown> {
  return new Proxy<Record<string, unknown>>(
    {},
    {
      defineProperty(target, name, descriptor) {
        if (name !== "__esModule") target[name as string] = descriptor.get ? descriptor.get() : descriptor.value;
        return true;
      },
    },
  );
}

/** Compiled local `.ts` files that cells import, loaded again after they change. */
class LocalModules {
  readonly #outputs = new Map<string, string>();
  readonly #loaded = new Map<string, Module>();
  readonly #sources: SourceRegistry;

  constructor(sources: SourceRegistry) {
    this.#sources = sources;
  }

  update(outputs: NonNullable<Conversion["sideOutputs"]>): void {
    for (const { path: file, data } of outputs) this.#outputs.set(file, data);
    // A changed file may be imported by any other one.
    if (outputs.length > 0) this.#loaded.clear();
  }

  /** `require` for code in `directory`: local files, then the folder's own packages, then tweedie's. */
  requireFrom(directory: string): NodeJS.Require {
    const own = createRequire(path.join(directory, "cell.js"));
    const fallback = createRequire(path.join(PACKAGE_ROOT, "package.json"));
    const load = (name: string): unknown => {
      const local = name.startsWith(".") ? this.#load(path.join(directory, name)) : undefined;
      if (local) return local.exports;
      return resolves(own, name) || !resolves(fallback, name) ? own(name) : fallback(name);
    };
    return Object.assign(load, { resolve: own.resolve, cache: own.cache, extensions: own.extensions, main: own.main });
  }

  #load(file: string): Module | undefined {
    const name = path.extname(file) === ".js" ? file : `${file.replace(/\.ts$/, "")}.js`;
    const loaded = this.#loaded.get(name);
    const output = this.#outputs.get(name);
    if (loaded || output === undefined) return loaded;
    const module = new Module(name);
    this.#loaded.set(name, module);
    module.filename = name;
    module.require = this.requireFrom(path.dirname(name)) as Module["require"];
    const { code, maps } = splitSourceMaps(output);
    const written = name.replace(/\.js$/, ".ts");
    const source = existsSync(written) ? written : name;
    this.#sources.add(
      name,
      { name: path.relative(process.cwd(), source), code: readFileSync(source, "utf8"), linesBefore: 0 },
      maps,
    );
    (module as Module & { _compile(code: string, name: string): void })._compile(code, name);
    return module;
  }
}

function resolves(require: NodeJS.Require, name: string): boolean {
  try {
    require.resolve(name);
    return true;
  } catch {
    return false;
  }
}
