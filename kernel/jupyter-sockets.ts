import * as zmq from "zeromq";
import type { ConnectionInfo } from "./jupyter-wire.js";

/** Sends in order: a zeromq socket accepts only one message at a time. */
export class Outbox {
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

/** A socket on which clients ask. */
export interface Channel {
  readonly socket: zmq.Router;
  readonly outbox: Outbox;
}

/** The five sockets of a kernel. */
export interface Sockets {
  readonly shell: Channel;
  readonly control: Channel;
  readonly stdin: Channel;
  readonly iopub: Outbox;
  /** Topics that clients subscribe to on iopub, as they do. */
  readonly subscriptions: AsyncIterable<string>;
  close(): void;
}

/** Listens on the addresses of a connection file; the heartbeat answers by itself.
 * @throws RangeError for an address that other machines could reach */
export async function openSockets(connection: ConnectionInfo): Promise<Sockets> {
  if (!/^(127\.\d+\.\d+\.\d+|localhost|::1)$/.test(connection.ip)) {
    throw new RangeError(`serve: expected a loopback address, got ${connection.ip}; a kernel runs any code it is sent`);
  }
  // Without a limit nothing is dropped when a cell prints faster than a client reads.
  const iopub = new zmq.XPublisher({ sendHighWaterMark: 0, linger: 1_000, verbosity: "allSubs" });
  const heartbeat = new zmq.Reply();
  const [shell, control, stdin] = [new zmq.Router(), new zmq.Router(), new zmq.Router()];
  const host = connection.ip.includes(":") ? `[${connection.ip}]` : connection.ip;
  const { shell_port, control_port, stdin_port, iopub_port, hb_port } = connection;
  const ports = [shell_port, control_port, stdin_port, iopub_port, hb_port];
  const all = [shell, control, stdin, iopub, heartbeat];
  await Promise.all(all.map((socket, index) => socket.bind(`${connection.transport}://${host}:${ports[index]}`)));
  void (async () => {
    for await (const frames of heartbeat) await heartbeat.send(frames);
  })();
  const channel = (socket: zmq.Router): Channel => ({ socket, outbox: new Outbox(socket) });
  return {
    shell: channel(shell),
    control: channel(control),
    stdin: channel(stdin),
    iopub: new Outbox(iopub),
    subscriptions: subscriptionsOf(iopub),
    close: () => {
      for (const socket of all) socket.close();
    },
  };
}

/** A client's subscription arrives as a message of its own: a one, then the topic. */
async function* subscriptionsOf(iopub: zmq.XPublisher): AsyncGenerator<string> {
  for await (const [message] of iopub) if (message?.[0] === 1) yield message.subarray(1).toString();
}
