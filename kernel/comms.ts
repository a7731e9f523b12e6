import type { CommInfo, CommMessage } from "./messages.js";

type Data = Record<string, unknown>;

/** The kernel's end of a comm: a line to code in the page, such as a widget, that stays open across cells. */
export interface Comm {
  readonly id: string;
  readonly target: string;
  /** Called with what the page sends; what it shows belongs to that message. */
  onMessage: ((data: Data) => void | Promise<void>) | undefined;
  /** Called when the page has closed it. */
  onClose: ((data: Data) => void | Promise<void>) | undefined;
  send(data: Data): void;
  close(data?: Data): void;
}

export type CommTarget = (comm: Comm, data: Data) => void | Promise<void>;

/** The open comms of the engine. */
export class Comms {
  readonly #emit: (message: CommMessage) => void;
  readonly #targets = new Map<string, CommTarget>();
  readonly #open = new Map<string, Comm>();

  /** @param emit sends to the page */
  constructor(emit: (message: CommMessage) => void) {
    this.#emit = emit;
  }

  /** Says what happens when the page opens a comm with this target; a target of the same name is replaced. */
  register(target: string, onOpen: CommTarget): void {
    this.#targets.set(target, onOpen);
  }

  /** Opens a comm to what the page has registered under `target`. */
  open(target: string, data: Data = {}): Comm {
    const comm = this.#add(crypto.randomUUID(), target);
    this.#emit({ type: "comm_open", comm_id: comm.id, target_name: target, data });
    return comm;
  }

  /** Open comms, all or those of one target. */
  info(target?: string): CommInfo {
    const comms = [...this.#open.values()].filter((comm) => target === undefined || comm.target === target);
    return Object.fromEntries(comms.map((comm) => [comm.id, { target_name: comm.target }]));
  }

  /** Passes on what the page said. A comm that nobody here knows is closed. */
  async receive({ type, comm_id, target_name = "", data }: CommMessage): Promise<void> {
    const comm = this.#open.get(comm_id);
    if (type === "comm_open") {
      const onOpen = this.#targets.get(target_name);
      if (onOpen) await onOpen(this.#add(comm_id, target_name), data);
      else this.#emit({ type: "comm_close", comm_id, data: {} });
    } else if (type === "comm_msg") {
      if (comm) await comm.onMessage?.(data);
      else this.#emit({ type: "comm_close", comm_id, data: {} });
    } else if (this.#open.delete(comm_id)) {
      await comm?.onClose?.(data);
    }
  }

  #add(id: string, target: string): Comm {
    const comm: Comm = {
      id,
      target,
      onMessage: undefined,
      onClose: undefined,
      send: (data) => {
        if (!this.#open.has(id)) throw new Error(`Comm.send: comm ${id} (${target}) is closed; open another one`);
        this.#emit({ type: "comm_msg", comm_id: id, data });
      },
      close: (data = {}) => {
        if (this.#open.delete(id)) this.#emit({ type: "comm_close", comm_id: id, data });
      },
    };
    this.#open.set(id, comm);
    return comm;
  }
}
