import { documentId } from "../figures/document.js";
import { type Task, type TaskOptions, type TaskWatcher, taskWatcher } from "../runtime/task.js";
import { barHtml, drawEveryMs, statusText, terminalLine } from "./progress.js";
import { notebookRuntime } from "./runtime.js";

/** Work that is done sooner gets no bar. */
const patienceMs = 500;

/**
 * Shows bars for the library's long work (generating, collecting, training, downloading, …) that lasts longer than half a
 * second, nested as the work is: in the running cell, from where they vanish when the work is done, or on a terminal.
 * The kernel calls it; a script may.
 */
export function watchTasks(): void {
  const ofCell = new WeakMap<object, TaskBars>();
  const elsewhere = new TaskBars();
  const watch: TaskWatcher = (label, options) => {
    const cell = notebookRuntime()?.signal;
    if (cell === undefined) return elsewhere.begin(label, options);
    const bars = ofCell.get(cell) ?? new TaskBars();
    ofCell.set(cell, bars);
    return bars.begin(label, options);
  };
  (globalThis as { [taskWatcher]?: TaskWatcher })[taskWatcher] = watch;
}

interface OpenTask {
  readonly label: string;
  readonly options: TaskOptions;
  readonly startedAt: number;
  done: number;
  note: string | undefined;
}

/** The bars of a cell, in one output. */
class TaskBars {
  readonly #open: OpenTask[] = [];
  readonly #id = documentId("tweedie-tasks");
  #hasOutput = false;
  #visible = false;
  #drawnAt = Number.NEGATIVE_INFINITY;

  begin(label: string, options: TaskOptions): Task {
    const task: OpenTask = { label, options, startedAt: performance.now(), done: 0, note: undefined };
    this.#open.push(task);
    // Work may be long before it first says how far it is. Timers may come a little early.
    const patience = setTimeout(() => this.#draw(), patienceMs + 5);
    patience.unref();
    return {
      at: (done, note) => {
        task.done = done;
        task.note = note;
        const now = performance.now();
        if (now - task.startedAt >= patienceMs && now - this.#drawnAt >= drawEveryMs) this.#draw();
      },
      [Symbol.dispose]: () => {
        clearTimeout(patience);
        const at = this.#open.indexOf(task);
        if (at >= 0) this.#open.splice(at, 1);
        if (this.#open.length === 0 && this.#visible) this.#draw();
      },
    };
  }

  #draw(): void {
    const now = performance.now();
    this.#drawnAt = now;
    const lines = this.#open
      .filter(({ startedAt }) => now - startedAt >= patienceMs)
      .map(({ label, options, startedAt, done, note }) => {
        const named = { ...options, label };
        return { named, done, status: statusText(done, named, (now - startedAt) / 1000, false, note) };
      });
    this.#visible = lines.length > 0;
    // One line, as terminals and logs show it.
    const text = lines.map(({ named, status }) => `${named.label}: ${status}`).join(" › ");
    const runtime = notebookRuntime();
    if (runtime === undefined) {
      if (process.stderr.isTTY) process.stderr.write(terminalLine(text));
      return;
    }
    const bars = lines.map(({ named, done, status }, depth) => barHtml(done, named, status, depth));
    const data = this.#visible ? { "text/html": bars.join(""), "text/plain": text } : { "text/plain": "" };
    runtime.display({ data, metadata: {}, transient: { display_id: this.#id } }, this.#hasOutput);
    this.#hasOutput = true;
  }
}
