import { type ChildProcess, fork } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { FRONT_END_PIPE, listenToEngine } from "./front-end-pipe.js";
import type {
  CellError,
  CellEvent,
  CommInfo,
  CommMessage,
  Completeness,
  Completion,
  EngineMessage,
  EngineRequest,
  InputQuestion,
} from "./messages.js";

export interface ExecuteOptions {
  /** Stands for the cell in error messages, for instance `cell[3]`. */
  readonly label: string;
  readonly onEvent: (event: CellEvent) => void;
  readonly silent?: boolean;
  /** The notebook cell that holds the code, where the front end knows it. */
  readonly cellId?: string | undefined;
  /** The cell is interrupted after this time, and its process ended if that does not help. */
  readonly timeoutMs?: number | undefined;
  /** Asks the person in front of the cell; without it, `input()` in cells rejects. */
  readonly onInput?: ((question: InputQuestion) => Promise<string>) | undefined;
}

export interface Execution {
  readonly ok: boolean;
  /** The engine process ended: variables are lost, and another one must be started. */
  readonly died: boolean;
}

/** How long an interrupted cell may take to end before a time limit ends its process. */
const TIMEOUT_GRACE_MS = 3_000;

/** Characters; enough for an account of memory running out. */
const MAX_RAW_OUTPUT = 16_000;

/** Cells whose late output still finds its way. */
const MAX_REMEMBERED = 1_000;

interface PendingCell {
  readonly options: Pick<ExecuteOptions, "onEvent" | "onInput">;
  readonly resolve: (execution: Execution) => void;
  readonly startedAt: number;
  /** Next step of its time limit. */
  timer?: NodeJS.Timeout | undefined;
  expired: boolean;
}

type Query = Exclude<EngineRequest, { op: "execute" | "comm" | "input" }>;

/** Native code's account of its own end, which the cell's error sums up. */
const CRASH_REPORT = /<--- Last few GCs|FATAL ERROR:|Native stack trace|^#\s*Fatal error/m;

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
  #crashing = false;
  #ready: () => void = () => undefined;
  /** Limit of cells that have none of their own. */
  #timeoutMs: number | undefined;
  /** Resolves when the process has ended, with why; never after `stop`. */
  readonly ended: Promise<CellError>;
  #sayEnded!: (error: CellError) => void;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.ended = new Promise((resolve) => {
      this.#sayEnded = resolve;
    });
    listenToEngine(child.stdio.at(FRONT_END_PIPE) as Readable, (message) => this.#receive(message));
    // What cells have started goes with them; it would also hold on to the output and so keep "close" from coming.
    child.on("exit", () => this.#killGroup());
    // "close" comes after the last message and the last output, "exit" may not.
    child.on("close", (code, signal) => this.#died(code, signal));
    child.on("error", () => undefined);
    for (const name of ["stdout", "stderr"] as const) {
      child[name]!.setEncoding("utf8").on("data", (text: string) => {
        this.#rawOutput = (this.#rawOutput + text).slice(-MAX_RAW_OUTPUT);
        this.#crashing ||= CRASH_REPORT.test(text);
        if (!this.#crashing) this.#handlers.get(this.#currentId())?.({ type: "stream", name, text });
      });
    }
  }

  /** Starts an engine whose cells run in `directory`.
   * @param kernelId what Jupyter's server calls this kernel, if one does
   * @throws Error if the process ends before it is ready */
  static async start(directory: string, kernelId?: string): Promise<EngineProcess> {
    const child = fork(fileURLToPath(new URL("./engine-main.js", import.meta.url)), kernelId === undefined ? [] : [kernelId], {
      cwd: directory,
      // See async-bookkeeping.ts; the other warning is about require() of ES modules.
      execArgv: ["--no-force-async-hooks-checks", "--disable-warning=DEP0111", "--disable-warning=ExperimentalWarning"],
      stdio: ["ignore", "pipe", "pipe", "ipc", "pipe", "pipe"],
      // In a group of its own: Ctrl-C and Jupyter's interrupts are for the front end, which knows what to make of them.
      detached: true,
    });
    (child.stdio[4] as Writable).on("error", () => undefined);
    const engine = new EngineProcess(child);
    await new Promise<void>((resolve, reject) => {
      engine.#ready = resolve;
      child.once("close", () => reject(new Error(`EngineProcess.start: the cell engine ended at once:\n${engine.#rawOutput}`)));
      child.once("error", reject);
    });
    return engine;
  }

  get #isGone(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Runs a cell; never rejects: what goes wrong arrives as an `error` event. */
  execute(code: string, options: ExecuteOptions): Promise<Execution> {
    const { label, silent = false, cellId, onInput, timeoutMs = this.#timeoutMs } = options;
    return this.#run(options, (id) => {
      this.#send({ op: "execute", id, label, code, silent, cellId, allowInput: onInput !== undefined });
      if (timeoutMs !== undefined) this.#limit(id, timeoutMs);
    });
  }

  /** Passes on what the page says on a comm, and resolves when it has been dealt with. */
  receiveComm(message: CommMessage, onEvent: ExecuteOptions["onEvent"]): Promise<Execution> {
    return this.#run({ onEvent }, (id) => this.#send({ op: "comm", id, message }));
  }

  /** Interrupts the running cell, awaiting code and synchronous loops alike; without one, what earlier cells left running. */
  interrupt(reason = ""): void {
    for (const id of this.#cells.size > 0 ? this.#cells.keys() : [this.#lastId])
      (this.#child.stdio[4] as Writable).write(`${id} ${reason.replaceAll("\n", " ")}\n`);
  }

  /** @param cursor UTF-16 offset into `code` */
  async complete(code: string, cursor: number): Promise<Completion> {
    const answer = (await this.#ask({ op: "complete", id: 0, code, cursor })) as Completion | undefined;
    return answer ?? { matches: [], start: cursor, end: cursor, details: [] };
  }

  /** @param cursor UTF-16 offset into `code` */
  async inspect(code: string, cursor: number): Promise<string | undefined> {
    return (await this.#ask({ op: "inspect", id: 0, code, cursor })) as string | undefined;
  }

  async isComplete(code: string): Promise<Completeness> {
    return ((await this.#ask({ op: "isComplete", id: 0, code })) as Completeness | undefined) ?? { status: "complete" };
  }

  /** Open comms, all or those of one target. */
  async commInfo(target?: string): Promise<CommInfo> {
    return ((await this.#ask({ op: "comms", id: 0, target })) as CommInfo | undefined) ?? {};
  }

  /** Ends the process; cells still running get no event. */
  async stop(): Promise<void> {
    this.#closing = true;
    if (this.#isGone) return;
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

  #run(options: PendingCell["options"], send: (id: number) => void): Promise<Execution> {
    const id = ++this.#lastId;
    this.#handlers.set(id, options.onEvent);
    if (this.#handlers.size > MAX_REMEMBERED) this.#handlers.delete(this.#handlers.keys().next().value!);
    return new Promise((resolve) => {
      this.#cells.set(id, { options, resolve, startedAt: performance.now(), expired: false });
      if (this.#isGone) return this.#died(this.#child.exitCode, this.#child.signalCode);
      send(id);
    });
  }

  #ask(query: Query): Promise<unknown> {
    const id = ++this.#lastId;
    return new Promise((resolve) => {
      if (this.#isGone) return resolve(undefined);
      this.#answers.set(id, resolve);
      this.#send({ ...query, id });
    });
  }

  #send(request: EngineRequest): void {
    // A process that has just ended cannot be written to; its "close" event settles everything.
    this.#child.send(request, () => undefined);
  }

  /** @param timeoutMs since the cell's start; undefined lifts the limit */
  #limit(id: number, timeoutMs: number | undefined): void {
    const cell = this.#cells.get(id);
    clearTimeout(cell?.timer);
    if (!cell || timeoutMs === undefined) return;
    const expire = (): void => {
      cell.expired = true;
      this.interrupt(`the cell ran longer than its limit of ${timeoutMs / 1000} s`);
      cell.timer = setTimeout(() => this.#child.kill("SIGKILL"), TIMEOUT_GRACE_MS);
    };
    cell.timer = setTimeout(expire, timeoutMs - (performance.now() - cell.startedAt));
  }

  #receive(message: EngineMessage): void {
    const cell = "id" in message ? this.#cells.get(message.id) : undefined;
    switch (message.op) {
      case "ready":
        this.#ready();
        break;
      case "event":
        this.#handlers.get(message.id)?.(message.event);
        break;
      case "limit":
        if (message.always) this.#timeoutMs = message.ms;
        this.#limit(message.id, message.ms);
        break;
      case "input": {
        const answered = cell?.options.onInput?.({ prompt: message.prompt, password: message.password });
        void answered?.then((value) => this.#send({ op: "input", id: message.question, value }));
        break;
      }
      case "executed":
        clearTimeout(cell?.timer);
        this.#cells.delete(message.id);
        cell?.resolve({ ok: message.ok, died: false });
        break;
      case "answer":
        this.#answers.get(message.id)?.(message.value);
        this.#answers.delete(message.id);
    }
  }

  #died(code: number | null, signal: NodeJS.Signals | null): void {
    const expired = [...this.#cells.values()].some((cell) => cell.expired);
    const error = deathNotice(code, signal, expired, this.#rawOutput);
    for (const [id, { options, resolve, timer }] of this.#cells) {
      clearTimeout(timer);
      this.#cells.delete(id);
      if (!this.#closing) options.onEvent({ type: "error", ...error });
      resolve({ ok: false, died: true });
    }
    for (const answer of this.#answers.values()) answer(undefined);
    this.#answers.clear();
    if (!this.#closing) this.#sayEnded(error);
  }

  #currentId(): number {
    return [...this.#cells.keys()][0] ?? this.#lastId;
  }
}

function deathNotice(code: number | null, signal: NodeJS.Signals | null, expired: boolean, rawOutput: string): CellError {
  const ename = "EngineDied";
  let evalue: string;
  if (expired) evalue = "the cell ran longer than its limit and could not be interrupted; its process was ended";
  else if (/heap out of memory|Allocation failed/.test(rawOutput)) evalue = "the cell ran out of memory and its process ended";
  else if (signal === "SIGKILL") {
    evalue = "the cell's process was ended by SIGKILL, as the system does when memory runs out";
  } else if (signal) evalue = `the cell's process crashed in native code (${signal})`;
  else evalue = `the cell ended its process with exit code ${code}, for instance by process.exit(${code})`;
  return {
    ename,
    evalue,
    traceback: [`${ename}: ${evalue}`, "All variables are lost; run the notebook again from the top."],
  };
}
