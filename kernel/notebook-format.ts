import { randomUUID } from "node:crypto";
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { reasonOf } from "./file-trouble.js";
import type { CellError, MimeBundle } from "./messages.js";

/** An output as nbformat 4 stores it. */
export type Output =
  | { output_type: "stream"; name: "stdout" | "stderr"; text: string }
  | { output_type: "display_data"; data: MimeBundle; metadata: Record<string, unknown> }
  | { output_type: "execute_result"; execution_count: number | null; data: MimeBundle; metadata: Record<string, unknown> }
  | ({ output_type: "error" } & CellError);

export interface CodeCell {
  cell_type: "code";
  id: string;
  metadata: Record<string, unknown>;
  source: string;
  execution_count: number | null;
  outputs: Output[];
}

export interface TextCell {
  cell_type: "markdown" | "raw";
  id: string;
  metadata: Record<string, unknown>;
  source: string;
  /** Pictures pasted into the cell: file name → MIME bundle. */
  attachments?: Record<string, MimeBundle>;
}

export type NotebookCell = CodeCell | TextCell;

/** A Jupyter notebook, nbformat 4.5, with every text as one string. */
export interface Notebook {
  cells: NotebookCell[];
  metadata: Record<string, unknown>;
  nbformat: 4;
  nbformat_minor: number;
}

/** A file that is not a notebook this version understands. */
export class NotebookFormatError extends Error {
  override readonly name = "NotebookFormatError";
}

/** Reads and checks a notebook of format 4; cells without an id get one.
 * @throws NotebookFormatError saying where the file is wrong */
export function readNotebook(file: string): Notebook {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new NotebookFormatError(`readNotebook: cannot read ${file}: ${reasonOf(error)}`);
  }
  return parseNotebook(text, file);
}

/** @param name stands for the notebook in error messages */
export function parseNotebook(text: string, name = "notebook"): Notebook {
  const fail = (what: string): never => {
    throw new NotebookFormatError(`${name}: ${what}`);
  };
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch (error) {
    return fail(`expected a notebook, got text that is not JSON (${(error as Error).message})`);
  }
  if (!isRecord(raw) || !Array.isArray(raw.cells)) return fail("expected a notebook with a list of cells");
  if (raw.nbformat !== 4)
    return fail(`expected nbformat 4, got ${String(raw.nbformat)}; open and save it in Jupyter to convert it`);
  const ids = new Set<string>();
  const cells = raw.cells.map((cell: unknown, index): NotebookCell => {
    const where = `cell ${index + 1}`;
    if (!isRecord(cell)) return fail(`${where}: expected an object`);
    const source = joinText(cell.source) ?? fail(`${where}: expected source text`);
    const metadata = isRecord(cell.metadata) ? cell.metadata : {};
    let id = typeof cell.id === "string" && /^[\w-]{1,64}$/.test(cell.id) ? cell.id : newCellId();
    while (ids.has(id)) id = newCellId();
    ids.add(id);
    switch (cell.cell_type) {
      case "code": {
        const outputs = Array.isArray(cell.outputs) ? cell.outputs.map((output) => parseOutput(output, where, fail)) : [];
        const execution_count = typeof cell.execution_count === "number" ? cell.execution_count : null;
        return { cell_type: "code", id, metadata, source, execution_count, outputs };
      }
      case "markdown":
      case "raw": {
        const attachments = isRecord(cell.attachments) ? { attachments: cell.attachments as Record<string, MimeBundle> } : {};
        return { cell_type: cell.cell_type, id, metadata, source, ...attachments };
      }
      default:
        return fail(`${where}: expected cell_type code, markdown or raw, got ${String(cell.cell_type)}`);
    }
  });
  return { cells, metadata: isRecord(raw.metadata) ? raw.metadata : {}, nbformat: 4, nbformat_minor: 5 };
}

/** The notebook as JSON text, long texts as lists of lines, as Jupyter writes them. */
export function formatNotebook(notebook: Notebook): string {
  const cells = notebook.cells.map((cell) => {
    const source = splitLines(cell.source);
    return cell.cell_type === "code" ? { ...cell, source, outputs: cell.outputs.map(formatOutput) } : { ...cell, source };
  });
  const { metadata, nbformat, nbformat_minor } = notebook;
  return `${JSON.stringify({ cells, metadata, nbformat, nbformat_minor }, null, 1)}\n`;
}

/** Writes all of the content or, when interrupted, none of it. */
export function writeFileAtomic(file: string, content: string | Uint8Array): void {
  const temporary = `${file}.${process.pid}.tmp`;
  try {
    writeFileSync(temporary, content, { flush: true });
    renameSync(temporary, file);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/** An id as nbformat 4.5 wants it, unique within any notebook. */
export function newCellId(): string {
  return randomUUID().slice(0, 8);
}

function parseOutput(output: unknown, where: string, fail: (what: string) => never): Output {
  if (!isRecord(output)) return fail(`${where}: expected outputs to be objects`);
  const metadata = isRecord(output.metadata) ? output.metadata : {};
  const data = isRecord(output.data)
    ? Object.fromEntries(Object.entries(output.data).map(([type, value]) => [type, joinText(value) ?? value]))
    : {};
  switch (output.output_type) {
    case "stream":
      return { output_type: "stream", name: output.name === "stderr" ? "stderr" : "stdout", text: joinText(output.text) ?? "" };
    case "display_data":
      return { output_type: "display_data", data, metadata };
    case "execute_result":
      return {
        output_type: "execute_result",
        execution_count: typeof output.execution_count === "number" ? output.execution_count : null,
        data,
        metadata,
      };
    case "error":
      return {
        output_type: "error",
        ename: String(output.ename),
        evalue: String(output.evalue),
        traceback: Array.isArray(output.traceback) ? output.traceback.map(String) : [],
      };
    default:
      return fail(
        `${where}: expected output_type stream, display_data, execute_result or error, got ${String(output.output_type)}`,
      );
  }
}

function formatOutput(output: Output): object {
  if (output.output_type === "stream") return { ...output, text: splitLines(output.text) };
  if (output.output_type === "error") return output;
  const data = Object.entries(output.data).map(([type, value]) => [type, typeof value === "string" ? splitLines(value) : value]);
  return { ...output, data: Object.fromEntries(data) as MimeBundle };
}

function splitLines(text: string): string[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
}

function joinText(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (Array.isArray(value) && value.every((line) => typeof line === "string")) return value.join("");
  return undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
