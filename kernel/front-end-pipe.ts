import { writeSync } from "node:fs";
import type { Readable } from "node:stream";
import type { EngineMessage } from "./messages.js";

/** File descriptor, in the engine process, of the pipe to its front end. */
export const FRONT_END_PIPE = 5;

const NEWLINE = 10;

/** Tells the front end something, and returns when it is out of this process's hands.
 *
 * So a cell that prints faster than the front end reads has to wait instead of filling the memory, an interrupt is not
 * answered behind a backlog, and a crash loses nothing that was said before it. */
export function tellFrontEnd(message: EngineMessage): void {
  const line = Buffer.from(`${JSON.stringify(message)}\n`);
  try {
    for (let sent = 0; sent < line.length; ) sent += writeSync(FRONT_END_PIPE, line, sent);
  } catch {
    // Nobody is there any more.
    process.exit();
  }
}

/** Reads what `tellFrontEnd` wrote, one call per message. */
export function listenToEngine(pipe: Readable, receive: (message: EngineMessage) => void): void {
  let parts: Buffer[] = [];
  pipe.on("data", (data: Buffer) => {
    let chunk = data;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE)) {
      const line = Buffer.concat([...parts, chunk.subarray(0, end)]).toString();
      parts = [];
      chunk = chunk.subarray(end + 1);
      receive(JSON.parse(line) as EngineMessage);
    }
    if (chunk.length > 0) parts.push(chunk);
  });
}
