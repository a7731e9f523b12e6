import path from "node:path";
import { EngineProcess } from "./engine-process.js";
import { LANGUAGE_INFO } from "./language-info.js";
import type { CellError, CellEvent } from "./messages.js";
import { type CodeCell, type Notebook, newCellId } from "./notebook-format.js";
import { OutputCollector } from "./output-collector.js";

export interface RunOptions {
  /** Folder in which the cells run, usually the notebook's own. */
  readonly directory: string;
  /** Limit per cell. */
  readonly timeoutMs?: number | undefined;
  /** Values for the variables of the cell tagged `parameters`. */
  readonly parameters?: Readonly<Record<string, unknown>>;
  /** Stops the run; the notebook is then left as it was at that moment. */
  readonly signal?: AbortSignal;
  readonly progress?: RunProgress;
}

/** What a run tells whoever watches it. `number` counts code cells from 1. */
export interface RunProgress {
  cellStarted?(cell: { readonly number: number; readonly of: number; readonly source: string }): void;
  cellEvent?(event: CellEvent): void;
  cellEnded?(cell: { readonly number: number; readonly ok: boolean; readonly seconds: number }): void;
}

export interface RunReport {
  /** The notebook with its outputs; cells behind a failed one are left without. */
  readonly notebook: Notebook;
  readonly cells: number;
  readonly seconds: number;
  readonly failure?: CellFailure;
}

/** The cell that ended a run. */
export interface CellFailure {
  readonly number: number;
  readonly source: string;
  readonly error: CellError;
}

/** Runs a notebook from top to bottom in a fresh engine process and stops at the first cell that fails.
 * @throws RangeError for parameters that the cell tagged `parameters` does not declare
 * @throws the signal's reason when stopped */
export async function runNotebook(notebook: Notebook, options: RunOptions): Promise<RunReport> {
  const { signal, progress, timeoutMs } = options;
  const started = performance.now();
  const seconds = (since: number): number => (performance.now() - since) / 1000;
  const executed = freshCopy(notebook, options.parameters ?? {});
  const cells = executed.cells.filter((cell) => cell.cell_type === "code");
  const outputs = new OutputCollector();
  let failure: CellFailure | undefined;

  signal?.throwIfAborted();
  const engine = await EngineProcess.start(path.resolve(options.directory));
  const stop = (): void => void engine.stop();
  signal?.addEventListener("abort", stop);
  try {
    for (const [index, cell] of cells.entries()) {
      const number = index + 1;
      signal?.throwIfAborted();
      if (cell.source.trim() === "") continue;
      progress?.cellStarted?.({ number, of: cells.length, source: cell.source });
      cell.execution_count = number;
      let error: CellError | undefined;
      const onEvent = (event: CellEvent): void => {
        outputs.add(cell, event);
        if (event.type === "error") error = event;
        progress?.cellEvent?.(event);
      };
      const cellStarted = performance.now();
      const { ok } = await engine.execute(cell.source, { label: `cell[${number}]`, onEvent, timeoutMs });
      signal?.throwIfAborted();
      progress?.cellEnded?.({ number, ok, seconds: seconds(cellStarted) });
      if (!ok) {
        failure = { number, source: cell.source, error: error! };
        break;
      }
    }
  } finally {
    signal?.removeEventListener("abort", stop);
    await engine.stop();
  }
  return { notebook: executed, cells: cells.length, seconds: seconds(started), ...(failure && { failure }) };
}

/** Reads `name=value`; the value is JSON where it parses as such, else text.
 * @throws RangeError if `name` cannot be the name of a variable */
export function parseParameter(text: string): [name: string, value: unknown] {
  const at = text.indexOf("=");
  const name = text.slice(0, at);
  if (at < 0 || !isVariableName(name)) {
    throw new RangeError(`parameters: expected name=value with the name of a variable, got ${JSON.stringify(text)}`);
  }
  const value = text.slice(at + 1);
  try {
    return [name, JSON.parse(value)];
  } catch {
    return [name, value];
  }
}

function isVariableName(name: string): boolean {
  if (!/^[A-Za-z_$][\w$]*$/.test(name)) return false;
  try {
    // Knows the reserved words; the pattern above has made sure that nothing else can be in there.
    new Function(`"use strict"; let ${name};`);
    return true;
  } catch {
    return false;
  }
}

function freshCopy(notebook: Notebook, parameters: Readonly<Record<string, unknown>>): Notebook {
  const copy = structuredClone(notebook);
  copy.cells = copy.cells.filter((cell) => !tagged(cell, INJECTED));
  for (const cell of copy.cells) if (cell.cell_type === "code") Object.assign(cell, { execution_count: null, outputs: [] });
  copy.metadata.kernelspec ??= { name: "tweedie", display_name: "TypeScript (tweedie)", language: "typescript" };
  copy.metadata.language_info = LANGUAGE_INFO;
  const names = Object.keys(parameters);
  if (names.length > 0) {
    const defaults = copy.cells.findIndex((cell) => tagged(cell, "parameters"));
    checkParameters(names, copy.cells[defaults]?.source);
    // Behind the cell with the defaults, as papermill does it.
    copy.cells.splice(defaults + 1, 0, {
      cell_type: "code",
      id: newCellId(),
      metadata: { tags: [INJECTED] },
      source: ["// Parameters of this run", ...names.map((name) => `let ${name} = ${JSON.stringify(parameters[name])};`)].join(
        "\n",
      ),
      execution_count: null,
      outputs: [],
    } satisfies CodeCell);
  }
  return copy;
}

/** A parameter that no cell reads would change nothing, silently.
 * @param defaults source of the cell tagged `parameters` */
function checkParameters(names: readonly string[], defaults: string | undefined): void {
  const list = names.join(", ");
  if (defaults === undefined) {
    throw new RangeError(
      `runNotebook: expected a cell tagged "parameters" that declares ${list}, got none; give the cell with the defaults that tag`,
    );
  }
  const declared: string[] = defaults.match(/[A-Za-z_$][\w$]*/g) ?? [];
  const wrong = names.find((name) => !isVariableName(name) || !declared.includes(name));
  if (wrong !== undefined) {
    throw new RangeError(
      `runNotebook: expected parameters that the cell tagged "parameters" declares, got ${JSON.stringify(wrong)}; the cell is\n${defaults}`,
    );
  }
}

const INJECTED = "injected-parameters";

function tagged(cell: Notebook["cells"][number], tag: string): boolean {
  return cell.cell_type === "code" && Array.isArray(cell.metadata.tags) && cell.metadata.tags.includes(tag);
}
