import { readFileSync } from "node:fs";
import path from "node:path";
import { EngineProcess } from "./engine-process.js";
import { History } from "./history.js";
import { type Channel, openSockets, type Sockets } from "./jupyter-sockets.js";
import { type ConnectionInfo, JupyterWire, type Message, PROTOCOL_VERSION, type Refusal } from "./jupyter-wire.js";
import { LANGUAGE_INFO, TYPESCRIPT_VERSION } from "./language-info.js";
import type { CellError, CellEvent, CommMessage, InputQuestion } from "./messages.js";
import { PACKAGE_ROOT, packageVersion } from "./package-root.js";

type Content = Readonly<Record<string, unknown>>;
type Reply = Record<string, unknown>;

/** How long requests may be on their way that were sent together with one that failed. */
const IN_FLIGHT_MS = 20;
/** Messages that were dropped are reported no more often than this. */
const REPORT_MS = 1_000;

/** Jupyter front end of the cell engine: speaks the messaging protocol over ZeroMQ, runs cells in an engine process.
 *
 * This process only passes messages, so it answers while a cell computes; a cell that kills its engine gets an error
 * and the next cell a fresh engine. */
export class JupyterServer {
  readonly #connection: ConnectionInfo;
  readonly #wire: JupyterWire;
  readonly #sockets: Sockets;
  readonly #directory: string;
  readonly #kernelId: string | undefined;
  readonly #history = new History();
  readonly #queue: Message[] = [];
  readonly #dropped: Record<Refusal, number> = { malformed: 0, forged: 0, replayed: 0 };
  #reporting: NodeJS.Timeout | undefined;
  #engine: Promise<EngineProcess> | undefined;
  /** Answers the question that is being asked. */
  #answer: ((value: string) => void) | undefined;
  #questions: Promise<unknown> = Promise.resolve();
  #draining = false;
  #count = 0;
  #hidden = 0;
  /** The request whose outputs came last. */
  #last: Message | undefined;
  #closed: () => void = () => undefined;

  private constructor(connection: ConnectionInfo, sockets: Sockets, directory: string, kernelId: string | undefined) {
    this.#connection = connection;
    this.#wire = new JupyterWire(connection.key);
    this.#sockets = sockets;
    this.#directory = directory;
    this.#kernelId = kernelId;
  }

  /** Serves one kernel until a client asks it to shut down.
   * @param connectionFile path of the JSON file that Jupyter writes for a kernel
   * @throws RangeError if the file asks for an address that other machines could reach */
  static async serve(connectionFile: string, directory: string = process.cwd()): Promise<void> {
    const connection = JSON.parse(readFileSync(connectionFile, "utf8")) as ConnectionInfo;
    if (connection.signature_scheme && connection.signature_scheme !== "hmac-sha256") {
      throw new RangeError(`serve: expected signature scheme hmac-sha256, got ${connection.signature_scheme}`);
    }
    const server = new JupyterServer(connection, await openSockets(connection), directory, kernelIdOf(connectionFile));
    await server.#serve();
  }

  async #serve(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#closed = resolve;
    });
    process.on("SIGINT", () => this.#interrupt());
    process.on("SIGTERM", () => this.#closed());
    // A Jupyter that crashed cannot ask for a shutdown.
    const parent = process.ppid;
    setInterval(() => process.ppid !== parent && this.#closed(), 1_000).unref();
    const { shell, control, stdin, iopub } = this.#sockets;
    this.#publish("status", { execution_state: "starting" }, undefined);
    void this.#welcome();
    void this.#receive(shell, (message) => this.#enqueue(message));
    void this.#receive(control, (message) => void this.#handle(control, message));
    void this.#receive(stdin, ({ header, content }) => {
      if (header.msg_type === "input_reply") this.#answer?.(String(content.value ?? ""));
    });
    this.#startEngine().catch(() => undefined);
    await closed;
    await Promise.all([control.outbox, shell.outbox, iopub].map((box) => box.drained()));
    await this.#engine?.then((engine) => engine.stop()).catch(() => undefined);
    this.#sockets.close();
  }

  /** Tells who listens to iopub that it is connected: what was published before, it has missed. */
  async #welcome(): Promise<void> {
    for await (const subscription of this.#sockets.subscriptions)
      this.#publish("iopub_welcome", { subscription }, undefined, subscription);
  }

  async #receive(channel: Channel, handle: (message: Message) => void): Promise<void> {
    for await (const frames of channel.socket) {
      const message = this.#wire.decode(frames);
      if (typeof message === "string") this.#drop(message);
      else handle(message);
    }
  }

  #drop(refusal: Refusal): void {
    this.#dropped[refusal]++;
    this.#reporting ??= setTimeout(() => {
      this.#reporting = undefined;
      const counts = Object.entries(this.#dropped).map(([kind, count]) => `${count} ${kind}`);
      process.stderr.write(`tweedie: messages dropped so far: ${counts.join(", ")}\n`);
    }, REPORT_MS);
  }

  /** Shell requests are answered in order, one after the other; shutdown does not wait for a busy cell. */
  #enqueue(message: Message): void {
    if (message.header.msg_type === "shutdown_request") return void this.#handle(this.#sockets.shell, message);
    this.#queue.push(message);
    if (!this.#draining) void this.#drain();
  }

  async #drain(): Promise<void> {
    this.#draining = true;
    for (let next = this.#queue.shift(); next; next = this.#queue.shift()) await this.#handle(this.#sockets.shell, next);
    this.#draining = false;
  }

  async #handle(channel: Channel, message: Message): Promise<void> {
    const type = message.header.msg_type;
    this.#publish("status", { execution_state: "busy" }, message);
    try {
      const reply = await this.#respond(type, message);
      if (reply) this.#reply(channel, message, reply);
    } catch (error) {
      const evalue = error instanceof Error ? error.message : String(error);
      if (!(error instanceof TypeError)) process.stderr.write(`tweedie: ${type} failed: ${evalue}\n`);
      this.#reply(channel, message, { status: "error", ename: "KernelError", evalue, traceback: [`KernelError: ${evalue}`] });
    } finally {
      this.#publish("status", { execution_state: "idle" }, message);
    }
    if (type === "shutdown_request") this.#closed();
  }

  async #respond(type: string, message: Message): Promise<Reply | undefined> {
    const { content } = message;
    switch (type) {
      case "kernel_info_request":
        return kernelInfo();
      case "connect_request":
        return { status: "ok", ...portsOf(this.#connection) };
      case "execute_request":
        return this.#execute(message);
      case "complete_request":
        return this.#complete(content);
      case "inspect_request": {
        const { code, cursor } = codeAndCursor(content);
        const text = await (await this.#startEngine()).inspect(code, cursor);
        return { status: "ok", found: text !== undefined, data: text === undefined ? {} : { "text/plain": text }, metadata: {} };
      }
      case "is_complete_request":
        return { ...(await (await this.#startEngine()).isComplete(codeOf(content))) };
      case "history_request":
        return { status: "ok", history: this.#history.recall(content) };
      case "comm_info_request": {
        const target = typeof content.target_name === "string" ? content.target_name : undefined;
        return { status: "ok", comms: await (await this.#startEngine()).commInfo(target) };
      }
      case "comm_open":
      case "comm_msg":
      case "comm_close":
        await (await this.#startEngine()).receiveComm(commMessage(type, content), this.#publisher(message));
        return undefined;
      case "interrupt_request":
        this.#interrupt();
        return { status: "ok" };
      case "shutdown_request": {
        const reply = { status: "ok", restart: content.restart === true };
        this.#publish("shutdown_reply", reply, message);
        return reply;
      }
      case "debug_request":
        return {
          type: "response",
          seq: 0,
          request_seq: content.seq ?? 0,
          success: false,
          command: String(content.command ?? ""),
          message: "this kernel has no debugger; console.log and a cell of its own for each step show what happens",
          body: {},
        };
      default:
        if (!type.endsWith("_request")) return undefined;
        throw new TypeError(
          `expected a request of Jupyter's messaging protocol ${PROTOCOL_VERSION}, got ${JSON.stringify(type)}`,
        );
    }
  }

  /** The engine, a new one where the last has ended or could not be started. */
  #startEngine(): Promise<EngineProcess> {
    if (this.#engine) return this.#engine;
    const starting = EngineProcess.start(this.#directory, this.#kernelId);
    this.#engine = starting;
    const forget = (): void => {
      if (this.#engine === starting) this.#engine = undefined;
    };
    starting
      .then(({ ended }) => ended)
      .then((error) => {
        forget();
        // Whoever is running a cell is told by that cell.
        if (!this.#draining) this.#publish("stream", { name: "stderr", text: `${error.traceback.join("\n")}\n` }, this.#last);
        this.#startEngine().catch(() => undefined);
      }, forget);
    return starting;
  }

  async #execute(message: Message): Promise<Reply> {
    const { content } = message;
    const code = codeOf(content);
    const silent = content.silent === true;
    const stored = !silent && content.store_history !== false;
    const count = stored ? ++this.#count : this.#count;
    const remember = stored ? this.#history.add(count, code) : () => undefined;
    if (!silent) this.#publish("execute_input", { code, execution_count: count }, message);

    let failure: CellError | undefined;
    const publish = this.#publisher(message, count);
    const onEvent = (event: CellEvent): void => {
      if (event.type === "error") failure = event;
      if (event.type === "execute_result") remember(String(event.data["text/plain"] ?? ""));
      if (!silent) publish(event);
    };
    const engine = await this.#startEngine();
    const cellId = typeof message.metadata.cellId === "string" ? message.metadata.cellId : undefined;
    // What is not counted must not be taken for the cell that has the number.
    const label = stored ? `cell[${count}]` : `hidden[${++this.#hidden}]`;
    const onInput = content.allow_stdin === true ? (question: InputQuestion) => this.#ask(question, message) : undefined;
    const { ok, died } = await engine.execute(code, { label, onEvent, silent, cellId, onInput });
    // What it has asked last may never have been answered.
    this.#questions = Promise.resolve();
    this.#answer = undefined;
    if (died) this.#engine = undefined;
    if (!ok) {
      if (content.stop_on_error !== false) await this.#abortQueued();
      const { ename, evalue, traceback } = failure!;
      return { status: "error", execution_count: count, ename, evalue, traceback };
    }
    const user_expressions = await this.#evaluateAll(engine, content.user_expressions);
    return { status: "ok", execution_count: count, payload: [], user_expressions };
  }

  /** A failed cell takes the cells queued behind it along, as Jupyter expects. */
  async #abortQueued(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, IN_FLIGHT_MS));
    const isCell = ({ header }: Message): boolean => header.msg_type === "execute_request";
    const aborted = this.#queue.filter(isCell);
    this.#queue.splice(0, this.#queue.length, ...this.#queue.filter((message) => !isCell(message)));
    for (const message of aborted) {
      this.#publish("status", { execution_state: "busy" }, message);
      this.#reply(this.#sockets.shell, message, { status: "aborted", execution_count: this.#count });
      this.#publish("status", { execution_state: "idle" }, message);
    }
  }

  async #evaluateAll(engine: EngineProcess, expressions: unknown): Promise<Reply> {
    const values: Reply = {};
    for (const [name, code] of Object.entries(typeof expressions === "object" && expressions ? expressions : {})) {
      values[name] = { status: "ok", data: {}, metadata: {} };
      const onEvent = ({ type, ...content }: CellEvent): void => {
        if (type === "execute_result") values[name] = { status: "ok", ...content };
        if (type === "error") values[name] = { status: "error", ...content };
      };
      await engine.execute(String(code), { label: "expression", onEvent });
    }
    return values;
  }

  /** Asks the person at the client that sent the cell, one question at a time. */
  #ask({ prompt, password }: InputQuestion, cell: Message): Promise<string> {
    const asked = this.#questions.then(
      () =>
        new Promise<string>((resolve) => {
          this.#answer = resolve;
          this.#sockets.stdin.outbox.send(this.#wire.encode("input_request", { prompt, password }, cell, cell.identities));
        }),
    );
    this.#questions = asked;
    return asked;
  }

  async #complete(content: Content): Promise<Reply> {
    const { code, cursor } = codeAndCursor(content);
    const { matches, start, end, details } = await (await this.#startEngine()).complete(code, cursor);
    const [cursor_start, cursor_end] = [codePoints(code, start), codePoints(code, end)];
    const types = details.map((detail) => ({ start: cursor_start, end: cursor_end, ...detail }));
    return { status: "ok", matches, cursor_start, cursor_end, metadata: { _jupyter_types_experimental: types } };
  }

  #interrupt(): void {
    this.#engine?.then((engine) => engine.interrupt()).catch(() => undefined);
  }

  /** Publishes what a cell, or the answer to a comm, makes visible. */
  #publisher(message: Message, count: number = this.#count): (event: CellEvent) => void {
    this.#last = message;
    return ({ type, ...content }) =>
      this.#publish(type, type === "execute_result" ? { ...content, execution_count: count } : content, message);
  }

  #publish(type: string, content: object, parent: Message | undefined, topic: string = type): void {
    this.#sockets.iopub.send(this.#wire.encode(type, content, parent, [Buffer.from(topic)]));
  }

  #reply(channel: Channel, to: Message, content: Reply): void {
    const type = to.header.msg_type.replace(/_request$/, "_reply");
    channel.outbox.send(this.#wire.encode(type, content, to, to.identities));
  }
}

function kernelInfo(): Reply {
  const version = packageVersion(path.join(PACKAGE_ROOT, "package.json"));
  return {
    status: "ok",
    protocol_version: PROTOCOL_VERSION,
    implementation: "tweedie",
    implementation_version: version,
    language_info: LANGUAGE_INFO,
    banner: `tweedie ${version}: TypeScript ${TYPESCRIPT_VERSION} on Node.js ${process.version}; %magics lists the magics`,
    debugger: false,
    help_links: [{ text: "TypeScript handbook", url: "https://www.typescriptlang.org/docs/handbook/intro.html" }],
  };
}

function portsOf({ shell_port, iopub_port, stdin_port, hb_port, control_port }: ConnectionInfo): Reply {
  return { shell_port, iopub_port, stdin_port, hb_port, control_port };
}

function codeOf({ code }: Content): string {
  if (typeof code === "string") return code;
  throw new TypeError(`expected content.code to be text, got ${JSON.stringify(code) ?? "nothing"}`);
}

/** Jupyter counts cursor positions in code points, JavaScript in UTF-16 units. */
function codeAndCursor(content: Content): { code: string; cursor: number } {
  const code = codeOf(content);
  const points = typeof content.cursor_pos === "number" ? Math.max(0, content.cursor_pos) : Number.POSITIVE_INFINITY;
  return { code, cursor: [...code].slice(0, points).join("").length };
}

function codePoints(code: string, offset: number): number {
  return [...code.slice(0, offset)].length;
}

function commMessage(type: CommMessage["type"], { comm_id, target_name, data }: Content): CommMessage {
  return {
    type,
    comm_id: String(comm_id),
    ...(target_name !== undefined && { target_name: String(target_name) }),
    data: (typeof data === "object" && data ? data : {}) as Record<string, unknown>,
  };
}

/** Jupyter's server names a kernel's connection file after the kernel. */
function kernelIdOf(connectionFile: string): string | undefined {
  return /^kernel-([\w-]+)\.json$/.exec(path.basename(connectionFile))?.[1];
}
