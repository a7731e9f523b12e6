import { readFileSync } from "node:fs";
import path from "node:path";
import * as zmq from "zeromq";
import { EngineProcess } from "./engine-process.js";
import { type ConnectionInfo, JupyterWire, type Message, PROTOCOL_VERSION } from "./jupyter-wire.js";
import { LANGUAGE_INFO, TYPESCRIPT_VERSION } from "./language-info.js";
import type { CellError, CellEvent } from "./messages.js";
import { PACKAGE_ROOT, packageVersion } from "./package-root.js";

/** Sends in order: a zeromq socket accepts only one message at a time. */
class Outbox {
  readonly #socket: { send(frames: Uint8Array[]): Promise<void> };
  #tail: Promise<void> = Promise.resolve();

  constructor(socket: { send(frames: Uint8Array[]): Promise<void> }) {
    this.#socket = socket;
  }

  send(frames: Uint8Array[]): void {
    this.#tail = this.#tail.then(() => this.#socket.send(frames)).catch(() => undefined);
  }

  drained(): Promise<void> {
    return this.#tail;
  }
}

type Reply = Record<string, unknown>;

interface Channel {
  readonly socket: zmq.Router;
  readonly outbox: Outbox;
}

interface Sockets {
  readonly shell: Channel;
  readonly control: Channel;
  readonly iopub: Outbox;
  readonly all: readonly zmq.Socket[];
}

/** Jupyter front end of the cell engine: speaks the messaging protocol over ZeroMQ, runs cells in an engine process.
 *
 * This process only passes messages, so it answers while a cell computes; a cell that kills its engine gets an error
 * and the next cell a fresh engine. */
export class JupyterServer {
  readonly #wire: JupyterWire;
  readonly #sockets: Sockets;
  readonly #directory: string;
  readonly #history: [session: number, line: number, input: string][] = [];
  readonly #queue: { readonly channel: Channel; readonly message: Message }[] = [];
  #engine: Promise<EngineProcess>;
  #draining = false;
  #count = 0;
  #closed: () => void = () => undefined;

  private constructor(connection: ConnectionInfo, sockets: Sockets, directory: string) {
    this.#wire = new JupyterWire(connection.key);
    this.#sockets = sockets;
    this.#directory = directory;
    this.#engine = this.#startEngine();
  }

  /** Serves one kernel until a client asks it to shut down.
   * @param connectionFile path of the JSON file that Jupyter writes for a kernel
   * @throws RangeError if the file asks for an address that other machines could reach */
  static async serve(connectionFile: string, directory: string = process.cwd()): Promise<void> {
    const connection = JSON.parse(readFileSync(connectionFile, "utf8")) as ConnectionInfo;
    if (!/^(127\.\d+\.\d+\.\d+|localhost|::1)$/.test(connection.ip)) {
      throw new RangeError(`serve: expected a loopback address, got ${connection.ip}; a kernel runs any code it is sent`);
    }
    if (connection.signature_scheme && connection.signature_scheme !== "hmac-sha256") {
      throw new RangeError(`serve: expected signature scheme hmac-sha256, got ${connection.signature_scheme}`);
    }
    const server = new JupyterServer(connection, await openSockets(connection), directory);
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
    this.#publish("status", { execution_state: "starting" }, undefined);
    void this.#receive(this.#sockets.shell, (message) => this.#enqueue(this.#sockets.shell, message));
    void this.#receive(this.#sockets.control, (message) => this.#handle(this.#sockets.control, message));
    await closed;
    await Promise.all(
      [this.#sockets.control.outbox, this.#sockets.shell.outbox, this.#sockets.iopub].map((box) => box.drained()),
    );
    await this.#engine.then((engine) => engine.stop()).catch(() => undefined);
    for (const socket of this.#sockets.all) socket.close();
  }

  async #receive(channel: Channel, handle: (message: Message) => void | Promise<void>): Promise<void> {
    for await (const frames of channel.socket) {
      const message = this.#wire.decode(frames);
      if (!message) process.stderr.write("tweedie: dropped a message that was not signed with this kernel's key\n");
      else void handle(message);
    }
  }

  /** Shell requests are answered in order, one after the other; shutdown does not wait for a busy cell. */
  #enqueue(channel: Channel, message: Message): void {
    if (message.header.msg_type === "shutdown_request") return void this.#handle(channel, message);
    this.#queue.push({ channel, message });
    if (!this.#draining) void this.#drain();
  }

  async #drain(): Promise<void> {
    this.#draining = true;
    for (let next = this.#queue.shift(); next; next = this.#queue.shift()) await this.#handle(next.channel, next.message);
    this.#draining = false;
  }

  async #handle(channel: Channel, message: Message): Promise<void> {
    const type = message.header.msg_type;
    this.#publish("status", { execution_state: "busy" }, message);
    try {
      const reply = await this.#answer(type, message);
      if (reply) channel.outbox.send(this.#wire.encode(type.replace(/_request$/, "_reply"), reply, message, message.identities));
    } catch (error) {
      process.stderr.write(`tweedie: ${type} failed: ${error instanceof Error ? error.stack : error}\n`);
      const content = { status: "error", ename: "KernelError", evalue: String(error), traceback: [String(error)] };
      channel.outbox.send(this.#wire.encode(type.replace(/_request$/, "_reply"), content, message, message.identities));
    } finally {
      this.#publish("status", { execution_state: "idle" }, message);
    }
    if (type === "shutdown_request") this.#closed();
  }

  async #answer(type: string, message: Message): Promise<Reply | undefined> {
    const { content } = message;
    switch (type) {
      case "kernel_info_request":
        return kernelInfo();
      case "execute_request":
        return this.#execute(message);
      case "complete_request": {
        const { code, cursor } = codeAndCursor(content);
        const { matches, start, end } = await (await this.#engine).complete(code, cursor);
        return {
          status: "ok",
          matches,
          cursor_start: codePoints(code, start),
          cursor_end: codePoints(code, end),
          metadata: {},
        };
      }
      case "inspect_request": {
        const { code, cursor } = codeAndCursor(content);
        const text = await (await this.#engine).inspect(code, cursor);
        return { status: "ok", found: text !== undefined, data: text === undefined ? {} : { "text/plain": text }, metadata: {} };
      }
      case "is_complete_request":
        return { ...(await (await this.#engine).isComplete(String(content.code))) };
      case "history_request":
        return { status: "ok", history: this.#recall(content) };
      case "comm_info_request":
        return { status: "ok", comms: {} };
      case "comm_open":
        // Nobody here listens to comms yet; closing tells the client so.
        this.#publish("comm_close", { comm_id: content.comm_id, data: {} }, message);
        return undefined;
      case "interrupt_request":
        this.#interrupt();
        return { status: "ok" };
      case "shutdown_request":
        return { status: "ok", restart: content.restart === true };
      default:
        return undefined;
    }
  }

  #startEngine(): Promise<EngineProcess> {
    const engine = EngineProcess.start(this.#directory);
    // A failure is told to each request that needs the engine.
    engine.catch(() => undefined);
    return engine;
  }

  async #execute(message: Message): Promise<Reply> {
    const {
      code,
      silent = false,
      store_history = !silent,
      stop_on_error = true,
      user_expressions,
    } = message.content as {
      code: string;
      silent?: boolean;
      store_history?: boolean;
      stop_on_error?: boolean;
      user_expressions?: Record<string, string>;
    };
    if (store_history && !silent) this.#history.push([0, ++this.#count, code]);
    const count = this.#count;
    if (!silent) this.#publish("execute_input", { code, execution_count: count }, message);

    let failure: CellError | undefined;
    const onEvent = (event: CellEvent): void => {
      const { type, ...content } = event;
      if (type === "error") failure = content as CellError;
      if (silent && type !== "error") return;
      this.#publish(type, type === "execute_result" ? { ...content, execution_count: count } : content, message);
    };
    const engine = await this.#engine;
    const cellId = typeof message.metadata.cellId === "string" ? message.metadata.cellId : undefined;
    const { ok, died } = await engine.execute(code, { label: `cell[${count}]`, onEvent, silent, cellId });
    if (died) this.#engine = this.#startEngine();
    if (ok) {
      return {
        status: "ok",
        execution_count: count,
        payload: [],
        user_expressions: await this.#evaluateAll(engine, user_expressions),
      };
    }
    if (stop_on_error) await this.#abortQueued();
    return { status: "error", execution_count: count, ...failure };
  }

  /** A failed cell takes the cells queued behind it along, as Jupyter expects. */
  async #abortQueued(): Promise<void> {
    // Requests that were sent together with the failed one may still be on their way out of the socket.
    await new Promise((resolve) => setTimeout(resolve, 20));
    const aborted = this.#queue.filter(({ message }) => message.header.msg_type === "execute_request");
    const kept = this.#queue.filter(({ message }) => message.header.msg_type !== "execute_request");
    this.#queue.splice(0, this.#queue.length, ...kept);
    for (const { channel, message } of aborted) {
      this.#publish("status", { execution_state: "busy" }, message);
      const content = { status: "aborted", execution_count: this.#count };
      channel.outbox.send(this.#wire.encode("execute_reply", content, message, message.identities));
      this.#publish("status", { execution_state: "idle" }, message);
    }
  }

  async #evaluateAll(engine: EngineProcess, expressions: Record<string, string> = {}): Promise<Reply> {
    const values: Reply = {};
    for (const [name, code] of Object.entries(expressions)) {
      values[name] = { status: "ok", data: {}, metadata: {} };
      const onEvent = (event: CellEvent): void => {
        const { type, ...content } = event;
        if (type === "execute_result") values[name] = { status: "ok", ...content };
        if (type === "error") values[name] = { status: "error", ...content };
      };
      await engine.execute(code, { label: "expression", onEvent });
    }
    return values;
  }

  #recall({ hist_access_type, n, start = 0, stop, output = false, pattern }: Readonly<Record<string, unknown>>): unknown[] {
    let entries = this.#history;
    if (hist_access_type === "range") {
      const end = typeof stop === "number" ? stop : Number.POSITIVE_INFINITY;
      entries = entries.filter(([, line]) => line >= Number(start) && line < end);
    }
    if (hist_access_type === "search" && typeof pattern === "string") {
      const glob = new RegExp(
        `^${pattern
          .replace(/[\\^$+.()|{}[\]]/g, "\\$&")
          .replaceAll("*", "[^]*")
          .replaceAll("?", "[^]")}$`,
      );
      entries = entries.filter(([, , input]) => glob.test(input));
    }
    if (hist_access_type !== "range" && typeof n === "number") entries = entries.slice(-n);
    return output ? entries.map(([session, line, input]) => [session, line, [input, null]]) : entries;
  }

  #interrupt(): void {
    void this.#engine.then((engine) => engine.interrupt()).catch(() => undefined);
  }

  #publish(type: string, content: object, parent: Message | undefined): void {
    this.#sockets.iopub.send(this.#wire.encode(type, content, parent, [Buffer.from(type)]));
  }
}

async function openSockets(connection: ConnectionInfo): Promise<Sockets> {
  const shell = new zmq.Router();
  const control = new zmq.Router();
  const stdin = new zmq.Router();
  // Without a limit nothing is dropped when a cell prints faster than a client reads.
  const iopub = new zmq.Publisher({ sendHighWaterMark: 0, linger: 1_000 });
  const heartbeat = new zmq.Reply();
  const address = (port: number): string =>
    `${connection.transport}://${connection.ip.includes(":") ? `[${connection.ip}]` : connection.ip}:${port}`;
  await Promise.all([
    shell.bind(address(connection.shell_port)),
    control.bind(address(connection.control_port)),
    iopub.bind(address(connection.iopub_port)),
    stdin.bind(address(connection.stdin_port)),
    heartbeat.bind(address(connection.hb_port)),
  ]);
  void (async () => {
    for await (const frames of heartbeat) await heartbeat.send(frames);
  })();
  return {
    shell: { socket: shell, outbox: new Outbox(shell) },
    control: { socket: control, outbox: new Outbox(control) },
    iopub: new Outbox(iopub),
    all: [shell, control, stdin, iopub, heartbeat],
  };
}

function kernelInfo(): Reply {
  const version = packageVersion(path.join(PACKAGE_ROOT, "package.json"));
  return {
    status: "ok",
    protocol_version: PROTOCOL_VERSION,
    implementation: "tweedie",
    implementation_version: version,
    language_info: LANGUAGE_INFO,
    banner: `tweedie ${version}: TypeScript ${TYPESCRIPT_VERSION} on Node.js ${process.version}`,
    help_links: [{ text: "TypeScript handbook", url: "https://www.typescriptlang.org/docs/handbook/intro.html" }],
  };
}

/** Jupyter counts cursor positions in code points, JavaScript in UTF-16 units. */
function codeAndCursor(content: Readonly<Record<string, unknown>>): { code: string; cursor: number } {
  const code = String(content.code ?? "");
  const points = typeof content.cursor_pos === "number" ? content.cursor_pos : Number.POSITIVE_INFINITY;
  return { code, cursor: [...code].slice(0, points).join("").length };
}

function codePoints(code: string, offset: number): number {
  return [...code.slice(0, offset)].length;
}
