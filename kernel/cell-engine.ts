import vm from "node:vm";
import { CellTypeError, InterruptedError, SourceRegistry } from "./cell-errors.js";
import { cellOptions } from "./cell-options.js";
import { CellVariables, type Defining, type Definitions } from "./cell-variables.js";
import { Comms } from "./comms.js";
import { LocalModules } from "./local-modules.js";
import { MAGIC_NAMES, type MagicCell, type MagicHost, parseMagics, runMagics, usage } from "./magics.js";
import type { CellEvent, CommInfo, CommMessage, Completeness, Completion, EngineRequest, InputQuestion } from "./messages.js";
import { NOTEBOOK_RUNTIME, type NotebookRuntime } from "./notebook-runtime.js";
import { RunningCell, RunningCells } from "./running-cell.js";
import { type Converter, loadTslab, splitConverted, syntaxOf, type Tslab } from "./typescript-shim.js";
import { displayValue, encodeBundle } from "./value-display.js";

/** Entry of the document's state that says: plotly.js is in there. */
const LIBRARY = "plotly-loaded";

/** An interrupted cell that has not ended by itself after this time is said to have. */
const ANSWER_MS = 300;
/** Completions are described until this time is used up. */
const DESCRIBING_MS = 60;

type CellFunction = (exports: object, require: NodeJS.Require) => unknown;
type CompiledCell = Definitions & { readonly run: CellFunction };
type CellRequest = Omit<Extract<EngineRequest, { op: "execute" }>, "op">;

export interface CellEngineOptions {
  /** Receives everything that cell `id` makes visible, in order. */
  readonly emit: (id: number, event: CellEvent) => void;
  /** Told once of every cell (and comm message) that was started. */
  readonly ended: (id: number, ok: boolean) => void;
  /** Passes a question on to whoever sits in front of cell `id`; answered with `answerInput`. */
  readonly ask: (id: number, question: number, about: InputQuestion) => void;
  /** Limits the time of cell `id`, or of all from there. */
  readonly limit: (id: number, ms: number | undefined, always: boolean) => void;
  /** Runs work of the engine itself, which an interrupt must not tear apart. */
  readonly uninterruptible: <T>(work: () => T) => T;
  /** What Jupyter's server calls this kernel, if one does. */
  readonly kernelId: string | undefined;
  /** Whether an interrupt has come that `interrupt` has not been told of, for which the event loop must turn. */
  readonly interruptPending: () => boolean;
}

/** Compiles and runs TypeScript cells that share their variables, and reports what happens as Jupyter-shaped events.
 *
 * Cells run in this process and in the current directory, so one process holds one engine: front ends start it as a child
 * (see EngineProcess) and survive whatever a cell does. */
export class CellEngine {
  readonly #options: CellEngineOptions;
  readonly #tslab: Tslab;
  readonly #converter: Converter;
  readonly #sources = new SourceRegistry();
  readonly #variables: CellVariables;
  readonly #compilerOptions = cellOptions(process.cwd());
  #localModules = new LocalModules(this.#sources, this.#compilerOptions.options);
  /** What is wrong with the folder's settings, told once. */
  #problems = this.#compilerOptions.problems;
  readonly #documentState = new Map<string, unknown>();
  readonly #comms = new Comms((message) => this.#emit(message));
  readonly #cells: RunningCells;
  readonly #answers = new Map<number, (answer: string) => void>();
  /** The notebook cell whose output carries plotly.js: its id, or its code. */
  #libraryCell: string | undefined;
  /** Whether plotly.js was in the document before the current cell. */
  #hadLibrary = false;
  #questions = 0;
  #current: RunningCell | undefined;
  /** What the current cell defines, once it runs. */
  #defining: Defining | undefined;
  /** Output of which nobody knows on whose behalf it came. */
  #last: RunningCell | undefined;
  /** Why cells were interrupted whose turn has yet to come: interrupts travel on a way of their own and can overtake them. */
  readonly #interruptedAhead = new Map<number, string>();

  constructor(options: CellEngineOptions) {
    this.#options = options;
    this.#cells = new RunningCells(options.interruptPending);
    this.#tslab = loadTslab();
    this.#converter = this.#tslab.createConverter({ isJS: false, isBrowser: false });
    this.#variables = new CellVariables({ input: this.#input });
    // So that no cell waits for what the compiler does once.
    this.#converter.convert(this.#variables.declarations, "await 0");
    this.#installRuntime();
  }

  /** Starts a cell; `ended` is called when it has run, its result or error having been emitted.
   * `label` stands for the cell in error messages, for instance `cell[3]`. */
  execute(request: CellRequest): void {
    // A front end that does not name its cells is likely to run the same code in the same one.
    const { cellId = request.code } = request;
    // A cell that runs again replaces its outputs, also one that brought plotly.js into the document.
    if (cellId === this.#libraryCell) this.#documentState.delete(LIBRARY);
    const hadLibrary = this.#documentState.has(LIBRARY);
    this.#hadLibrary = hadLibrary;
    const cell = new RunningCell(request.id, request.allowInput);
    this.#start(cell, async () => {
      try {
        const result = await this.#evaluate(cell, request);
        return result && !request.silent ? { type: "execute_result", data: result, metadata: {} } : undefined;
      } finally {
        if (!hadLibrary && this.#documentState.has(LIBRARY)) this.#libraryCell = cellId;
      }
    });
  }

  /** Passes on what the page has said on a comm; `ended` is called when it has been dealt with. */
  receiveComm(id: number, message: CommMessage): void {
    this.#start(new RunningCell(id, false), async () => {
      try {
        await this.#comms.receive(message);
      } catch (error) {
        this.reportUncaught(error);
      }
      return undefined;
    });
  }

  commInfo(target?: string): CommInfo {
    return this.#comms.info(target);
  }

  /** Ends a cell with an `Interrupted` error and aborts its signal, also one that has yet to begin.
   * @param id cells are numbered upwards; one that has ended stands for what it and those before it have left running
   * @param how `terminated`: its code is not running any more, so that there is nothing to wait for */
  interrupt(id: number, how: { readonly reason?: string; readonly terminated?: boolean } = {}): void {
    const { reason = "the cell was interrupted", terminated = false } = how;
    const cell = this.#current;
    if (id > (this.#last?.id ?? 0)) this.#interruptedAhead.set(id, reason);
    else if (cell?.id !== id) this.#cells.interruptUpTo(id, reason);
    else {
      cell.interrupt(reason);
      setTimeout(() => this.#end(cell, cell.signal.reason), terminated ? 0 : ANSWER_MS);
    }
  }

  answerInput(question: number, answer: string): void {
    this.#answers.get(question)?.(answer);
    this.#answers.delete(question);
  }

  /** The cell on whose behalf the calling code runs, as far as that can be known. */
  get owner(): number | undefined {
    return (this.#cells.own ?? this.#current ?? this.#last)?.id;
  }

  /** Shows an error that no cell caught: a rejected promise nobody awaited, an exception in a timer. */
  reportUncaught(error: unknown): void {
    // What an interrupted cell has left running ends with this one.
    if (error instanceof InterruptedError) return;
    this.#emit({ type: "stream", name: "stderr", text: `Uncaught ${this.#sources.describe(error).traceback.join("\n")}\n` });
  }

  /** @param cursor UTF-16 offset into `code` */
  complete(code: string, cursor: number): Completion {
    const magic = /(?:^|\n)[ \t]*(%%?\w*)$/.exec(code.slice(0, cursor))?.[1];
    if (magic !== undefined) {
      const matches = MAGIC_NAMES.filter((name) => name.startsWith(magic));
      return { matches, start: cursor - magic.length, end: cursor, details: [] };
    }
    return this.#options.uninterruptible(() => {
      const { candidates, start, end, original } = this.#converter.complete(
        this.#variables.declarations,
        parseMagics(code).code,
        cursor,
      );
      const since = performance.now();
      const details = [];
      for (const name of candidates) {
        if (performance.now() - since > DESCRIBING_MS) break;
        const detail = original?.describe(name);
        if (detail) details.push(detail);
      }
      return { matches: candidates, start, end, details };
    });
  }

  /** Type and documentation of what stands at `cursor` (UTF-16 offset), or undefined where nothing does. */
  inspect(code: string, cursor: number): string | undefined {
    const info = this.#options.uninterruptible(() =>
      this.#converter.inspect(this.#variables.declarations, parseMagics(code).code, cursor),
    );
    return info ? this.#tslab.printQuickInfo(info) : undefined;
  }

  isComplete(code: string): Completeness {
    const { magics, code: typescript, body } = parseMagics(code);
    if (body !== undefined) return /\n\s*$/.test(body) ? { status: "complete" } : { status: "incomplete", indent: "" };
    const cell = magics.length === 0 ? typescript : typescript.trimStart();
    const { completed, indent = "" } = this.#tslab.isCompleteCode(cell);
    if (!completed) return { status: "incomplete", indent };
    const status = syntaxOf(cell);
    return status === "incomplete" ? { status, indent: "" } : { status };
  }

  close(): void {
    this.#converter.close();
  }

  #start(cell: RunningCell, work: () => Promise<CellEvent | undefined>): void {
    this.#current = this.#last = cell;
    const reason = this.#interruptedAhead.get(cell.id);
    this.#interruptedAhead.clear();
    if (reason !== undefined) {
      this.#end(cell, new InterruptedError(reason));
      return;
    }
    this.#cells.run(cell, () =>
      work().then(
        (result) => this.#end(cell, cell.signal.reason, result),
        (error) => this.#end(cell, error ?? new Error("undefined was thrown")),
      ),
    );
  }

  /** Ends a cell once, however many ways there are to its end. */
  #end(cell: RunningCell, error: unknown, result?: CellEvent): void {
    this.#options.uninterruptible(() => {
      if (this.#current !== cell) return;
      this.#current = undefined;
      this.#defining?.abandon();
      this.#defining = undefined;
      let failure = error;
      try {
        if (failure === undefined && result) this.#options.emit(cell.id, result);
      } catch (unsendable) {
        failure = unsendable;
      }
      if (failure !== undefined) this.#options.emit(cell.id, { type: "error", ...this.#sources.describe(failure) });
      this.#options.ended(cell.id, failure === undefined);
    });
  }

  #emit(event: CellEvent): void {
    const { owner } = this;
    if (owner !== undefined) this.#options.emit(owner, event);
  }

  async #evaluate(cell: RunningCell, { label, code }: CellRequest): Promise<Record<string, unknown> | undefined> {
    const magic = parseMagics(code);
    const after = await runMagics(magic, this.#magicHost(cell));
    if (magic.code.trim() === "") return void after(usage());
    const conversion = this.#compile(label, code, magic);
    await this.#localModules.prepare(magic.code, process.cwd());
    // A runaway loop is ended by terminating the JavaScript that is on the stack. In a task of its own that is the cell alone,
    // and the caller is still there to report it.
    return new Promise((resolve, reject) => {
      const task = async (): Promise<Record<string, unknown> | undefined> => {
        // Interrupted while it was being compiled.
        cell.signal.throwIfAborted();
        const since = usage();
        const value = await this.#run(cell, conversion);
        after(since);
        if (value instanceof Error) return { "text/plain": this.#sources.describe(value).traceback.join("\n") };
        return value === undefined ? undefined : displayValue(value);
      };
      setImmediate(() => void task().then(resolve, reject));
    });
  }

  #compile(label: string, code: string, magic: MagicCell): CompiledCell {
    const conversion = this.#options.uninterruptible(() => this.#converter.convert(this.#variables.declarations, magic.code));
    for (const problem of this.#problems) this.#emit({ type: "stream", name: "stderr", text: `${problem}\n` });
    this.#problems = [];
    if (conversion.diagnostics.length > 0) throw new CellTypeError(conversion.diagnostics, { name: label, code });
    const { code: output, maps, names } = splitConverted(conversion.output ?? "");
    this.#sources.add(label, { name: label, code, linesBefore: 1 }, maps);
    const prefix = conversion.hasToplevelAwait ? "(async function (exports, require) { " : "(function (exports, require) { ";
    const wrapped = `${prefix}${output}\n})`;
    return {
      names,
      declarations: conversion.declOutput ?? "",
      lastExpressionVar: conversion.lastExpressionVar,
      run: vm.runInThisContext(wrapped, { filename: label, columnOffset: -prefix.length }) as CellFunction,
    };
  }

  /** @returns the value of the cell's last expression */
  async #run(cell: RunningCell, { run, ...definitions }: CompiledCell): Promise<unknown> {
    const defining = this.#variables.define(definitions);
    this.#defining = defining;
    await run(defining.exports, this.#localModules.requireFrom(process.cwd()));
    // An interrupted cell may still run to its end in the background; by then other cells define what exists.
    cell.signal.throwIfAborted();
    defining.complete();
    this.#defining = undefined;
    return cell.until(Promise.resolve(defining.result));
  }

  readonly #input = (prompt = "", { password = false }: { password?: boolean } = {}): Promise<unknown> => {
    const cell = this.#cells.own;
    if (!cell?.allowInput) {
      return Promise.reject(
        new Error(
          `input: expected somebody who can answer ${JSON.stringify(String(prompt))}, got a front end that passes no questions on; write the value into the cell, or run it where it can be typed`,
        ),
      );
    }
    const question = ++this.#questions;
    const answer = new Promise<unknown>((resolve) => this.#answers.set(question, resolve));
    this.#options.ask(cell.id, question, { prompt: String(prompt), password });
    return cell.until(answer);
  };

  #magicHost(cell: RunningCell): MagicHost {
    return {
      print: (text) => this.#emit({ type: "stream", name: "stdout", text }),
      show: (data) => this.#emit({ type: "display_data", data, metadata: {}, transient: {} }),
      variables: () => this.#variables.own(),
      reset: () => {
        this.#variables.reset();
        this.#localModules = new LocalModules(this.#sources, this.#compilerOptions.options);
      },
      limit: (ms, always) => this.#options.limit(cell.id, ms, always),
    };
  }

  #installRuntime(): void {
    const show: NotebookRuntime["display"] = ({ data, metadata = {}, transient = {} }, update = false) =>
      this.#emit({ type: update ? "update_display_data" : "display_data", data: encodeBundle(data), metadata, transient });
    const signal = (): AbortSignal | undefined => (this.#cells.own ?? this.#current)?.signal;
    const runtime: NotebookRuntime = {
      display: show,
      clear: (wait = false) => {
        if (!this.#hadLibrary) this.#documentState.delete(LIBRARY);
        this.#emit({ type: "clear_output", wait });
      },
      get signal() {
        return signal();
      },
      comms: this.#comms,
      kernelId: this.#options.kernelId,
      documentState: this.#documentState,
    };
    (globalThis as Record<symbol, unknown>)[NOTEBOOK_RUNTIME] = runtime;
    this.#tslab.jupyter.lastWriteDisplayData = show as Tslab["jupyter"]["lastWriteDisplayData"];
  }
}
