import { AsyncLocalStorage } from "node:async_hooks";
import { promisify } from "node:util";
import { expectTerminations } from "./async-bookkeeping.js";
import { InterruptedError } from "./cell-errors.js";

/** What an interrupted cell may still do to tidy up (`finally`, `using`) it does within this time. */
const TIDYING_MS = 3_000;
/** Cells whose left-over work an interrupt can still end. */
const MAX_REMEMBERED = 1_000;

type Awaitable = { then(resolve: (value: unknown) => void, reject: (reason: unknown) => void): unknown };

/** Code that runs on behalf of a cell (or of a comm message), from its first step to the last of what it has left running. */
export class RunningCell {
  readonly id: number;
  readonly allowInput: boolean;
  readonly #abort = new AbortController();
  /** Rejects what the cell's code is awaiting at the moment. */
  readonly #awaiting = new Set<(reason: unknown) => void>();
  #interruptedAt = Number.POSITIVE_INFINITY;

  constructor(id: number, allowInput: boolean) {
    this.id = id;
    this.allowInput = allowInput;
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  get interrupted(): boolean {
    return this.signal.aborted;
  }

  /** Whether it was interrupted and has had its time to tidy up. */
  get over(): boolean {
    return performance.now() > this.#interruptedAt + TIDYING_MS;
  }

  /** Throws `Interrupted` into everything the cell awaits, and aborts its signal. */
  interrupt(reason: string): void {
    if (this.interrupted) return;
    const error = new InterruptedError(reason);
    this.#interruptedAt = performance.now();
    this.#abort.abort(error);
    for (const reject of this.#awaiting) reject(error);
  }

  /** Resolves with `value`, unless the cell is interrupted first. */
  async until(value: Awaitable): Promise<unknown> {
    // Code that catches every error and goes on would never end; its next `await` does not return.
    if (this.over) return new Promise(() => undefined);
    let withdraw!: (reason: unknown) => void;
    try {
      return await new Promise((resolve, reject) => {
        withdraw = reject;
        this.#awaiting.add(withdraw);
        // The functions themselves, not wrapped: V8 follows them to the caller when it writes an error's stack.
        value.then(resolve, reject);
      });
    } finally {
      this.#awaiting.delete(withdraw);
    }
  }
}

/** Knows on behalf of which cell code runs, across `await`s, timers and events. */
export class RunningCells {
  readonly #storage = new AsyncLocalStorage<RunningCell>();
  readonly #cells = new Map<number, RunningCell>();

  /** @param interruptPending whether the event loop has to turn for an interrupt to be heard */
  constructor(interruptPending: () => boolean) {
    installAwait(() => this.own, interruptPending);
    installNextTick(() => this.own, interruptPending);
    for (const name of ["setTimeout", "setInterval", "setImmediate"] as const) installTimer(name, () => this.own);
  }

  /** The cell on whose behalf the calling code runs. */
  get own(): RunningCell | undefined {
    return this.#storage.getStore();
  }

  run<T>(cell: RunningCell, work: () => T): T {
    this.#cells.set(cell.id, cell);
    if (this.#cells.size > MAX_REMEMBERED) this.#cells.delete(this.#cells.keys().next().value!);
    return this.#storage.run(cell, () => {
      // The storage's first use, and other such storages of cells, switch the checks on.
      expectTerminations();
      return work();
    });
  }

  /** Ends what cell `id` and those before it have left running. */
  interruptUpTo(id: number, reason: string): void {
    for (const cell of this.#cells.values()) {
      if (cell.id > id) continue;
      cell.interrupt(reason);
      this.#cells.delete(cell.id);
    }
  }
}

/** What `await x` in cells is compiled to calls this with `x`; see `interruptibleAwaits`. */
function installAwait(own: () => RunningCell | undefined, interruptPending: () => boolean): void {
  const interruptible = (value: unknown): unknown => {
    const cell = own();
    if (!cell) return value;
    // Awaiting what is already there does not turn the event loop.
    if (interruptPending()) return cell.until(Promise.all([value, turn()]).then(([awaited]) => awaited));
    return isAwaitable(value) ? cell.until(value) : value;
  };
  const each = (values: AsyncIterable<unknown> | Iterable<unknown>): AsyncIterable<unknown> => ({
    [Symbol.asyncIterator]: () => {
      const source = Symbol.asyncIterator in values ? values[Symbol.asyncIterator]() : awaitEach(values);
      return {
        next: async () => {
          try {
            return (await interruptible(source.next())) as IteratorResult<unknown>;
          } catch (error) {
            // A loop that an error ends does not close what it goes through, and an interrupted source is in the middle of it.
            if (error instanceof InterruptedError) void source.return?.()?.then(undefined, () => undefined);
            throw error;
          }
        },
        return: async (value) => (await source.return?.(value)) ?? { done: true, value },
      };
    },
  });
  Object.defineProperty(globalThis, "__interruptible", { value: Object.assign(interruptible, { each }), configurable: true });
}

async function* awaitEach(values: Iterable<unknown>): AsyncGenerator<unknown> {
  yield* values;
}

function isAwaitable(value: unknown): value is Awaitable {
  return (
    (typeof value === "object" || typeof value === "function") &&
    value !== null &&
    "then" in value &&
    typeof value.then === "function"
  );
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/**
 * Ticks that call for further ticks let nothing else run, not even when they are terminated, which leaves the next one waiting.
 * Those that are called for once an interrupt has come wait for the event loop's next turn.
 */
function installNextTick(own: () => RunningCell | undefined, interruptPending: () => boolean): void {
  const { nextTick } = process;
  const tick: typeof process.nextTick = (callback, ...args) => {
    const cell = own();
    if (cell && typeof callback === "function" && (interruptPending() || cell.interrupted)) setImmediate(() => callback(...args));
    else nextTick(callback, ...args);
  };
  process.nextTick = tick;
}

/** Timers of an interrupted cell stop: intervals at once, others when it has had its time to tidy up. */
function installTimer(name: "setTimeout" | "setInterval" | "setImmediate", own: () => RunningCell | undefined): void {
  const original = globalThis[name] as (callback: (...args: unknown[]) => void, ...rest: unknown[]) => unknown;
  const timer = (callback: unknown, ...rest: unknown[]): unknown => {
    const cell = own();
    if (!cell || typeof callback !== "function") return original(callback as () => void, ...rest);
    return original(
      function (this: NodeJS.Timeout, ...args: unknown[]): void {
        const run = (): void => {
          if (name === "setInterval" ? cell.interrupted : cell.over) clearInterval(this);
          else callback.apply(this, args);
        };
        // What is terminated in the middle of a queue of immediates leaves Node with one it calls for ever; between two, it is safe.
        if (name === "setImmediate") queueMicrotask(run);
        else run();
      },
      ...rest,
    );
  };
  const promised = (original as unknown as Record<symbol, unknown>)[promisify.custom];
  Object.defineProperty(timer, promisify.custom, { value: promised });
  Object.defineProperty(timer, "name", { value: name });
  globalThis[name] = timer as never;
}
