import { writeFileSync } from "node:fs";
import path from "node:path";

export type CellSource = string | { code: string; tags: string[] } | { markdown: string; metadata?: object };

/** Writes a notebook as another program would: nbformat 4.4, outputs of an earlier run in it. */
export function writeNotebook(folder: string, name: string, ...cells: CellSource[]): string {
  const raw = cells.map((cell) =>
    typeof cell === "object" && "markdown" in cell
      ? { cell_type: "markdown", metadata: cell.metadata ?? {}, source: cell.markdown }
      : {
          cell_type: "code",
          metadata: typeof cell === "string" ? {} : { tags: cell.tags },
          source: typeof cell === "string" ? cell : cell.code,
          execution_count: 9,
          outputs: [{ output_type: "stream", name: "stdout", text: "from an earlier run" }],
        },
  );
  const file = path.join(folder, `${name}.ipynb`);
  writeFileSync(file, JSON.stringify({ cells: raw, metadata: {}, nbformat: 4, nbformat_minor: 4 }));
  return file;
}
