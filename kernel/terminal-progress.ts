import type { CellEvent } from "./messages.js";
import { cellTitle } from "./run-record.js";
import type { CellReport, RunningCell, RunProgress } from "./runner.js";
import { duration } from "./time-left.js";

/** A log gets a sign of life this often. */
const LOG_INTERVAL_MS = 15_000;

const MARK: Readonly<Record<CellReport["status"], string>> = {
  ok: "✓",
  allowed: "✗ (allowed)",
  failed: "✗",
  timeout: "✗ (time limit)",
  interrupted: "✗ (interrupted)",
  skipped: "·",
};

/** Where progress goes: a terminal, where the last line may be replaced, or a log of whole lines. */
export class ProgressLines {
  readonly #out: NodeJS.WriteStream;
  /** Length of the transient line that is on the screen. */
  #transient = 0;
  /** When the last whole line was written. */
  #logged = 0;

  constructor(out: NodeJS.WriteStream = process.stdout) {
    this.#out = out;
  }

  get isTerminal(): boolean {
    return this.#out.isTTY === true;
  }

  line(text: string): void {
    this.erase();
    this.#out.write(`${text}\n`);
    this.#logged = performance.now();
  }

  /** A line that the next one replaces; where lines cannot be replaced, one now and then. */
  status(text: string): void {
    if (!this.isTerminal) {
      if (performance.now() - this.#logged > LOG_INTERVAL_MS) this.line(text);
      return;
    }
    this.erase();
    const shown = text.slice(0, (this.#out.columns ?? 80) - 1);
    this.#out.write(shown);
    this.#transient = shown.length;
  }

  erase(): void {
    if (this.#transient > 0) this.#out.write(`\r${" ".repeat(this.#transient)}\r`);
    this.#transient = 0;
  }
}

/** Progress of one notebook: its cells, what they print, and the time left. */
export class TerminalProgress implements RunProgress {
  readonly #lines: ProgressLines;
  #partial = "";
  /** The last state of a progress bar in the cell. */
  #bar = "";
  #clock: NodeJS.Timeout | undefined;

  constructor(lines: ProgressLines) {
    this.#lines = lines;
  }

  cellStarted({ number, of, source, secondsLeft }: RunningCell): void {
    this.#lines.line(`[${`${number}`.padStart(`${of}`.length)}/${of}] ${cellTitle(source)}`);
    if (!this.#lines.isTerminal) return;
    const started = performance.now();
    this.#clock = setInterval(() => {
      const seconds = (performance.now() - started) / 1000;
      const left = secondsLeft === undefined ? "" : `, about ${rough(secondsLeft - seconds)} left`;
      this.#lines.status(`      ${Math.round(seconds)} s${left}${this.#bar && `  ${this.#bar}`}`);
    }, 1000).unref();
  }

  cellEvent(event: CellEvent): void {
    if (event.type === "stream") {
      const lines = (this.#partial + event.text).split("\n");
      this.#partial = lines.pop()!;
      for (const line of lines) this.#lines.line(`      ${lastState(line)}`);
      if (this.#partial !== "") this.#show(lastState(this.#partial));
    } else if (event.type === "update_display_data") {
      const text = event.data["text/plain"];
      if (typeof text === "string") this.#show(text.split("\n", 1)[0]!);
    }
  }

  cellEnded({ status, seconds }: CellReport): void {
    clearInterval(this.#clock);
    if (this.#partial !== "") this.#lines.line(`      ${lastState(this.#partial)}`);
    this.#partial = this.#bar = "";
    this.#lines.line(`      ${MARK[status]} ${duration(seconds)}`);
  }

  #show(bar: string): void {
    this.#bar = bar;
    this.#lines.status(`      ${bar}`);
  }
}

/** Progress of notebooks that run at the same time: a line when one ends, and one that tells where the others are. */
export class ParallelProgress {
  readonly #lines: ProgressLines;
  readonly #running = new Map<string, RunningCell & { readonly since: number }>();
  readonly #total: number;
  #ended = 0;

  constructor(lines: ProgressLines, total: number) {
    this.#lines = lines;
    this.#total = total;
  }

  /** @param name stands for the notebook */
  notebook(name: string): RunProgress {
    return {
      cellStarted: (cell) => {
        this.#running.set(name, { ...cell, since: performance.now() });
        this.#show();
      },
      cellEnded: () => this.#show(),
    };
  }

  /** @param outcome how the notebook ended, in a few words */
  ended(name: string, outcome: string): void {
    this.#running.delete(name);
    this.#ended++;
    this.#lines.line(`[${`${this.#ended}`.padStart(`${this.#total}`.length)}/${this.#total}] ${name}  ${outcome}`);
    this.#show();
  }

  #show(): void {
    if (this.#running.size === 0) return;
    const lefts = [...this.#running.values()].map(({ secondsLeft, since }) =>
      secondsLeft === undefined ? undefined : secondsLeft - (performance.now() - since) / 1000,
    );
    const waiting = this.#total - this.#ended - this.#running.size;
    const known = waiting === 0 && lefts.every((left) => left !== undefined);
    const where = [...this.#running].map(([name, { number, of }]) => `${name} ${number}/${of}`).join(" · ");
    this.#lines.status(`      ${where}${known ? ` · about ${rough(Math.max(...lefts))} left` : ""}`);
  }
}

/** An estimate has no tenths of seconds, and never says that it is over. */
function rough(seconds: number): string {
  return seconds < 10 ? `${Math.max(1, Math.round(seconds))} s` : duration(seconds);
}

function lastState(line: string): string {
  return line.replace(/\r+$/, "").split("\r").at(-1)!;
}
