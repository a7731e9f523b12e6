/** Text that is waiting longer than this, or more of it than this, is passed on even while a cell never yields. */
const MAX_WAIT_MS = 50;
const MAX_WAITING_CHARACTERS = 64 * 1024;
/** So many writes per `MAX_WAIT_MS` are passed on at once, so that a crash does not take them along; more are collected. */
const MAX_AT_ONCE = 8;

/** As it was before cells came, whose timers can be stopped. */
const { setTimeout } = globalThis;

type StreamName = "stdout" | "stderr";

/** Where text goes to: the cell that wrote it, and which of its streams. */
interface Destination {
  readonly owner: number | undefined;
  readonly name: StreamName;
}

export interface StreamCaptureOptions {
  /** The cell on whose behalf the calling code runs. */
  readonly owner: () => number | undefined;
  readonly write: (destination: Destination, text: string) => void;
}

/** Takes over this process's standard output and error, joining many small writes into few large ones. */
export class StreamCapture {
  readonly #options: StreamCaptureOptions;
  #destination: Destination = { owner: undefined, name: "stdout" };
  #waiting = "";
  #since = 0;
  #writes = 0;
  #scheduled = false;

  constructor(options: StreamCaptureOptions) {
    this.#options = options;
    for (const name of ["stdout", "stderr"] as const) {
      const decoder = new TextDecoder();
      process[name].write = ((chunk: string | Uint8Array, encoding?: unknown, callback?: unknown): boolean => {
        this.#take(name, typeof chunk === "string" ? chunk : decoder.decode(chunk, { stream: true }));
        const done = typeof encoding === "function" ? encoding : callback;
        if (typeof done === "function") process.nextTick(done);
        return true;
      }) as typeof process.stdout.write;
    }
  }

  /** Passes on what is waiting; to be called before anything else that must appear after it. */
  flush(): void {
    if (this.#waiting === "") return;
    const text = this.#waiting;
    this.#waiting = "";
    this.#options.write(this.#destination, text);
  }

  #take(name: StreamName, text: string): void {
    const owner = this.#options.owner();
    if (name !== this.#destination.name || owner !== this.#destination.owner) {
      this.flush();
      this.#destination = { owner, name };
    }
    this.#waiting += text;
    const now = performance.now();
    const overdue = now - this.#since > MAX_WAIT_MS;
    if (overdue) {
      this.#since = now;
      this.#writes = 0;
    }
    if (overdue || ++this.#writes <= MAX_AT_ONCE || this.#waiting.length > MAX_WAITING_CHARACTERS) this.flush();
    else if (!this.#scheduled) {
      this.#scheduled = true;
      setTimeout(() => {
        this.#scheduled = false;
        this.flush();
      }, MAX_WAIT_MS / 5).unref();
    }
  }
}
