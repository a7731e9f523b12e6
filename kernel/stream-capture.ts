/** Text that is waiting longer than this, or more of it than this, is passed on even while a cell never yields. */
const MAX_WAIT_MS = 50;
const MAX_WAITING_CHARACTERS = 64 * 1024;

type StreamName = "stdout" | "stderr";

/** Takes over this process's standard output and error, joining many small writes into few large ones. */
export class StreamCapture {
  readonly #write: (name: StreamName, text: string) => void;
  #name: StreamName = "stdout";
  #waiting = "";
  #since = 0;
  #scheduled = false;

  constructor(write: (name: StreamName, text: string) => void) {
    this.#write = write;
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
    this.#write(this.#name, text);
  }

  #take(name: StreamName, text: string): void {
    if (name !== this.#name) this.flush();
    if (this.#waiting === "") this.#since = performance.now();
    this.#name = name;
    this.#waiting += text;
    if (this.#waiting.length > MAX_WAITING_CHARACTERS || performance.now() - this.#since > MAX_WAIT_MS) this.flush();
    else if (!this.#scheduled) {
      this.#scheduled = true;
      setTimeout(() => {
        this.#scheduled = false;
        this.flush();
      }, MAX_WAIT_MS / 5).unref();
    }
  }
}
