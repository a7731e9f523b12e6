import { readFileSync } from "node:fs";
import { SourceMap, type SourceMapPayload } from "node:module";
import { inspect, types } from "node:util";
import type { CellError } from "./messages.js";
import type { CellDiagnostic } from "./typescript-shim.js";

/** A cell that TypeScript rejected; nothing of it ran. */
export class CellTypeError extends Error {
  override readonly name = "TypeScriptError";
  readonly diagnostics: readonly CellDiagnostic[];
  readonly cell: Pick<SourceText, "name" | "code">;

  constructor(diagnostics: readonly CellDiagnostic[], cell: CellTypeError["cell"]) {
    super(diagnostics.length > 0 ? describe(diagnostics[0]!, cell.name) : "the cell does not compile");
    this.diagnostics = diagnostics;
    this.cell = cell;
  }
}

/** A cell stopped from outside: by the user, or by a time limit. */
export class InterruptedError extends Error {
  override readonly name = "Interrupted";
}

/** TypeScript as the user wrote it. */
export interface SourceText {
  /** What errors call it: `cell[3]`, `local.ts`. */
  readonly name: string;
  readonly code: string;
  /** Lines that the converter put before it. */
  readonly linesBefore: number;
}

interface Source {
  readonly name: string;
  readonly lines: readonly string[];
  readonly linesBefore: number;
  /** From compiled positions to TypeScript ones, one map per compilation step, last step first. */
  readonly maps: readonly SourceMap[];
}

interface Place {
  readonly source: Source;
  /** 1-based. */
  readonly line: number;
  readonly column: number;
}

/** Remembers where compiled code came from, so that errors point into the TypeScript that the user wrote. */
export class SourceRegistry {
  readonly #sources = new Map<string, Source>();

  /** @param file what the compiled code is called in stack traces
   * @param maps base64 JSON source maps, the last compilation step's first */
  add(file: string, { name, code, linesBefore }: SourceText, maps: readonly string[]): void {
    this.#sources.set(file, {
      name,
      lines: code.split("\n"),
      linesBefore,
      maps: maps.map((map) => new SourceMap(JSON.parse(Buffer.from(map, "base64").toString()) as SourceMapPayload)),
    });
  }

  /** The error as Jupyter shows it: TypeScript positions, library frames kept short, no frames of Node or of the kernel. */
  describe(error: unknown): CellError {
    if (error instanceof CellTypeError) return this.#describeTypeError(error);
    if (!isError(error)) {
      const evalue = typeof error === "string" ? error : inspect(error, { depth: 2 });
      return { ename: "Thrown", evalue, traceback: [`Thrown: ${evalue}`] };
    }
    return { ename: error.name, evalue: error.message, traceback: this.#traceback(error) };
  }

  #describeTypeError(error: CellTypeError): CellError {
    const { name, code } = error.cell;
    const lines = code.split("\n");
    const traceback: string[] = [];
    let previous: CellDiagnostic | undefined;
    for (const diagnostic of error.diagnostics) {
      const continued = previous?.start.offset === diagnostic.start.offset && previous.fileName === diagnostic.fileName;
      if (continued) {
        traceback.push(`  ${diagnostic.messageText}`);
      } else {
        traceback.push(`TypeScriptError: ${describe(diagnostic, name)}`);
        const { fileName, start } = diagnostic;
        const source = fileName === undefined ? lines : readFileSync(fileName, "utf8").split("\n");
        traceback.push(...excerpt(source, start.line + 1, start.character + 1, spanWidth(diagnostic)));
      }
      previous = diagnostic;
    }
    return { ename: error.name, evalue: error.message, traceback };
  }

  #traceback(error: Error, depth = 0): string[] {
    const lines = [`${error.name}: ${error.message}`];
    let shown = false;
    for (const frame of (error.stack ?? "").split("\n").filter((line) => /^\s+at /.test(line))) {
      const place = this.#place(frame);
      if (place) {
        const caller = /at (?:async )?(.+) \(/.exec(frame)?.[1];
        // Cells share their variables through a proxy, which V8 takes for the object a function was called on.
        const name = caller && !/<anonymous>|^eval$|^Timeout\./.test(caller) ? ` in ${caller.replace(/^Proxy\./, "")}` : "";
        lines.push(`    at ${place.source.name}, line ${place.line}${name}`);
        if (!shown) lines.push(...excerpt(place.source.lines, place.line, place.column, 1));
        shown = true;
      } else if (!INTERNAL_FRAME.test(frame) && lines.length < MAX_FRAMES) {
        lines.push(frame);
      }
    }
    if (depth < MAX_CAUSES && isError(error.cause)) {
      lines.push("Caused by:", ...this.#traceback(error.cause, depth + 1));
    }
    if (depth < MAX_CAUSES && error instanceof AggregateError) {
      for (const inner of error.errors) if (isError(inner)) lines.push("One of:", ...this.#traceback(inner, depth + 1));
    }
    return lines;
  }

  #place(frame: string): Place | undefined {
    const match = /(?:\(|at (?:async )?)((?:[^()\s]|\s(?=\S))+?):(\d+):(\d+)\)?$/.exec(frame);
    const source = match && this.#sources.get(match[1]!);
    if (!match || !source) return undefined;
    let line = Number(match[2]) - 1;
    let column = Number(match[3]) - 1;
    for (const map of source.maps) {
      const entry = map.findEntry(line, column);
      if (!("originalLine" in entry)) return undefined;
      line = entry.originalLine;
      column = entry.originalColumn;
    }
    return { source, line: Math.max(line + 1 - source.linesBefore, 1), column: column + 1 };
  }
}

const MAX_FRAMES = 10;
const MAX_CAUSES = 3;
const INTERNAL_FRAME = /node:|<anonymous>\)?$|[\\/]tslab[\\/]dist[\\/]|[\\/]dist[\\/]kernel[\\/]|[\\/]tweedie[\\/]kernel[\\/]/;

function isError(value: unknown): value is Error {
  return value instanceof Error || types.isNativeError(value);
}

function describe({ fileName, start, messageText }: CellDiagnostic, cell: string): string {
  return `${fileName ?? cell}, line ${start.line + 1}:${start.character + 1} - ${messageText}`;
}

function spanWidth({ start, end }: CellDiagnostic): number {
  return end.line === start.line ? Math.max(1, end.character - start.character) : 1;
}

function excerpt(lines: readonly string[], line: number, column: number, width: number): string[] {
  const text = lines[line - 1];
  if (text === undefined) return [];
  const gutter = `${line}`.padStart(5);
  const indent = text.slice(0, column - 1).replace(/[^\t]/g, " ");
  return [
    `${gutter} | ${text}`,
    `${" ".repeat(gutter.length)} | ${indent}${"^".repeat(Math.max(1, Math.min(width, text.length - column + 1)))}`,
  ];
}
