import { Worker } from "node:worker_threads";

/** A request the worker answers; `operation` names one of its operations. */
export interface WorkerRequest {
  readonly operation: string;
  readonly [field: string]: unknown;
}

interface Job {
  readonly request: WorkerRequest;
  readonly transfer: readonly ArrayBuffer[];
  readonly resolve: (value: unknown) => void;
  readonly reject: (reason: unknown) => void;
  readonly forgetSignal: () => void;
}

/**
 * One worker thread and the queue in front of it. Jobs are sent one at a time: a job still in the queue can
 * be withdrawn by its signal, and tensors are freed only after the jobs that were asked for before.
 */
export class WorkerChannel {
  readonly #worker: Worker;
  /** Waiting jobs, and between them lists of tensor ids to free. */
  #queue: (Job | number[])[] = [];
  #running: Job | undefined;
  #stopped: Error | undefined;
  /** 1 from sending a job until the worker has done with it. */
  readonly #busy = new Int32Array(new SharedArrayBuffer(4));

  constructor() {
    this.#worker = new Worker(new URL("./worker.js", import.meta.url), {
      name: "onnxruntime",
      workerData: { busy: this.#busy },
      execArgv: [], // loaders and flags of the main thread (tsx, vitest) are of no use there and would slow its start
    });
    this.#worker.unref();
    this.#worker.on("message", (reply: { value?: unknown; error?: string }) => this.#finish(reply));
    this.#worker.on("messageerror", (error: Error) => this.#finish({ error: error.message }));
    this.#worker.on("error", (error: Error) => this.#stop(error.message));
    this.#worker.on("exit", (code) => this.#stop(`it ended with code ${code}`));
    process.on("exit", this.#awaitNativeCode);
  }

  /** Native code whose thread is taken away aborts the whole process, so an ending process waits for it. */
  readonly #awaitNativeCode = (): void => {
    Atomics.wait(this.#busy, 0, 1, 30_000);
  };

  /** False once the thread has ended; what lived in it is gone. */
  get alive(): boolean {
    return this.#stopped === undefined;
  }

  /**
   * Queues a request. `transfer` gives buffers away to the worker.
   * A signal that fires while the job waits withdraws it and rejects with the signal's reason.
   */
  request<T>(request: WorkerRequest, transfer: readonly ArrayBuffer[] = [], signal?: AbortSignal): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#stopped) return reject(this.#stopped);
      if (signal?.aborted) return reject(signal.reason);
      const withdraw = (): void => {
        if (this.#running === job) return;
        this.#queue = this.#queue.filter((entry) => entry !== job);
        reject(signal?.reason);
        this.#restIfIdle();
      };
      const job: Job = {
        request,
        transfer,
        resolve: resolve as (value: unknown) => void,
        reject,
        forgetSignal: () => signal?.removeEventListener("abort", withdraw),
      };
      signal?.addEventListener("abort", withdraw, { once: true });
      this.#queue.push(job);
      this.#worker.ref(); // a script must not end while it waits for a result
      this.#next();
    });
  }

  /** Frees a tensor of the worker after all jobs queued so far. */
  discard(id: number): void {
    if (this.#stopped) return;
    const last = this.#queue.at(-1);
    if (Array.isArray(last)) last.push(id);
    else this.#queue.push([id]);
    // Later, so that disposing of a whole training state is one message.
    queueMicrotask(() => this.#next());
  }

  /** Ends the thread; requests reject at once, a job that runs is finished first. */
  async terminate(): Promise<void> {
    const finished = new Promise((resolve) => this.#worker.once("message", resolve).once("exit", resolve));
    const running = this.#running !== undefined;
    this.#stop("it was closed");
    if (running) await finished;
    await this.#worker.terminate();
  }

  #next(): void {
    while (this.#running === undefined && this.#stopped === undefined) {
      const entry = this.#queue.shift();
      if (entry === undefined) break;
      if (Array.isArray(entry)) {
        this.#worker.postMessage({ operation: "free", ids: entry });
        continue;
      }
      this.#running = entry;
      Atomics.store(this.#busy, 0, 1);
      try {
        this.#worker.postMessage(entry.request, entry.transfer);
      } catch (error) {
        Atomics.store(this.#busy, 0, 0);
        this.#settle(entry);
        entry.reject(error);
      }
    }
    this.#restIfIdle();
  }

  #finish(reply: { value?: unknown; error?: string }): void {
    const job = this.#running;
    if (job === undefined) return;
    this.#settle(job);
    if (reply.error === undefined) job.resolve(reply.value);
    else job.reject(new Error(reply.error));
    this.#next();
  }

  #settle(job: Job): void {
    this.#running = undefined;
    job.forgetSignal();
  }

  #restIfIdle(): void {
    if (this.#running === undefined && !this.#queue.some((entry) => !Array.isArray(entry))) this.#worker.unref();
  }

  #stop(why: string): void {
    if (this.#stopped) return;
    process.off("exit", this.#awaitNativeCode);
    this.#stopped = new Error(`the runtime's worker thread stopped (${why}); open sessions and upload tensors again`);
    const jobs = this.#queue.filter((entry): entry is Job => !Array.isArray(entry));
    if (this.#running) jobs.unshift(this.#running);
    this.#queue = [];
    this.#running = undefined;
    for (const job of jobs) {
      job.forgetSignal();
      job.reject(this.#stopped);
    }
  }
}
