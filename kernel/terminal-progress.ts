import type { CellEvent } from "./messages.js";
import type { RunProgress } from "./runner.js";

/** A log gets a sign of life this often. */
const LOG_INTERVAL_MS = 15_000;

/** Progress of a notebook run on a terminal (lines redrawn in place) or in a log (whole lines only). */
export class TerminalProgress implements RunProgress {
  readonly #out: NodeJS.WriteStream;
  /** Length of the transient line that is on the screen. */
  #transient = 0;
  #partial = "";
  /** When the last whole line was written. */
  #logged = 0;

  constructor(out: NodeJS.WriteStream = process.stdout) {
    this.#out = out;
  }

  cellStarted({ number, of, source }: { number: number; of: number; source: string }): void {
    this.#line(`[${`${number}`.padStart(`${of}`.length)}/${of}] ${title(source)}`);
  }

  cellEvent(event: CellEvent): void {
    if (event.type === "stream") {
      const lines = (this.#partial + event.text).split("\n");
      this.#partial = lines.pop()!;
      for (const line of lines) this.#line(`      ${lastState(line)}`);
      if (this.#partial !== "") this.#status(lastState(this.#partial));
    } else if (event.type === "update_display_data") {
      const text = event.data["text/plain"];
      if (typeof text === "string") this.#status(text.split("\n", 1)[0]!);
    }
  }

  cellEnded({ ok, seconds }: { ok: boolean; seconds: number }): void {
    if (this.#partial !== "") this.#line(`      ${lastState(this.#partial)}`);
    this.#partial = "";
    this.#line(`      ${ok ? "✓" : "✗"} ${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`);
  }

  #line(text: string): void {
    this.#erase();
    this.#out.write(`${text}\n`);
    this.#logged = performance.now();
  }

  /** A line that the next one replaces; where lines cannot be replaced, one now and then. */
  #status(text: string): void {
    if (!this.#out.isTTY) {
      if (performance.now() - this.#logged > LOG_INTERVAL_MS) this.#line(`      ${text}`);
      return;
    }
    this.#erase();
    const shown = `      ${text}`.slice(0, (this.#out.columns ?? 80) - 1);
    this.#out.write(shown);
    this.#transient = shown.length;
  }

  #erase(): void {
    if (this.#transient > 0) this.#out.write(`\r${" ".repeat(this.#transient)}\r`);
    this.#transient = 0;
  }
}

/** What a cell is about: its first comment or line of code. */
function title(source: string): string {
  const lines = source.split("\n").map((line) => line.trim());
  const line = lines.find((text) => text !== "" && !text.startsWith("import ")) ?? lines.find((text) => text !== "") ?? "";
  const text = line.replace(/^(\/\/|\/\*+)\s*/, "");
  return text.length > 70 ? `${text.slice(0, 69)}…` : text;
}

function lastState(line: string): string {
  return line.replace(/\r+$/, "").split("\r").at(-1)!;
}
