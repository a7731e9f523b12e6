/** Entry of the engine process: a cell engine that a front end drives over Node's IPC channel (see EngineProcess). */
import { Worker } from "node:worker_threads";
import { CellEngine } from "./cell-engine.js";
import type { EngineMessage, EngineRequest } from "./messages.js";
import { StreamCapture } from "./stream-capture.js";
import { HANDLED, type Interrupt, PROTECTED, type WatchdogData } from "./watchdog.js";

/** File descriptor of the interrupt pipe, as EngineProcess lays it out. */
const INTERRUPT_PIPE = 4;

const send = (message: EngineMessage): void => void process.send?.(message);

/** Shared with the watchdog. */
const state = new Int32Array(new SharedArrayBuffer(8));

/** Keeps the watchdog from terminating what is not a cell's own code. */
function uninterruptible<T>(work: () => T): T {
  Atomics.add(state, PROTECTED, 1);
  try {
    return work();
  } finally {
    Atomics.sub(state, PROTECTED, 1);
  }
}

const engine = new CellEngine({
  emit: (id, event) =>
    uninterruptible(() => {
      if (event.type !== "stream") streams.flush();
      send({ op: "event", id, event });
    }),
  uninterruptible,
});
const streams = new StreamCapture((name, text) => engine.write(name, text));

process.on("disconnect", () => process.exit());
if (!process.connected) process.exit();
process.on("exit", () => streams.flush());
process.on("uncaughtException", (error) => engine.reportUncaught(error));
process.on("unhandledRejection", (error) => engine.reportUncaught(error));

const workerData: WatchdogData = { pipe: INTERRUPT_PIPE, state };
const watchdog = new Worker(new URL("./watchdog.js", import.meta.url), { workerData, execArgv: [] });
watchdog.on("message", ({ number, cell, reason }: Interrupt) =>
  uninterruptible(() => {
    if (number <= Atomics.load(state, HANDLED)) return;
    // A cell may be terminated when it has just ended, and the news of its end with it.
    if (!engine.interrupt(cell, reason || undefined)) send({ op: "executed", id: cell, ok: false });
    Atomics.store(state, HANDLED, number);
  }),
);
watchdog.unref();

process.on("message", (request: EngineRequest) => uninterruptible(() => void answer(request)));
send({ op: "ready" });

async function answer(request: EngineRequest): Promise<void> {
  if (request.op === "execute") {
    const ok = await engine.execute(request);
    uninterruptible(() => {
      streams.flush();
      send({ op: "executed", id: request.id, ok });
    });
    return;
  }
  send({ op: "answer", id: request.id, value: attempt(() => query(request)) });
}

function query(request: Exclude<EngineRequest, { op: "execute" }>): unknown {
  switch (request.op) {
    case "complete":
      return engine.complete(request.code, request.cursor);
    case "inspect":
      return engine.inspect(request.code, request.cursor);
    case "isComplete":
      return engine.isComplete(request.code);
  }
}

/** Completion looks at unfinished code; where the compiler stumbles over it there is simply nothing to offer. */
function attempt(query: () => unknown): unknown {
  try {
    return query();
  } catch {
    return undefined;
  }
}
