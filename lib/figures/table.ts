import { HtmlBlock } from "./html-block.js";
import { type TextColumn, tablePages } from "./table-pages.js";
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
  /** Rows kept at most; default 5000. */
  readonly limit?: number;
  /** Rows of the text for terminals at most; default `limit`, or 50. */
  readonly textRows?: number;
  /** Significant digits; default 3. */
  readonly digits?: number;
}

const mostRows = 5000;

/**
 * Columns as a compact table, numbers at the right. Where scripts run, it is read in pages of 25 rows, and a click on a column's
 * head sorts it, ascending, descending and as it was, missing values last.
 *
 * Its HTML keeps the first 5000 rows, or as many as fit into 200 kB, as the texts that are shown: numbers to `digits`, by which they
 * are sorted, too. A caption says what is left out. Where no scripts run, the first page is what is seen.
 * @throws RangeError if the columns differ in length
 */
export function table(source: Readonly<Record<string, Column>> | ColumnSource, options: TableOptions = {}): HtmlBlock {
  const { title, limit, textRows = limit ?? 50, digits = 3 } = options;
  const named = columnsOf(source);
  const rows = named[0]?.[1].length ?? 0;
  for (const [name, column] of named) {
    if (column.length !== rows)
      throw new RangeError(`table: column ${name} has ${column.length} rows, ${named[0]![0]} has ${rows}`);
  }
  const most = Math.min(rows, limit ?? mostRows);
  const columns = named.map(
    ([name, column]): TextColumn => ({
      name,
      numeric: isNumeric(column, most),
      text: (row) => cellText(column[row] as Cell, digits),
    }),
  );
  const html = tablePages(columns, title, { rows, most, chosen: limit !== undefined });
  return new HtmlBlock(html, plainTable(columns, title, rows, Math.min(most, textRows)));
}

function columnsOf(
  source: Readonly<Record<string, Column>> | ColumnSource,
): readonly (readonly [name: string, column: ArrayLike<unknown>])[] {
  if (typeof (source as ColumnSource).columnNames !== "function")
    return Object.entries(source as Readonly<Record<string, Column>>);
  const from = source as ColumnSource;
  return from.columnNames().map((name) => [name, from.array(name)] as const);
}

/** Whether there are only numbers and missing values in the first rows. */
function isNumeric(column: ArrayLike<unknown>, rows: number): boolean {
  for (let row = 0; row < rows; row++) {
    const cell = column[row];
    if (typeof cell !== "number" && typeof cell !== "bigint" && cell !== null && cell !== undefined) return false;
  }
  return true;
}

function cellText(cell: Cell, digits: number): string {
  if (typeof cell === "number") return numberText(cell, digits);
  if (cell === null || cell === undefined) return "–";
  return String(cell);
}

function plainTable(columns: readonly TextColumn[], title: string | undefined, rows: number, shown: number): string {
  const texts = columns.map(({ text }) => Array.from({ length: shown }, (_, row) => text(row)));
  const widths = columns.map(({ name }, i) => Math.max(name.length, ...texts[i]!.map((cell) => cell.length)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => (columns[i]!.numeric ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
      .join("  ")
      .trimEnd();
  return [
    ...(title === undefined ? [] : [title]),
    line(columns.map((c) => c.name)),
    line(widths.map((w) => "─".repeat(w))),
    ...Array.from({ length: shown }, (_, r) => line(texts.map((cells) => cells[r]!))),
    ...(shown < rows ? [`(${countText(shown)} of ${countText(rows)} rows)`] : []),
  ].join("\n");
}
