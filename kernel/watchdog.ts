/**
 * Worker thread inside the engine process that carries interrupts to a main thread which may be too busy to listen.
 *
 * The front end writes one line per interrupt, `<cell id> <reason>`, to a pipe that only this thread reads. The main thread
 * is told first; if it does not take note, the JavaScript on its stack is terminated and it is told again. When the front
 * end is gone, so is the process.
 */
import { readFileSync } from "node:fs";
import { Session } from "node:inspector";
import { Socket } from "node:net";
import { createInterface } from "node:readline";
import { parentPort, workerData } from "node:worker_threads";

export interface WatchdogData {
  readonly pipe: number;
  /** Shared with the main thread, see the two indices below. */
  readonly state: Int32Array;
}

export interface Interrupt {
  /** Counts interrupts from 1. */
  readonly number: number;
  readonly cell: number;
  readonly reason: string;
}

/** Index into `state`: number of the last interrupt that the main thread has dealt with. */
export const HANDLED = 0;
/** Index into `state`: nonzero while the main thread does something that must not be torn apart, such as compiling. */
export const BUSY = 1;
/** Index into `state`: nonzero while it is to be terminated, and must not begin such a thing. */
export const WANTED = 2;
/** Index into `state`: number of the last interrupt that has come. */
export const SENT = 3;
/** Index into `state`: number of the last interrupt that takes a termination. */
export const TERMINATED = 4;
export const STATES = 5;

/** A main thread that is merely busy answers within this time, and before it has computed for that long. */
const PATIENCE_MS = 200;
const COMPUTING_MS = 100;
/** Something that must not be torn apart is waited for this long; if it takes longer, the next check may find another moment. */
const BRIEF_MS = 50;
/** One that neither computes nor waits for anything may just not get a processor; but not for ever. */
const GIVE_UP_MS = 5_000;

if (parentPort) watch(workerData as WatchdogData, parentPort);

function watch({ pipe, state }: WatchdogData, main: NonNullable<typeof parentPort>): void {
  const input = new Socket({ fd: pipe, readable: true, writable: false });
  let sent = 0;
  createInterface({ input }).on("line", (line) => {
    const [, cell, reason] = /^(\d+) (.*)$/.exec(line) ?? [];
    const interrupt: Interrupt = { number: ++sent, cell: Number(cell), reason: reason ?? "" };
    Atomics.store(state, SENT, interrupt.number);
    main.postMessage(interrupt);
    const since = performance.now();
    const before = mainThread().computedMs;
    setTimeout(function check() {
      if (Atomics.load(state, HANDLED) >= interrupt.number) return;
      const { computedMs, waits } = mainThread();
      if (waits || computedMs - before >= COMPUTING_MS || performance.now() - since >= GIVE_UP_MS) {
        Atomics.store(state, WANTED, 1);
        const release = (): void => {
          Atomics.store(state, WANTED, 0);
          Atomics.notify(state, WANTED);
        };
        if (Atomics.load(state, BUSY) === 1 && Atomics.wait(state, BUSY, 1, BRIEF_MS) === "timed-out") release();
        else {
          // Before it happens: main hears of the interrupt right after.
          Atomics.store(state, TERMINATED, interrupt.number);
          terminateMainThread(() => {
            release();
            // The first message may have been lost together with the JavaScript that was reading it.
            main.postMessage(interrupt);
          });
        }
      }
      setTimeout(check, PATIENCE_MS);
    }, PATIENCE_MS);
  });
  input.on("close", () => process.kill(process.pid, "SIGKILL"));
}

/** What the main thread has computed so far, and whether it waits for something, which cannot be its next event: it has that. */
function mainThread(): { computedMs: number; waits: boolean } {
  try {
    const text = readFileSync(`/proc/self/task/${process.pid}/stat`, "latin1");
    const [state, ...numbers] = text.slice(text.lastIndexOf(")") + 2).split(" ");
    // User and system time, in hundredths of a second.
    return { computedMs: 10 * (Number(numbers[10]) + Number(numbers[11])), waits: state === "S" || state === "D" };
  } catch {
    // Not on Linux: whoever computes in this process, and nobody knows who waits.
    const { user, system } = process.cpuUsage();
    return { computedMs: (user + system) / 1000, waits: false };
  }
}

/** @param done called when it has been, or does not seem to get there because nothing runs */
function terminateMainThread(done: () => void): void {
  const session = new Session();
  session.connectToMainThread();
  let ended = false;
  const end = (): void => {
    // Disconnecting answers what has not been answered yet.
    if (ended) return;
    ended = true;
    clearTimeout(patience);
    // Connected no longer than needed: a process with a debugger attached does not exit by itself.
    session.disconnect();
    done();
  };
  const patience = setTimeout(end, PATIENCE_MS);
  session.post("Runtime.terminateExecution", end);
}
