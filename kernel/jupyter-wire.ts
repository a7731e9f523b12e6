import { createHmac, randomUUID, timingSafeEqual } from "node:crypto";

/** Contents of a Jupyter connection file. */
export interface ConnectionInfo {
  readonly transport: "tcp";
  readonly ip: string;
  readonly key: string;
  readonly signature_scheme: string;
  readonly shell_port: number;
  readonly control_port: number;
  readonly iopub_port: number;
  readonly stdin_port: number;
  readonly hb_port: number;
}

export interface Header {
  readonly msg_id: string;
  readonly msg_type: string;
  readonly session: string;
  readonly username: string;
  readonly date: string;
  readonly version: string;
}

export interface Message {
  /** Routing frames of the client, to be repeated in the reply. */
  readonly identities: readonly Uint8Array[];
  readonly header: Header;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly content: Readonly<Record<string, unknown>>;
}

/** Why a message is dropped. */
export type Refusal = "malformed" | "forged" | "replayed";

export const PROTOCOL_VERSION = "5.4";

const DELIMITER = Buffer.from("<IDS|MSG>");
/** Signatures remembered in order to drop replayed messages, as Jupyter itself does. */
const MAX_REMEMBERED = 1 << 16;

/** Signs, verifies and parses messages of the Jupyter wire protocol.
 * @see https://jupyter-client.readthedocs.io/en/stable/messaging.html#the-wire-protocol */
export class JupyterWire {
  readonly #key: string;
  readonly #session = randomUUID();
  readonly #seen = new Set<string>();

  /** @param key from the connection file; an empty key means messages are not signed */
  constructor(key: string) {
    this.#key = key;
  }

  /** @returns why the message is to be dropped, where it is none of this kernel's clients' */
  decode(frames: readonly Uint8Array[]): Message | Refusal {
    const at = frames.findIndex((frame) => DELIMITER.equals(frame));
    const [signature, ...parts] = at < 0 ? [] : frames.slice(at + 1).map((frame) => Buffer.from(frame));
    if (!signature || parts.length < 4) return "malformed";
    if (this.#key !== "") {
      // Buffers that follow the four parts are not signed.
      const expected = Buffer.from(this.#sign(parts.slice(0, 4)));
      if (signature.length !== expected.length || !timingSafeEqual(signature, expected)) return "forged";
      // Not by message id: jupyter_client's managers and clients number their messages alike.
      if (this.#seen.has(signature.toString("latin1"))) return "replayed";
      this.#remember(signature.toString("latin1"));
    }
    try {
      const [header, , metadata, content] = parts.slice(0, 4).map((part) => JSON.parse(part.toString()) as unknown);
      if (!isHeader(header) || !isRecord(metadata) || !isRecord(content)) return "malformed";
      return { identities: frames.slice(0, at), header, metadata, content };
    } catch {
      return "malformed";
    }
  }

  encode(type: string, content: object, parent: Message | undefined, identities: readonly Uint8Array[] = []): Uint8Array[] {
    const header: Header = {
      msg_id: randomUUID(),
      msg_type: type,
      session: this.#session,
      username: "kernel",
      date: new Date().toISOString(),
      version: PROTOCOL_VERSION,
    };
    const parts = [header, parent?.header ?? {}, {}, content].map((part) => Buffer.from(JSON.stringify(part)));
    return [...identities, DELIMITER, Buffer.from(this.#key === "" ? "" : this.#sign(parts)), ...parts];
  }

  #sign(parts: readonly Uint8Array[]): string {
    const hmac = createHmac("sha256", this.#key);
    for (const part of parts) hmac.update(part);
    return hmac.digest("hex");
  }

  #remember(signature: string): void {
    this.#seen.add(signature);
    if (this.#seen.size > MAX_REMEMBERED) this.#seen.delete(this.#seen.values().next().value!);
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isHeader(value: unknown): value is Header {
  return isRecord(value) && typeof value.msg_id === "string" && typeof value.msg_type === "string";
}
