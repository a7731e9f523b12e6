import { escapeHtml } from "./escape.js";
import { HtmlBlock } from "./html-block.js";
import { countText, numberText } from "./text.js";

export type Cell = string | number | boolean | bigint | null | undefined;
export type Column = readonly Cell[] | Float32Array | Float64Array | Int32Array | Uint32Array | Uint8Array | BigInt64Array;

/** A table that names its columns, as arquero's do. */
export interface ColumnSource {
  columnNames(): string[];
  array(name: string): ArrayLike<unknown> & Iterable<unknown>;
}

export interface TableOptions {
  readonly title?: string;
  /** Rows shown; default 50. */
  readonly limit?: number;
  /** Significant digits; default 3. */
  readonly digits?: number;
}

/**
 * Columns as a compact table, numbers at the right.
 * @throws RangeError if the columns differ in length
 */
export function table(source: Readonly<Record<string, Column>> | ColumnSource, options: TableOptions = {}): HtmlBlock {
  const { title, limit = 50, digits = 3 } = options;
  const columns = columnsOf(source, limit);
  const rows = columns[0]?.rows ?? 0;
  for (const column of columns) {
    if (column.rows !== rows)
      throw new RangeError(`table: column ${column.name} has ${column.rows} rows, ${columns[0]!.name} has ${rows}`);
  }
  const shown = Math.min(rows, limit);
  const texts = columns.map(({ name, cells }) => {
    const numeric = cells.every((c) => typeof c === "number" || typeof c === "bigint" || c === null || c === undefined);
    return { name, numeric, cells: cells.map((c) => cellText(c, digits)) };
  });
  const note = shown < rows ? `${countText(shown)} of ${countText(rows)} rows` : undefined;
  const scrolls = shown > 20;
  const right = (numeric: boolean): string => (numeric ? ' class="n"' : "");
  const head = texts.map((c) => `<th scope="col"${right(c.numeric)}>${escapeHtml(c.name)}</th>`).join("");
  const body = Array.from({ length: shown }, (_, r) => {
    const cells = texts.map((c) => `<td${right(c.numeric)}>${escapeHtml(c.cells[r]!)}</td>`).join("");
    return `<tr>${cells}</tr>`;
  }).join("");
  const html = [
    `<style>${style}</style>`,
    `<div style="overflow:auto;max-width:100%${scrolls ? ";max-height:420px" : ""}"${scrolls ? scrollable : ""}><table class="tweedie-table">`,
    title === undefined
      ? ""
      : `<caption style="caption-side:top;text-align:left;font-weight:600;padding:2px 10px 6px;color:inherit">${escapeHtml(title)}</caption>`,
    `<thead><tr>${head}</tr></thead><tbody>${body}</tbody></table></div>`,
    note === undefined ? "" : `<div style="font:12px system-ui,sans-serif;opacity:.7;padding:2px 10px">${escapeHtml(note)}</div>`,
  ].join("");
  return new HtmlBlock(html, plainTable(texts, shown, title, note));
}

// One style for all cells, not one in each. A long table's heading stays while its rows scroll, and the keyboard can scroll them.
const style = [
  ".tweedie-table{border-collapse:collapse;font:13px system-ui,sans-serif;font-variant-numeric:tabular-nums;margin:4px 0;color:inherit}",
  ".tweedie-table :is(th,td){text-align:left;padding:3px 10px;border-bottom:1px solid rgba(128,128,128,.25);white-space:nowrap}",
  ".tweedie-table .n{text-align:right}",
  ".tweedie-table th{font-weight:600;position:sticky;top:0;background:var(--jp-layout-color0,Canvas)}",
].join("");
const scrollable = ' tabindex="0" role="region" aria-label="table that scrolls"';

interface ShownColumn {
  readonly name: string;
  readonly rows: number;
  /** The first of them. */
  readonly cells: readonly Cell[];
}

function columnsOf(source: Readonly<Record<string, Column>> | ColumnSource, limit: number): ShownColumn[] {
  const shown = (name: string, column: ArrayLike<unknown>): ShownColumn => ({
    name,
    rows: column.length,
    cells: Array.from({ length: Math.min(column.length, limit) }, (_, row) => column[row] as Cell),
  });
  if (typeof (source as ColumnSource).columnNames === "function") {
    const from = source as ColumnSource;
    return from.columnNames().map((name) => shown(name, from.array(name)));
  }
  return Object.entries(source as Readonly<Record<string, Column>>).map(([name, column]) => shown(name, column));
}

function cellText(cell: Cell, digits: number): string {
  if (typeof cell === "number") return numberText(cell, digits);
  if (cell === null || cell === undefined) return "–";
  return String(cell);
}

function plainTable(
  columns: readonly { name: string; numeric: boolean; cells: readonly string[] }[],
  rows: number,
  title: string | undefined,
  note: string | undefined,
): string {
  const widths = columns.map((c) => Math.max(c.name.length, ...c.cells.map((cell) => cell.length)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => (columns[i]!.numeric ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
      .join("  ")
      .trimEnd();
  return [
    ...(title === undefined ? [] : [title]),
    line(columns.map((c) => c.name)),
    line(widths.map((w) => "─".repeat(w))),
    ...Array.from({ length: rows }, (_, r) => line(columns.map((c) => c.cells[r]!))),
    ...(note === undefined ? [] : [`(${note})`]),
  ].join("\n");
}
