/** Entry of the engine process: a cell engine that a front end drives over Node's IPC channel (see EngineProcess). */
import { Worker } from "node:worker_threads";
import { watchTasks } from "../lib/notebook/tasks.js";
import { forgetTerminated } from "./async-bookkeeping.js";
import { CellEngine } from "./cell-engine.js";
import { tellFrontEnd } from "./front-end-pipe.js";
import type { EngineRequest } from "./messages.js";
import { StreamCapture } from "./stream-capture.js";
import { BUSY, HANDLED, type Interrupt, SENT, STATES, TERMINATED, WANTED, type WatchdogData } from "./watchdog.js";

/** File descriptor of the interrupt pipe, as EngineProcess lays it out. */
const INTERRUPT_PIPE = 4;

/** Shared with the watchdog. */
const state = new Int32Array(new SharedArrayBuffer(4 * STATES));
let depth = 0;

/** Keeps the watchdog from terminating what is not a cell's own code. */
function uninterruptible<T>(work: () => T): T {
  if (depth === 0) takeTurn();
  depth++;
  try {
    return work();
  } finally {
    if (--depth === 0) endTurn();
  }
}

/** Does not come back where the watchdog was first. */
function takeTurn(): void {
  for (Atomics.store(state, BUSY, 1); Atomics.load(state, WANTED) === 1; Atomics.store(state, BUSY, 1)) {
    endTurn();
    Atomics.wait(state, WANTED, 1);
  }
}

function endTurn(): void {
  Atomics.store(state, BUSY, 0);
  Atomics.notify(state, BUSY);
}

const engine: CellEngine = new CellEngine({
  emit: (id, event) =>
    uninterruptible(() => {
      if (event.type !== "stream") streams.flush();
      tellFrontEnd({ op: "event", id, event });
    }),
  ended: (id, ok) => {
    streams.flush();
    tellFrontEnd({ op: "executed", id, ok });
  },
  ask: (id, question, about) =>
    uninterruptible(() => {
      streams.flush();
      tellFrontEnd({ op: "input", id, question, ...about });
    }),
  limit: (id, ms, always) => uninterruptible(() => tellFrontEnd({ op: "limit", id, ms, always })),
  uninterruptible,
  kernelId: process.argv[2],
  interruptPending: () => Atomics.load(state, SENT) > Atomics.load(state, HANDLED),
});
watchTasks();
const streams = new StreamCapture({
  owner: () => engine.owner,
  write: ({ owner, name }, text) => {
    if (owner !== undefined)
      uninterruptible(() => tellFrontEnd({ op: "event", id: owner, event: { type: "stream", name, text } }));
  },
});

process.on("disconnect", () => process.exit());
if (!process.connected) process.exit();
process.on("exit", () => streams.flush());
process.on("uncaughtException", (error) => engine.reportUncaught(error));
process.on("unhandledRejection", (error) => engine.reportUncaught(error));

const workerData: WatchdogData = { pipe: INTERRUPT_PIPE, state };
const watchdog = new Worker(new URL("./watchdog.js", import.meta.url), { workerData, execArgv: [] });
watchdog.on("message", ({ number, cell, reason }: Interrupt) =>
  uninterruptible(() => {
    forgetTerminated();
    if (number <= Atomics.load(state, HANDLED)) return;
    engine.interrupt(cell, { terminated: Atomics.load(state, TERMINATED) >= number, ...(reason && { reason }) });
    Atomics.store(state, HANDLED, number);
  }),
);
watchdog.unref();

process.on("message", (request: EngineRequest) => uninterruptible(() => answer(request)));
tellFrontEnd({ op: "ready" });

function answer(request: EngineRequest): void {
  switch (request.op) {
    case "execute":
      engine.execute(request);
      break;
    case "comm":
      engine.receiveComm(request.id, request.message);
      break;
    case "input":
      engine.answerInput(request.id, request.value);
      break;
    default:
      tellFrontEnd({ op: "answer", id: request.id, value: attempt(() => query(request)) });
  }
}

function query(request: Exclude<EngineRequest, { op: "execute" | "comm" | "input" }>): unknown {
  switch (request.op) {
    case "complete":
      return engine.complete(request.code, request.cursor);
    case "inspect":
      return engine.inspect(request.code, request.cursor);
    case "isComplete":
      return engine.isComplete(request.code);
    case "comms":
      return engine.commInfo(request.target);
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
