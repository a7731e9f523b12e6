import { type ChildProcess, spawn } from "node:child_process";
import { createHmac, randomUUID } from "node:crypto";
import { writeFileSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import * as zmq from "zeromq";
import { CLI } from "./compiled.js";

const DELIMITER = "<IDS|MSG>";

export interface Received {
  readonly channel: "shell" | "control" | "stdin" | "iopub";
  readonly type: string;
  readonly parent: string | undefined;
  // biome-ignore lint/suspicious/noExplicitAny: contents differ by message type, and the tests look into all of them
  readonly content: any;
  readonly validSignature: boolean;
}

/** A Jupyter client that signs and verifies by itself, so that the server is not tested against its own code. */
export class JupyterClient {
  readonly received: Received[] = [];
  readonly key = "secret key";
  readonly process: ChildProcess;
  readonly ports: readonly number[];
  readonly #session = randomUUID();
  readonly #sockets: { shell: zmq.Dealer; control: zmq.Dealer; stdin: zmq.Dealer; iopub: zmq.Subscriber };
  readonly #waiting = new Set<() => void>();
  #ended = false;
  /** What the kernel has said about itself. */
  stderr = "";

  private constructor(process: ChildProcess, ports: readonly number[]) {
    this.process = process;
    this.ports = ports;
    process.stderr!.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
    });
    // Its last messages may still be on their way.
    process.once("exit", () =>
      setTimeout(() => {
        this.#ended = true;
        this.#wake();
      }, 2_000),
    );
    // A kernel asks on stdin whom it has heard on shell.
    const routingId = this.#session;
    this.#sockets = {
      shell: new zmq.Dealer({ linger: 0, routingId }),
      control: new zmq.Dealer({ linger: 0, routingId }),
      stdin: new zmq.Dealer({ linger: 0, routingId }),
      iopub: new zmq.Subscriber({ linger: 0, receiveHighWaterMark: 0 }),
    };
    this.#sockets.iopub.subscribe();
    for (const [index, name] of (["shell", "control", "iopub", "stdin"] as const).entries()) {
      this.#sockets[name].connect(`tcp://127.0.0.1:${ports[index]}`);
      void this.#receive(name);
    }
  }

  /** Starts a kernel in `folder`.
   * @param command what starts it, given its connection file */
  static async start(
    folder: string,
    command: (connectionFile: string) => string[] = (file) => [CLI, "kernel", file],
  ): Promise<JupyterClient> {
    const ports = await Promise.all(Array.from({ length: 5 }, freePort));
    const file = path.join(folder, `connection-${randomUUID()}.json`);
    const info = {
      transport: "tcp",
      ip: "127.0.0.1",
      key: "secret key",
      signature_scheme: "hmac-sha256",
      shell_port: ports[0],
      control_port: ports[1],
      iopub_port: ports[2],
      stdin_port: ports[3],
      hb_port: ports[4],
    };
    writeFileSync(file, JSON.stringify(info));
    const child = spawn(process.execPath, command(file), { cwd: folder, stdio: ["ignore", "inherit", "pipe"] });
    const client = new JupyterClient(child, ports);
    // A subscription takes a moment to arrive; until then what is published is lost.
    for (;;) {
      const id = await client.send("shell", "kernel_info_request", {});
      await client.wait((message) => message.type === "kernel_info_reply" && message.parent === id);
      if (client.received.some((message) => message.channel === "iopub")) break;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return client;
  }

  async send(channel: "shell" | "control" | "stdin", type: string, content: object, key: string = this.key): Promise<string> {
    const { id, frames } = this.pack(type, content, key);
    await this.#sockets[channel].send(frames);
    return id;
  }

  async sendFrames(frames: (string | Uint8Array)[]): Promise<void> {
    await this.#sockets.shell.send(frames);
  }

  pack(type: string, content: object, key: string = this.key): { id: string; frames: string[] } {
    const id = randomUUID();
    const header = {
      msg_id: id,
      msg_type: type,
      session: this.#session,
      username: "test",
      date: new Date().toISOString(),
      version: "5.3",
    };
    const parts = [header, {}, {}, content].map((part) => JSON.stringify(part));
    return { id, frames: this.signed(parts, key) };
  }

  signed(parts: string[], key: string = this.key): string[] {
    return [DELIMITER, sign(key, parts), ...parts];
  }

  async request(channel: "shell" | "control", type: string, content: object = {}): Promise<Received> {
    const id = await this.send(channel, type, content);
    return this.wait((message) => message.parent === id && message.type === type.replace("_request", "_reply"));
  }

  /** Sends a cell and waits until all of it has been answered. */
  async execute(code: string, options: object = {}): Promise<{ reply: Received; published: Received[] }> {
    const id = await this.send("shell", "execute_request", executeContent(code, options));
    return this.finished(id);
  }

  async finished(id: string): Promise<{ reply: Received; published: Received[] }> {
    const reply = await this.wait((message) => message.parent === id && message.type === "execute_reply");
    await this.wait(
      (message) => message.parent === id && message.type === "status" && message.content.execution_state === "idle",
    );
    return { reply, published: this.received.filter((message) => message.channel === "iopub" && message.parent === id) };
  }

  async wait(condition: (message: Received) => boolean): Promise<Received> {
    for (;;) {
      const found = this.received.find(condition);
      if (found) return found;
      if (this.#ended) throw new Error(`the kernel has ended with ${this.process.exitCode ?? this.process.signalCode}`);
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  async shutdown(content: object = { restart: false }): Promise<number | null> {
    const exited = new Promise<number | null>((resolve) => this.process.once("exit", resolve));
    await this.request("control", "shutdown_request", content);
    const code = await exited;
    for (const socket of Object.values(this.#sockets)) socket.close();
    return code;
  }

  async #receive(channel: Received["channel"]): Promise<void> {
    for await (const frames of this.#sockets[channel]) {
      const texts = frames.map((frame) => frame.toString());
      const [signature, ...parts] = texts.slice(texts.indexOf(DELIMITER) + 1);
      const [header, parent, , content] = parts.map((part) => JSON.parse(part));
      const validSignature = signature === sign(this.key, parts);
      this.received.push({ channel, type: header.msg_type, parent: parent.msg_id, content, validSignature });
      this.#wake();
    }
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }
}

export function executeContent(code: string, options: object = {}): object {
  return { code, silent: false, store_history: true, user_expressions: {}, allow_stdin: false, stop_on_error: true, ...options };
}

function sign(key: string, parts: readonly string[]): string {
  const hmac = createHmac("sha256", key);
  for (const part of parts) hmac.update(part);
  return hmac.digest("hex");
}

export function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as net.AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
