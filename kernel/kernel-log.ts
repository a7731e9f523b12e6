import { closeSync, openSync, writeSync } from "node:fs";
import { UsageError } from "./command-line.js";
import type { CellEvent } from "./messages.js";
import type { RunProgress } from "./runner.js";

/** A file with everything that cells print and how they end, line by line with time, notebook and cell. */
export class KernelLog {
  readonly #file: number;

  /** @throws UsageError if the file cannot be written */
  constructor(file: string) {
    try {
      this.#file = openSync(file, "w");
    } catch (error) {
      throw new UsageError(`expected a file to log to, got ${file}: ${(error as Error).message}`);
    }
  }

  /** Passes everything on to `watched` and writes it down. */
  notebook(name: string, watched: RunProgress): RunProgress {
    const log = (number: number, kind: string, text: string): void => {
      const head = `${new Date().toISOString()} ${name} [${number}] ${kind}`;
      writeSync(
        this.#file,
        text
          .replace(/\n$/, "")
          .split("\n")
          .map((line) => `${head}: ${line}\n`)
          .join(""),
      );
    };
    return {
      cellStarted: (cell) => {
        log(cell.number, "start", cell.source);
        watched.cellStarted?.(cell);
      },
      cellEvent: (event, number) => {
        const text = textOf(event);
        if (text !== undefined) log(number, event.type === "stream" ? event.name : event.type, text);
        watched.cellEvent?.(event, number);
      },
      cellEnded: (cell) => {
        log(cell.number, cell.status, `${cell.seconds.toFixed(3)} s`);
        watched.cellEnded?.(cell);
      },
    };
  }

  close(): void {
    closeSync(this.#file);
  }
}

function textOf(event: CellEvent): string | undefined {
  if (event.type === "stream") return event.text;
  if (event.type === "error") return event.traceback.join("\n");
  return "data" in event ? Object.keys(event.data).join(" ") : undefined;
}
