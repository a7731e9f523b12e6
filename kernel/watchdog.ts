/**
 * Worker thread inside the engine process that carries interrupts to a main thread which may be too busy to listen.
 *
 * The front end writes one line per interrupt (its reason) to a pipe that only this thread reads. The main thread is told
 * first; if it does not answer, the JavaScript on its stack is terminated. When the front end is gone, so is the process.
 */
import { Session } from "node:inspector";
import { Socket } from "node:net";
import { createInterface } from "node:readline";
import { parentPort, workerData } from "node:worker_threads";

/** Shared with the main thread: one counter of interrupts that it has taken note of. */
export interface WatchdogData {
  readonly pipe: number;
  readonly acknowledged: Int32Array;
}

/** A main thread that is merely busy answers well within this time. */
const PATIENCE_MS = 200;

const { pipe, acknowledged } = workerData as WatchdogData;
const input = new Socket({ fd: pipe, readable: true, writable: false });
let sent = 0;

createInterface({ input }).on("line", (reason) => {
  const interrupt = ++sent;
  parentPort!.postMessage(reason);
  setTimeout(function check() {
    if (Atomics.load(acknowledged, 0) >= interrupt) return;
    terminateMainThread();
    setTimeout(check, PATIENCE_MS);
  }, PATIENCE_MS);
});
input.on("close", () => process.kill(process.pid, "SIGKILL"));

function terminateMainThread(): void {
  const session = new Session();
  session.connectToMainThread();
  // Connected no longer than needed: a process with a debugger attached does not exit by itself.
  session.post("Runtime.terminateExecution", () => session.disconnect());
}
