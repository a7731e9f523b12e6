import { type ChildProcess, fork } from "node:child_process";
import type { Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import type { CellError, CellEvent, Completeness, Completion, EngineMessage, EngineRequest } from "./messages.js";

export interface ExecuteOptions {
  /** Stands for the cell in error messages, for instance `cell[3]`. */
  readonly label: string;
  readonly onEvent: (event: CellEvent) => void;
  readonly silent?: boolean;
  /** The notebook cell that holds the code, where the front end knows it. */
  readonly cellId?: string | undefined;
  /** The cell is interrupted after this time, and its process ended if that does not help. */
  readonly timeoutMs?: number | undefined;
  /** What the cell is told then; by default, that it ran longer than its limit. */
  readonly timeoutReason?: string | undefined;
}

export interface Execution {
  readonly ok: boolean;
  /** The engine process ended: variables are lost, and another one must be started. */
  readonly died: boolean;
}

/** How long an interrupted cell may take to end before a time limit ends its process. */
const TIMEOUT_GRACE_MS = 3_000;

const INTERRUPTED: CellError = {
  ename: "Interrupted",
  evalue: "the cell was interrupted",
  traceback: ["Interrupted: the cell was interrupted"],
};

/** Cells are numbered from 1. */
const NO_CELL = 0;

interface PendingCell {
  readonly options: ExecuteOptions;
  readonly resolve: (execution: Execution) => void;
  expired: boolean;
  /** Whether its error has been told. */
  failed: boolean;
}

type Query = Exclude<EngineRequest, { op: "execute" }>;

/** A cell engine in a process of its own, as its front end sees it.
 *
 * Whatever a cell does to that process (`process.exit`, running out of memory, a native crash) ends as an `error` event
 * of the cell and `died: true`. */
export class EngineProcess {
  readonly #child: ChildProcess;
  readonly #cells = new Map<number, PendingCell>();
  readonly #answers = new Map<number, (value: unknown) => void>();
  /** Event handlers outlive their cells: late output still belongs to the cell that caused it. */
  readonly #handlers = new Map<number, (event: CellEvent) => void>();
  /** The end of what the process printed past JavaScript: native warnings, and why it crashed. */
  #rawOutput = "";
  #lastId = 0;
  #closing = false;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.on("message", (message: EngineMessage) => this.#receive(message));
    // What cells have started goes with them; it would also hold on to the output and so keep "close" from coming.
    child.on("exit", () => this.#killGroup());
    // "close" comes after the last message and the last output, "exit" may not.
    child.on("close", (code, signal) => this.#died(code, signal));
    child.on("error", () => undefined);
    for (const name of ["stdout", "stderr"] as const) {
      child[name]!.setEncoding("utf8").on("data", (text: string) => {
        this.#rawOutput = (this.#rawOutput + text).slice(-4_000);
        this.#handlers.get(this.#currentId())?.({ type: "stream", name, text });
      });
    }
  }

  /** Starts an engine whose cells run in `directory`.
   * @throws Error if the process ends before it is ready */
  static async start(directory: string): Promise<EngineProcess> {
    const child = fork(fileURLToPath(new URL("./engine-main.js", import.meta.url)), [], {
      cwd: directory,
      // Terminating a runaway loop inside a timer leaves Node's async bookkeeping one entry too long. That is harmless, but
      // with the checks on, Node would rather abort. The warning silenced is about require() of ES modules.
      execArgv: ["--no-force-async-hooks-checks", "--disable-warning=ExperimentalWarning"],
      stdio: ["ignore", "pipe", "pipe", "ipc", "pipe"],
      // In a group of its own: Ctrl-C and Jupyter's interrupts are for the front end, which knows what to make of them.
      detached: true,
    });
    (child.stdio[4] as Writable).on("error", () => undefined);
    const engine = new EngineProcess(child);
    await new Promise<void>((resolve, reject) => {
      child.once("message", () => resolve());
      child.once("close", () => reject(new Error(`EngineProcess.start: the cell engine ended at once:\n${engine.#rawOutput}`)));
      child.once("error", reject);
    });
    return engine;
  }

  get #ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Runs a cell; never rejects: what goes wrong arrives as an `error` event. */
  execute(code: string, options: ExecuteOptions): Promise<Execution> {
    const id = ++this.#lastId;
    this.#handlers.set(id, options.onEvent);
    return new Promise((resolve) => {
      const cell: PendingCell = { options, resolve, expired: false, failed: false };
      this.#cells.set(id, cell);
      if (this.#ended) return this.#died(this.#child.exitCode, this.#child.signalCode);
      this.#send({ op: "execute", id, label: options.label, code, silent: options.silent ?? false, cellId: options.cellId });
      if (options.timeoutMs !== undefined) this.#limit(cell, options.timeoutMs);
    });
  }

  /** Interrupts the running cell, awaiting code and synchronous loops alike; without one, what an earlier cell left running. */
  interrupt(reason = ""): void {
    const cells = this.#cells.size > 0 ? this.#cells.keys() : [NO_CELL];
    for (const id of cells) (this.#child.stdio[4] as Writable).write(`${id} ${reason.replaceAll("\n", " ")}\n`);
  }

  /** @param cursor UTF-16 offset into `code` */
  async complete(code: string, cursor: number): Promise<Completion> {
    const answer = (await this.#ask({ op: "complete", id: 0, code, cursor })) as Completion | undefined;
    return answer ?? { matches: [], start: cursor, end: cursor };
  }

  /** @param cursor UTF-16 offset into `code` */
  async inspect(code: string, cursor: number): Promise<string | undefined> {
    return (await this.#ask({ op: "inspect", id: 0, code, cursor })) as string | undefined;
  }

  async isComplete(code: string): Promise<Completeness> {
    return ((await this.#ask({ op: "isComplete", id: 0, code })) as Completeness | undefined) ?? { status: "complete" };
  }

  /** Ends the process; cells still running get no event. */
  async stop(): Promise<void> {
    this.#closing = true;
    if (this.#ended) return;
    await new Promise<void>((resolve) => {
      this.#child.once("close", () => resolve());
      this.#child.kill("SIGKILL");
    });
  }

  /** Ends whatever is left of the engine's process group, which Windows does not know. */
  #killGroup(): void {
    try {
      if (process.platform !== "win32") process.kill(-this.pid, "SIGKILL");
    } catch {
      // Nothing was left.
    }
  }

  #ask(query: Query): Promise<unknown> {
    const id = ++this.#lastId;
    return new Promise((resolve) => {
      if (this.#ended) return resolve(undefined);
      this.#answers.set(id, resolve);
      this.#send({ ...query, id });
    });
  }

  #send(request: EngineRequest): void {
    // A process that has just ended cannot be written to; its "close" event settles everything.
    this.#child.send(request, () => undefined);
  }

  #limit(cell: PendingCell, timeoutMs: number): void {
    const { resolve } = cell;
    const stop = setTimeout(() => {
      cell.expired = true;
      this.interrupt(cell.options.timeoutReason ?? `the cell ran longer than its limit of ${timeoutMs / 1000} s`);
      kill = setTimeout(() => this.#child.kill("SIGKILL"), TIMEOUT_GRACE_MS);
    }, timeoutMs);
    let kill: NodeJS.Timeout | undefined;
    Object.assign(cell, {
      resolve: (execution: Execution) => {
        clearTimeout(stop);
        clearTimeout(kill);
        resolve(execution);
      },
    });
  }

  #receive(message: EngineMessage): void {
    switch (message.op) {
      case "event": {
        const cell = this.#cells.get(message.id);
        if (cell && message.event.type === "error") cell.failed = true;
        this.#handlers.get(message.id)?.(message.event);
        break;
      }
      case "executed": {
        const cell = this.#cells.get(message.id);
        // The engine was interrupted while it told of the cell's end.
        if (cell && !message.ok && !cell.failed) cell.options.onEvent({ type: "error", ...INTERRUPTED });
        this.#cells.delete(message.id);
        this.#forgetOldHandlers(message.id);
        cell?.resolve({ ok: message.ok, died: false });
        break;
      }
      case "answer":
        this.#answers.get(message.id)?.(message.value);
        this.#answers.delete(message.id);
    }
  }

  #died(code: number | null, signal: NodeJS.Signals | null): void {
    for (const [id, { options, resolve, expired }] of this.#cells) {
      this.#cells.delete(id);
      if (!this.#closing) options.onEvent({ type: "error", ...deathNotice(code, signal, expired, this.#rawOutput) });
      resolve({ ok: false, died: true });
    }
    for (const answer of this.#answers.values()) answer(undefined);
    this.#answers.clear();
  }

  #currentId(): number {
    return [...this.#cells.keys()][0] ?? this.#lastId;
  }

  #forgetOldHandlers(id: number): void {
    for (const old of this.#handlers.keys()) if (old < id) this.#handlers.delete(old);
  }
}

function deathNotice(code: number | null, signal: NodeJS.Signals | null, expired: boolean, rawOutput: string): CellError {
  const ename = "EngineDied";
  let evalue: string;
  if (expired) evalue = "the cell ran longer than its limit and could not be interrupted; its process was ended";
  else if (/heap out of memory|Allocation failed/.test(rawOutput)) evalue = "the cell ran out of memory and its process ended";
  else if (signal) evalue = `the cell's process was ended by ${signal}`;
  else evalue = `the cell ended its process with exit code ${code}, for instance by process.exit(${code})`;
  return {
    ename,
    evalue,
    traceback: [`${ename}: ${evalue}`, "All variables are lost; run the notebook again from the top."],
  };
}
