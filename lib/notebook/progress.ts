import { documentId, type MimeBundle } from "../figures/document.js";
import { escapeHtml } from "../figures/escape.js";
import { numberText } from "../figures/text.js";
import { currentSignal } from "../runtime/task.js";
import { notebookRuntime } from "./runtime.js";

export interface ProgressOptions {
  /** How many steps there are; without it there is no bar and no time left. */
  readonly total?: number;
  readonly label?: string;
  /** What is counted, in the plural; default "steps". */
  readonly unit?: string;
}

/** A bar that is moved by hand. */
export interface Progress {
  /** Moves the bar by `count` steps; `note` is shown behind it. */
  advance(count?: number, note?: string): void;
  /** Draws the end state: full time and mean rate. Called by `using`. */
  close(): void;
  [Symbol.dispose](): void;
}

export const drawEveryMs = 250;

/**
 * Shows how far a loop or a job is: rate and time left, in the notebook or on a terminal; silent when output goes to a file.
 * Around an iterable it also ends the loop when the cell is interrupted.
 * @throws the signal's reason (an AbortError) from the loop, on interruption
 * @example
 * import { progress } from "tweedie";
 *
 * for (const seed of progress([0, 1, 2], { label: "generate", unit: "pictures" })) console.log(seed);
 *
 * using bar = progress({ total: 400, label: "train" });
 * bar.advance(1, "loss 0.12");
 */
export function progress<T>(items: Iterable<T>, options?: ProgressOptions): Iterable<T>;
export function progress<T>(items: AsyncIterable<T>, options?: ProgressOptions): AsyncIterable<T>;
export function progress(options: ProgressOptions): Progress;
export function progress<T>(
  source: Iterable<T> | AsyncIterable<T> | ProgressOptions,
  options: ProgressOptions = {},
): Iterable<T> | AsyncIterable<T> | Progress {
  if (Symbol.asyncIterator in source) return countAsync(source, options);
  if (Symbol.iterator in source) return count(source, { ...lengthOf(source), ...options });
  return new Bar(source);
}

function lengthOf(items: object): ProgressOptions {
  const { length, size } = items as { length?: unknown; size?: unknown };
  if (typeof length === "number") return { total: length };
  return typeof size === "number" ? { total: size } : {};
}

function* count<T>(items: Iterable<T>, options: ProgressOptions): Generator<T> {
  const bar = new Bar(options);
  const signal = currentSignal();
  try {
    for (const item of items) {
      signal?.throwIfAborted();
      yield item;
      bar.advance();
    }
  } finally {
    bar.close();
  }
}

async function* countAsync<T>(items: AsyncIterable<T>, options: ProgressOptions): AsyncGenerator<T> {
  const bar = new Bar(options);
  const signal = currentSignal();
  try {
    for await (const item of items) {
      signal?.throwIfAborted();
      yield item;
      bar.advance();
    }
  } finally {
    bar.close();
  }
}

class Bar implements Progress {
  readonly #options: ProgressOptions;
  readonly #startedAt = performance.now();
  readonly #id = documentId("tweedie-progress");
  #done = 0;
  #note: string | undefined;
  #drawnAt = Number.NEGATIVE_INFINITY;
  #shown = false;
  #closed = false;

  constructor(options: ProgressOptions) {
    this.#options = options;
    this.#draw();
  }

  advance(count = 1, note?: string): void {
    if (this.#closed) return;
    this.#done += count;
    if (note !== undefined) this.#note = note;
    if (performance.now() - this.#drawnAt >= drawEveryMs) this.#draw();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#draw();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #draw(): void {
    const now = performance.now();
    this.#drawnAt = now;
    const status = statusText(this.#done, this.#options, (now - this.#startedAt) / 1000, this.#closed, this.#note);
    const runtime = notebookRuntime();
    if (runtime !== undefined) {
      const { label } = this.#options;
      const text = `${label === undefined ? "" : `${label}: `}${status}`;
      const data: MimeBundle = { "text/html": barHtml(this.#done, this.#options, status), "text/plain": text };
      runtime.display({ data, metadata: {}, transient: { display_id: this.#id } }, this.#shown);
      this.#shown = true;
    } else if (process.stderr.isTTY) {
      const label = this.#options.label === undefined ? "" : `${this.#options.label}: `;
      const line = terminalLine(label + terminalBar(this.#done, this.#options.total) + status);
      process.stderr.write(`${line}${this.#closed ? "\n" : ""}`);
    }
  }
}

/** "120 of 400 steps · 35.2 per s · 8 s left · loss 0.12" */
export function statusText(done: number, options: ProgressOptions, seconds: number, closed: boolean, note?: string): string {
  const { total, unit = "steps" } = options;
  const rate = seconds > 0 ? done / seconds : 0;
  const parts = [total === undefined ? `${numberText(done)} ${unit}` : `${numberText(done)} of ${numberText(total)} ${unit}`];
  if (done > 0 && rate > 0) parts.push(rate >= 1 ? `${numberText(rate)} per s` : `${numberText(1 / rate)} s each`);
  if (closed) parts.push(`${durationText(seconds)} in all`);
  else if (total !== undefined && done > 0 && rate > 0) parts.push(`${durationText(Math.max(0, total - done) / rate)} left`);
  if (note !== undefined) parts.push(note);
  return parts.join(" · ");
}

/** 75 → "1 min 15 s". */
export function durationText(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.round((whole % 3600) / 60)} min`;
}

/** A terminal's current line, written anew. */
export function terminalLine(text: string): string {
  return `\r\u001b[2K${text.slice(0, Math.max(20, (process.stderr.columns ?? 80) - 1))}`;
}

/** @param depth how many bars this one is nested in */
export function barHtml(done: number, { total, label }: ProgressOptions, status: string, depth = 0): string {
  const name = label === undefined ? "" : `<span style="font-weight:600">${escapeHtml(label)}</span>`;
  const bar =
    total === undefined
      ? ""
      : `<progress style="width:180px;accent-color:#0072B2" value="${done}" max="${Math.max(total, done, 1)}" aria-label="${escapeHtml(label ?? "progress")}"></progress>`;
  const indent = depth === 0 ? "" : `padding-left:${16 * depth}px;`;
  return `<div style="${indent}display:flex;gap:10px;align-items:center;font:13px system-ui,sans-serif;font-variant-numeric:tabular-nums">${name}${bar}<span>${escapeHtml(status)}</span></div>`;
}

function terminalBar(done: number, total: number | undefined): string {
  if (total === undefined || total === 0) return "";
  const cells = 20;
  const filled = Math.min(cells, Math.floor((cells * done) / total));
  return `${"█".repeat(filled)}${"░".repeat(cells - filled)} `;
}
