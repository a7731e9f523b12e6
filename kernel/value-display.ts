import { inspect } from "node:util";
import type { MimeBundle } from "./messages.js";
import { JUPYTER_DISPLAY } from "./notebook-runtime.js";

const MAX_TABLE_ROWS = 20;

/** An arquero table, recognised by what it can do. */
interface TableLike {
  numRows(): number;
  columnNames(): string[];
  get(name: string, row: number): unknown;
}

/** How a cell's value is shown: by itself if it has `Symbol.for("Jupyter.display")`, tables as HTML, the rest as Node prints it. */
export async function displayValue(value: unknown): Promise<MimeBundle> {
  if ((typeof value === "object" && value !== null) || typeof value === "function") {
    const display = (value as Record<symbol, unknown>)[JUPYTER_DISPLAY];
    if (typeof display === "function") return encodeBundle((await display.call(value)) as MimeBundle);
    if (isTable(value)) return { "text/html": tableHtml(value), "text/plain": tableText(value) };
  }
  return { "text/plain": inspect(value, { depth: 3, maxArrayLength: 60, maxStringLength: 10_000 }) };
}

/** Bytes in a bundle become base64 text, which is what Jupyter stores. */
export function encodeBundle(bundle: MimeBundle): MimeBundle {
  return Object.fromEntries(
    Object.entries(bundle)
      .filter(([, value]) => value !== undefined)
      .map(([type, value]) => [type, value instanceof Uint8Array ? Buffer.from(value).toString("base64") : value]),
  );
}

/** Text made safe for HTML content and attribute values. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

function isTable(value: object): value is TableLike {
  const table = value as Partial<TableLike>;
  return [table.numRows, table.columnNames, table.get].every((method) => typeof method === "function");
}

function cellText(value: unknown): string {
  if (typeof value === "number") return Number.isInteger(value) ? `${value}` : `${Number(value.toPrecision(5))}`;
  return typeof value === "string" ? value : inspect(value, { depth: 0, breakLength: Infinity });
}

function rowsOf(table: TableLike): { names: string[]; rows: unknown[][]; more: number } {
  const names = table.columnNames();
  const shown = Math.min(table.numRows(), MAX_TABLE_ROWS);
  const rows = Array.from({ length: shown }, (_, row) => names.map((name) => table.get(name, row)));
  return { names, rows, more: table.numRows() - shown };
}

function tableHtml(table: TableLike): string {
  const { names, rows, more } = rowsOf(table);
  const head = names.map((name) => `<th>${escapeHtml(name)}</th>`).join("");
  const body = rows.map((row) => `<tr>${row.map((value) => `<td>${escapeHtml(cellText(value))}</td>`).join("")}</tr>`);
  const note = more > 0 ? `<p>${more} more rows</p>` : "";
  return `<table><thead><tr>${head}</tr></thead><tbody>${body.join("")}</tbody></table>${note}`;
}

function tableText(table: TableLike): string {
  const { names, rows, more } = rowsOf(table);
  const cells = [names, ...rows.map((row) => row.map(cellText))];
  const widths = names.map((_, column) => Math.max(...cells.map((row) => row[column]!.length)));
  const lines = cells.map((row) =>
    row
      .map((text, column) => text.padEnd(widths[column]!))
      .join("  ")
      .trimEnd(),
  );
  return [...lines, ...(more > 0 ? [`… ${more} more rows`] : [])].join("\n");
}
