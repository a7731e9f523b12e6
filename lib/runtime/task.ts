/**
 * What long work has to do with whoever waits for it, without knowing who that is: it says how far it is, and hears when it is
 * no longer wanted. A notebook shows the one as a bar and does the other on interrupt; elsewhere both are nothing.
 */

/** Long work, from its beginning to its end (`using`). */
export interface Task {
  /** Says that so many of the units are done. Cheap to call at every one. */
  at(done: number, note?: string): void;
  [Symbol.dispose](): void;
}

export interface TaskOptions {
  /** How many units there are, where that is known. */
  readonly total?: number;
  /** What is counted, in the plural; default "steps". */
  readonly unit?: string;
  /** The caller's own function for progress, if any: one who follows the work needs no bar. */
  readonly told?: unknown;
}

/** Whoever shows tasks leaves this function at `globalThis[taskWatcher]`. */
export type TaskWatcher = (label: string, options: TaskOptions) => Task;

export const taskWatcher: unique symbol = Symbol.for("tweedie.tasks");

const unwatched: Task = { at: () => undefined, [Symbol.dispose]: () => undefined };

/**
 * Begins a task.
 * @example
 * import { beginTask } from "tweedie/runtime";
 *
 * using task = beginTask("count", { total: 10 });
 * for (let done = 1; done <= 10; done++) task.at(done);
 */
export function beginTask(label: string, options: TaskOptions = {}): Task {
  const watch = (globalThis as { [taskWatcher]?: TaskWatcher })[taskWatcher];
  return watch === undefined || options.told !== undefined ? unwatched : watch(label, options);
}

const notebook = Symbol.for("tweedie.notebook");

/** Aborted when the cell on whose behalf the caller runs is interrupted: the default of every `signal` option. Undefined
 * outside the cells of our kernel. */
export function currentSignal(): AbortSignal | undefined {
  return (globalThis as { [notebook]?: { readonly signal?: AbortSignal | undefined } })[notebook]?.signal;
}
